"""Files that `make test` leaves out are known, marked, left unread, and begun first where they are asked for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from slow_files import (
    REAL_FILES,
    SLOW_FILES,
    SLOW_TESTS,
    pytest_collection_modifyitems,
    pytest_ignore_collect,
    pytest_itemcollected,
)

TESTS = Path(__file__).parent
QUICK, SLOW, REAL = "probe/metrics/test_retrieval.py", SLOW_FILES[0], REAL_FILES[0]


def item(file: str, test: str) -> Any:
    return SimpleNamespace(path=TESTS / file, name=test)


def read(marks: str) -> list[str]:
    """Return which of three files are read where these marks are asked for."""
    config: Any = SimpleNamespace(option=SimpleNamespace(markexpr=marks))
    return [name for name in (QUICK, SLOW, REAL) if not pytest_ignore_collect(TESTS / name, config)]


def is_marked_slow(file: str, name: str) -> bool:
    marks: list[str] = []
    pytest_itemcollected(SimpleNamespace(path=TESTS / file, name=name, add_marker=marks.append))  # type: ignore[arg-type]
    return marks == ["slow"]


def test_slow_files_are_put_first_and_nothing_else_changes_its_place() -> None:
    slow, slower = SLOW_FILES[1], SLOW_FILES[0]
    items = [item("test_b.py", "x"), item(slow, "y"), item("test_a.py", "z"), item(slower, "v"), item(slow, "u")]
    pytest_collection_modifyitems(items)
    assert [one.name for one in items] == ["v", "y", "u", "x", "z"]


def test_every_file_that_is_left_out_is_there_once() -> None:
    names = (*SLOW_FILES, *REAL_FILES)
    assert len(set(names)) == len(names)
    assert [name for name in names if not (TESTS / name).is_file()] == []


def test_only_the_files_that_are_asked_for_are_read() -> None:
    assert read("") == read("not long") == read("long") == [QUICK, SLOW, REAL]
    assert read("not slow and not real and not long") == [QUICK]
    assert read("slow and not real and not long") == [SLOW]
    assert read("real and not long") == [REAL]


def test_single_slow_tests_are_there_and_are_left_to_the_slow_run() -> None:
    for file, names in SLOW_TESTS.items():
        text = (TESTS / file).read_text(encoding="utf-8")
        assert [name for name in names if f"\ndef {name}(" not in text] == []
        for marks in ("not slow and not real and not long", "slow and not real and not long"):
            config: Any = SimpleNamespace(option=SimpleNamespace(markexpr=marks))
            assert not pytest_ignore_collect(TESTS / file, config)
        assert [is_marked_slow(file, name) for name in (*names, "test_another")] == [*(True for _ in names), False]


def test_make_runs_every_test_but_the_long_ones_once() -> None:
    lines = (TESTS.parent / "Makefile").read_text(encoding="utf-8").splitlines()
    runs = [line.split('"')[1] for line in lines if '-m "' in line]
    assert sorted(name for marks in runs for name in read(marks)) == sorted([QUICK, SLOW, REAL])


def test_a_real_model_is_run_in_the_real_files_alone() -> None:
    users = [path for path in TESTS.rglob("test_*.py") if "\npytestmark = REAL\n" in path.read_text("utf-8")]
    assert {path.relative_to(TESTS).as_posix() for path in users} == set(REAL_FILES)


def test_processes_are_given_files_in_this_order(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("loadscopereorder") is False
