"""The example notebook: its cells run in order, on little data, and it holds nothing of a machine."""

import json
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT
from small_examples import shrink_examples

NOTEBOOK = ROOT / "docs" / "example.ipynb"


def read_cells() -> list[dict[str, Any]]:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return list(notebook["cells"])


def test_the_cells_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    with shrink_examples(tmp_path / "cache"):
        for number, cell in enumerate(read_cells()):
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{number}", "exec"), names)
    assert {row.encoder for row in names["comparison"].rows} == {"minilm@6:mean", "cut@4:mean", "lens"}
    assert (tmp_path / "report.html").is_file()


def test_it_holds_no_output_and_no_place_of_a_machine() -> None:
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in read_cells())
    assert not {"/home", "/root", "/work", "/tmp", "C:\\"} & set(NOTEBOOK.read_text(encoding="utf-8").split('"'))
