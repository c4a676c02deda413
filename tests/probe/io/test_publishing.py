"""Nothing that appears, or changes, where a file or folder is to go is ever lost."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from probe.io import publishing
from probe.io.files import find_refusal, replace_file, replace_folder, write_file
from probe.io.publishing import TargetChanged, stamp_of


@pytest.fixture(autouse=True, params=["renameat2", "plain"])
def calls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(publishing, "_find_call", lambda: None)


def fill(folder: Path) -> None:
    (folder / "new").write_text("new")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "dangling link"])
def test_what_appears_at_a_folders_name_stays(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"

    def appear(folder: Path) -> None:
        fill(folder)
        if kind == "file":
            out.write_text("theirs")
        elif kind == "dangling link":
            out.symlink_to(tmp_path / "nowhere")
        else:
            out.mkdir()
            if kind == "folder":
                (out / "theirs").write_text("theirs")

    with pytest.raises(TargetChanged):
        replace_folder(out, appear, stamp_of(out))
    assert names(tmp_path) == ["out"]
    assert not (out / "new").exists()


def test_of_two_that_make_one_folder_the_second_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TargetChanged):
        replace_folder(out, lambda folder: (fill(folder), replace_folder(out, lambda other: (other / "a").touch())))
    assert names(out) == ["a"]


@pytest.mark.parametrize("change", ["file changed", "file added", "replaced", "removed"])
def test_a_folder_that_changed_since_it_was_looked_at_stays(tmp_path: Path, change: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    before = stamp_of(out)

    def interfere(folder: Path) -> None:
        fill(folder)
        if change == "removed":
            (out / "old").unlink()
            out.rmdir()
        elif change == "replaced":
            out.rename(tmp_path / "elsewhere")
            out.mkdir()
            (out / "old").write_text("old")
        else:
            (out / ("old" if change == "file changed" else "more")).write_text("theirs")

    with pytest.raises(OSError, match=r".*"):
        replace_folder(out, interfere, before)
    assert not (out / "new").exists()
    assert out.exists() == (change != "removed")
    assert [name for name in names(tmp_path) if name.startswith(".")] == []


def test_a_folder_that_is_as_it_was_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")
    replace_folder(out, fill, stamp_of(out))
    assert (names(out), names(tmp_path)) == (["new"], ["out"])


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), ValueError("wrong")])
def test_the_old_folder_stays_where_the_new_one_fails(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").write_text("old")

    def fail(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(type(error)):
        replace_folder(out, fail, stamp_of(out))
    assert (names(out), names(tmp_path)) == (["old"], ["out"])


def test_a_link_stays_one_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    for kind in ("file", "folder"):
        target, link = tmp_path / kind, tmp_path / f"{kind}-link"
        if kind == "file":
            target.write_text("old")
            link.symlink_to(target)
            replace_file(link, lambda made: made.write_text("new"))
            assert target.read_text() == "new"
        else:
            target.mkdir()
            link.symlink_to(target)
            replace_folder(link, fill, stamp_of(link))
            assert names(target) == ["new"]
        assert link.is_symlink()


def test_a_file_that_appears_stays_and_the_new_one_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.json"

    def write(made: Path) -> None:
        made.write_text("ours")
        file.write_text("theirs")

    before = stamp_of(file)
    assert write_file(file, write, before) == tmp_path / "a-1.json"
    assert write_file(file, write, before) == tmp_path / "a-2.json"
    assert file.read_text() == "theirs"
    assert names(tmp_path) == ["a-1.json", "a-2.json", "a.json"]


def test_a_file_that_is_as_it_was_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for text in ("one", "two"):
        assert write_file(file, lambda made, text=text: made.write_text(text), stamp_of(file)) == file  # type: ignore[misc]
    assert file.read_text() == "two"
    assert names(tmp_path) == ["a.json"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_all_that_is_made_follows_the_umask(tmp_path: Path, umask: int) -> None:
    def save(folder: Path) -> None:
        (folder / "inside").mkdir(0o700)
        save_file({"a": np.zeros(3)}, folder / "inside" / "weights.safetensors")

    before = os.umask(umask)
    try:
        replace_folder(tmp_path / "out", save)
        replace_file(tmp_path / "file", lambda made: save_file({"a": np.zeros(3)}, made))
    finally:
        os.umask(before)
    assert mode(tmp_path / "out") == mode(tmp_path / "out" / "inside") == 0o777 & ~umask
    assert mode(tmp_path / "out" / "inside" / "weights.safetensors") == mode(tmp_path / "file") == 0o666 & ~umask


def test_a_replaced_file_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "private"
    file.touch(0o600)
    replace_file(file, lambda made: made.write_text("new"))
    assert mode(file) == 0o600


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "-", "--force", "a b", "a+b@5:mean", "a\nb", "a\udcff"])
def test_names_of_every_kind_are_written(tmp_path: Path, name: str) -> None:
    replace_folder(tmp_path / name, fill)
    replace_folder(tmp_path / name, fill, stamp_of(tmp_path / name))
    assert names(tmp_path) == [name]


def test_a_full_disk_behind_another_librarys_error_is_the_systems(tmp_path: Path) -> None:
    def fail(made: Path) -> None:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RuntimeError("unexpected pos 576 vs 534") from error

    def fail_in_rust(made: Path) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    for write in (fail, fail_in_rust):
        with pytest.raises(OSError, match="No space left on device"):
            replace_folder(tmp_path / "out", write)
        with pytest.raises(OSError, match="No space left on device"):
            replace_file(tmp_path / "file", write)
    assert names(tmp_path) == []


def test_where_nothing_can_be_made_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert find_refusal(tmp_path / "new" / "newer") == ""
    assert find_refusal(tmp_path / "file" / "new") == f"'{tmp_path / 'file'}' is not a folder"
