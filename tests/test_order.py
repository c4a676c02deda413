"""Slow files are begun first, so that all processes of a test run end together."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slow_files import SLOW_FILES, pytest_collection_modifyitems

TESTS = Path(__file__).parent


def item(file: str, test: str) -> Any:
    return SimpleNamespace(path=TESTS / file, name=test)


def test_slow_files_are_put_first_and_nothing_else_changes_its_place() -> None:
    slow, slower = SLOW_FILES[1], SLOW_FILES[0]
    items = [item("test_b.py", "x"), item(slow, "y"), item("test_a.py", "z"), item(slower, "v"), item(slow, "u")]
    pytest_collection_modifyitems(items)
    assert [one.name for one in items] == ["v", "y", "u", "x", "z"]


def test_every_slow_file_is_there_once() -> None:
    assert len(set(SLOW_FILES)) == len(SLOW_FILES)
    assert [name for name in SLOW_FILES if not (TESTS / name).is_file()] == []


def test_processes_are_given_files_in_this_order(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("loadscopereorder") is False
