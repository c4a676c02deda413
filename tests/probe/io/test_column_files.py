"""Columns by name, and numbers that are some."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_data import write_lines

from probe.errors import DataError
from probe.io import column_files, text_lines
from probe.io.column_files import finite_number, read_columns


@pytest.mark.parametrize(
    ("value", "number"),
    [("1", 1), (" -2.5 ", -2.5), ("+.5", 0.5), ("3.", 3), ("1e-3", 0.001), (7, 7), (0.25, 0.25)],
)
def test_numbers_as_people_write_them(value: Any, number: float) -> None:
    assert finite_number(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "1_0",
        "\uff11",
        "nan",
        "inf",
        "1e999",
        "",
        ".",
        "0x1",
        "1,5",
        True,
        None,
        [],
        float("nan"),
        float("inf"),
        10**400,
    ],
)
def test_what_is_no_number(value: Any) -> None:
    assert finite_number(value) is None


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.csv", ["text,label,text", "one,x,two"])
    with pytest.raises(DataError, match=r"a.csv:1: duplicate column 'text'"):
        list(read_columns(path, ["text", "label"]))
    assert [record for _, record in read_columns(path, ["label"])] == [{"label": "x"}]


@pytest.mark.parametrize("form", ["jsonl", "csv", "quoted"])
def test_a_line_or_field_without_end_is_refused(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (text_lines, column_files):
        monkeypatch.setattr(module, "LONGEST_LINE", 1000)
    lines = {
        "jsonl": [json.dumps({"text": "a" * 1001})],
        "csv": ["text,label", "a" * 1001],
        "quoted": ["text,label", '"' + "a" * 600, "a" * 600],
    }[form]
    path = write_lines(tmp_path / f"a.{'jsonl' if form == 'jsonl' else 'csv'}", lines)
    with pytest.raises(DataError, match=r"a\.\w+:[12]: (line longer than|not CSV .*field larger)"):
        list(read_columns(path, ["text"]))
