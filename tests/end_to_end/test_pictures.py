"""The pictures of README and documentation: all are made by the script, from saved results without texts."""

import json
import re
from pathlib import Path

import pictures
import pytest
from doc_blocks import ROOT
from doc_blocks import pages as all_pages

from probe.errors import CallError
from probe.results.load import read_result


def test_every_picture_is_made_by_the_script_and_every_result_is_drawn() -> None:
    assert {file.stem for file in pictures.IMAGES.glob("*.*")} == set(pictures.PICTURES)
    assert {file.stem for file in pictures.RESULTS.iterdir()} == set(pictures.COMMANDS)


def test_pictures_that_pages_show_are_there_and_small() -> None:
    shown = re.compile(r"[(\"'](?:docs/)?images/([\w.-]+)[)\"']")
    names = {name for page in all_pages() for name in shown.findall(page.read_text(encoding="utf-8"))}
    assert names <= {file.name for file in pictures.IMAGES.iterdir()}
    assert max(file.stat().st_size for file in pictures.IMAGES.glob("*.png")) < 300_000
    assert (pictures.IMAGES / "layers.png").stat().st_size < 150_000


@pytest.mark.parametrize("file", sorted(pictures.RESULTS.iterdir()), ids=lambda file: file.stem)
def test_saved_results_are_read_and_hold_no_texts_and_no_paths(file: Path) -> None:
    result = read_result(file)
    text = file.read_text(encoding="utf-8")
    assert result.command == pictures.COMMANDS[file.stem]
    assert not json.loads(text).get("examples")
    assert not re.search(r"/tmp/|/home/|/root/", text)


def test_the_script_draws(tmp_path: Path) -> None:
    file = pictures.draw("classify", tmp_path)
    assert file.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(CallError, match="no picture 'x'"):
        pictures.draw("x", tmp_path)


def test_make_pictures_runs_the_script() -> None:
    assert "\t$(BIN)/python docs/pictures.py\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_a_result_is_taken_without_its_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "RESULTS", tmp_path / "results")
    pictures.RESULTS.mkdir()
    payload = json.loads((pictures.IMAGES / "results" / "layers.json").read_text(encoding="utf-8"))
    saved = tmp_path / "layers.json"
    saved.write_text(json.dumps({**payload, "command": "x", "examples": {"queries": [], "texts": {"1": "secret"}}}))
    assert "secret" not in pictures.take(saved).read_text(encoding="utf-8")
    other = saved.rename(tmp_path / "other.json")
    with pytest.raises(CallError, match="named after one of"):
        pictures.take(other)
