"""Save a cut model as a folder that anybody can load."""

from collections.abc import Callable
from pathlib import Path

from probe.encoding.hookpoints import own_pooling
from probe.errors import CallError, ModelError
from probe.io.files import find_refusal, reason, replace_folder
from probe.io.publishing import stamp_of
from surgery.cutting.blocks import CutModel
from surgery.cutting.towers import CutTower
from surgery.saving.files import PROVENANCE
from surgery.saving.fresh_process import check_here
from surgery.saving.heads import OutputHead
from surgery.saving.model import write_single
from surgery.saving.towers import write_towers

__all__ = ["check_out", "save", "save_folder", "write_model"]


def check_out(out: Path, force: bool) -> None:
    """Refuse to replace anything but a folder of ours, and that without `force`.

    Raises:
        CallError: It may not.
    """
    refused = find_refusal(out)
    if refused:
        raise CallError(f"'{out}' cannot be made: {refused}")
    if not out.exists():
        return
    if not out.is_dir():
        raise CallError(f"'{out}' is a file: expected the name of a new folder")
    if not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    if not (out / PROVENANCE).is_file():
        raise CallError(
            f"'{out}' is not a model this command made, so --force does not replace it: choose another --out"
        )


def save(
    model: CutModel,
    out: Path,
    head: OutputHead | None = None,
    *,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
) -> Path:
    """Save a cut model in sentence-transformers' layout.

    Args:
        model: The result of `cut` or `keep`.
        out: Folder to make; it is whole or not there.
        head: What comes after the blocks; the model's own pooling alone when left out.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind. When left
            out, the folder is loaded here and has to give the vectors that the model gives.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the model has no pooling of its own and none was given.
        ModelError: The files cannot be written, or give other vectors.
    """
    check_out(out, force)
    chosen = head or OutputHead(own_pooling(model))
    compare = check or (lambda folder: check_here(folder, model, chosen))
    return save_folder(out, lambda folder: write_model(model, folder, chosen), force, check=compare)


def save_folder(out: Path, write: Callable[[Path], object], force: bool, *, check: Callable[[Path], object]) -> Path:
    """Make a model's folder, whole or not at all.

    Args:
        out: Folder to make.
        write: Writes the model into the empty folder it is given.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written, or something else was written there in the meantime.
    """
    before = stamp_of(out)
    check_out(out, force)

    def fill(folder: Path) -> None:
        """Write and check it."""
        write(folder)
        check(folder)

    try:
        replace_folder(out, fill, before)
    except OSError as error:
        raise ModelError(f"'{out}' cannot be written: {reason(error)}") from error
    return out


def write_model(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write a cut model with its head into an empty folder; of a tower, the model of both towers.

    Raises:
        CallError: Of a tower, something else is to come after them than what is there.
        ModelError: The files name their tensors in a way of their own.
    """
    if isinstance(model, CutTower):
        write_towers(model, folder, head)
    else:
        write_single(model, folder, head)
