"""The folder that a model is saved in: nothing that is there, or comes there meanwhile, is ever lost."""

import os
from pathlib import Path

import pytest

from probe.errors import CallError, ModelError
from surgery.saving.files import PROVENANCE
from surgery.saving.save import check_out, save_folder


def write(folder: Path) -> None:
    (folder / PROVENANCE).write_text("{}")
    (folder / "new").touch()


def make_ours(out: Path) -> Path:
    out.mkdir()
    (out / PROVENANCE).write_text("{}")
    (out / "old").touch()
    return out


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_comes_while_a_model_is_checked_stays(tmp_path: Path, force: bool, kind: str) -> None:
    out = tmp_path / "out"

    def come(folder: Path) -> None:
        if kind == "file":
            out.write_text("precious")
        else:
            make_ours(out)

    with pytest.raises(ModelError, match="another process wrote to it in the meantime; it is kept"):
        save_folder(out, write, force, check=come)
    assert os.listdir(tmp_path) == ["out"]
    assert out.read_text() == "precious" if kind == "file" else (out / "old").exists()


def test_a_folder_of_ours_that_is_changed_while_its_successor_is_made_stays(tmp_path: Path) -> None:
    out = make_ours(tmp_path / "out")
    with pytest.raises(ModelError, match="in the meantime"):
        save_folder(out, write, True, check=lambda folder: (out / "notes").write_text("precious"))
    assert sorted(os.listdir(out)) == ["notes", "old", PROVENANCE]


def test_force_replaces_a_folder_of_ours_and_keeps_it_where_the_new_one_fails(tmp_path: Path) -> None:
    out = make_ours(tmp_path / "out")

    def fail(folder: Path) -> None:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(ModelError, match=r"cannot be written: no space left on disk$"):
        save_folder(out, fail, True, check=lambda folder: None)
    assert (out / "old").exists()
    save_folder(out, write, True, check=lambda folder: None)
    assert sorted(os.listdir(out)) == ["new", PROVENANCE]


def test_a_place_where_nothing_can_be_made_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CallError, match="is not a folder"):
        check_out(tmp_path / "file" / "out", False)
