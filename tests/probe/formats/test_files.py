"""Files are found in the order of their names, and everything that is left out has a reason."""

import os
from pathlib import Path

import pytest

from probe.errors import CallError
from probe.formats.document import SourceFile
from probe.formats.files import SkippedFile, find_files


def write(folder: Path, **files: str) -> None:
    """Write files; the names have `__` for `/` and `_` for `.`."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def names(*paths: Path, patterns: tuple[str, ...] = (), respect_ignore: bool = True) -> list[str]:
    found = find_files(paths, patterns, respect_ignore=respect_ignore)
    return [one.name for one in found if isinstance(one, SourceFile)]


def reasons(*paths: Path) -> dict[str, str]:
    return {one.name: one.reason for one in find_files(paths) if isinstance(one, SkippedFile)}


def test_files_have_relative_names_in_one_order_and_lead_to_their_contents(tmp_path: Path) -> None:
    write(tmp_path, z_md="z", b__y_md="y", b__a__x_md="x", a_md="a")
    found = [one for one in find_files([tmp_path]) if isinstance(one, SourceFile)]
    assert [one.name for one in found] == ["a.md", "z.md", "b/y.md", "b/a/x.md"]
    assert [one.path.read_text(encoding="utf-8") for one in found] == ["a", "z", "y", "x"]


def test_ignore_files_hold_in_their_folder_and_below(tmp_path: Path) -> None:
    write(tmp_path, **{"_gitignore": "*.log\n/out/\n", "in___gitignore": "/draft.md\n!keep.log\n"})
    write(tmp_path, a_log="", a_md="", out__x_md="", in__out__x_md="", in__draft_md="", in__sub__draft_md="")
    assert names(tmp_path) == ["a.md", "in/out/x.md", "in/sub/draft.md"]
    assert names(tmp_path, respect_ignore=False) == [
        *("a.log", "a.md", "in/draft.md", "in/out/x.md", "in/sub/draft.md", "out/x.md")
    ]
    found = reasons(tmp_path)
    assert {name for name, reason in found.items() if reason == "ignored by .gitignore"} == {
        *("a.log", "out", "in/draft.md")
    }


def test_a_nested_ignore_file_can_take_back_a_rule(tmp_path: Path) -> None:
    write(tmp_path, **{"_gitignore": "*.log\n", "in___gitignore": "!keep.log\n"})
    write(tmp_path, in__keep_log="", in__other_log="")
    assert names(tmp_path) == ["in/keep.log"]


def test_hidden_files_unknown_types_and_data_sets_are_skipped_with_reasons(tmp_path: Path) -> None:
    write(tmp_path, a_md="", _secret_md="", _git__x_md="", b_zip="", Makefile="", set__corpus_jsonl="", set__a_md="")
    assert names(tmp_path) == ["a.md"]
    assert reasons(tmp_path) == {
        ".git": "hidden folder",
        ".secret.md": "hidden file",
        "Makefile": "unknown type (none)",
        "b.zip": "unknown type .zip",
        "set": "data set",
    }


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("*.md",), ["a.md", "in/c.md"]),
        (("in/*",), ["in/c.md", "in/d.txt"]),
        (("*.txt", "/a.md"), ["a.md", "b.txt", "in/d.txt"]),
        (("*.md", "!in/*"), ["a.md"]),
    ],
)
def test_patterns_choose_files(tmp_path: Path, patterns: tuple[str, ...], expected: list[str]) -> None:
    write(tmp_path, a_md="", b_txt="", in__c_md="", in__d_txt="")
    assert names(tmp_path, patterns=patterns) == expected


def test_links_to_files_are_read_and_loops_and_broken_links_are_reported(tmp_path: Path) -> None:
    write(tmp_path, in__a_md="text")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    (tmp_path / "copy.md").symlink_to("in/a.md")
    (tmp_path / "gone.md").symlink_to("nowhere.md")
    (tmp_path / "self.md").symlink_to("self.md")
    assert names(tmp_path) == ["copy.md", "in/a.md"]
    found = {one.name: (one.reason, one.failed) for one in find_files([tmp_path]) if isinstance(one, SkippedFile)}
    assert found == {
        "gone.md": ("broken link", True),
        "in/loop": ("link to a folder", False),
        "self.md": ("broken link", True),
    }


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    assert (names(tmp_path), reasons(tmp_path)) == ([], {"pipe.md": "not a regular file"})


def test_folders_of_equal_names_have_names_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, one__docs__a_md="", two__docs__a_md="", two__b_md="")
    one, two = tmp_path / "one" / "docs", tmp_path / "two" / "docs"
    assert names(one, two) == ["one/docs/a.md", "two/docs/a.md"]
    assert names(one, tmp_path / "two" / "b.md") == ["docs/a.md", "b.md"]
    assert names(one) == ["a.md"]
    assert names(one / "a.md") == ["a.md"]


def test_a_file_that_is_named_is_read_whatever_its_kind_and_patterns(tmp_path: Path) -> None:
    write(tmp_path, _hidden_xyz="")
    assert names(tmp_path / ".hidden.xyz", patterns=("*.md",)) == [".hidden.xyz"]


def test_a_folder_that_cannot_be_read_is_a_failure_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, a_md="", shut__b_md="", z__c_md="")
    scan = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(find_files([tmp_path]))
    assert SkippedFile("shut", "folder cannot be read (Permission denied)", failed=True) in found
    assert [one.name for one in found if isinstance(one, SourceFile)] == ["a.md", "z/c.md"]


def test_very_deep_folders_are_skipped_without_recursion(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * 105)
    write(tmp_path.joinpath(*["d"] * 100), near_md="")
    write(deepest, far_md="")
    assert [name[-7:] for name in names(tmp_path)] == ["near.md"]
    assert list(reasons(tmp_path).values()) == ["folder more than 100 levels deep"]


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"missing' not found"):
        names(tmp_path / "missing")
