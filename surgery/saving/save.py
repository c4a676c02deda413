"""Save a cut model as a standard model folder."""

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
from surgery.saving.weights import check_dtype, record_change, store_weights

__all__ = ["check_out", "save", "save_folder", "write_model"]


def check_out(out: Path, force: bool) -> None:
    """Check that a folder can be written: it is new, or a saved model of this package and `force` is set.

    Raises:
        CallError: It cannot.
    """
    refused = find_refusal(out)
    if refused:
        raise CallError(f"'{out}' cannot be created: {refused}")
    if not out.exists():
        return
    if not out.is_dir():
        raise CallError(f"'{out}' is a file: expected a new folder")
    if not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    if not (out / PROVENANCE).is_file():
        raise CallError(f"'{out}' was not saved by this command, so --force does not replace it: choose another --out")


def save(
    model: CutModel,
    out: Path,
    head: OutputHead | None = None,
    *,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
    weights_dtype: str | None = None,
) -> Path:
    """Save a cut model in sentence-transformers' layout.

    Args:
        model: The result of `cut` or `keep`.
        out: Folder to create; it is written completely or not at all.
        head: Pooling and modules after the blocks; default: the model's own pooling.
        force: Replace a folder written by an earlier save.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Default:
            load the folder in this process and compare its vectors with the model's.
        weights_dtype: Store the weights in `float32`, `float16` or `bfloat16`; default: as the original's files do.
            The model is loaded in float32 all the same.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the model has no pooling and none was given.
        ModelError: The files cannot be written, or give different vectors, or float16 cannot hold the weights.
    """
    check_out(out, force)
    check_dtype(weights_dtype)
    chosen = head or OutputHead(own_pooling(model))
    compare = check or (lambda folder: check_here(folder, model, chosen))

    def write(folder: Path) -> None:
        """Write the folder, with its weights in the dtype."""
        write_model(model, folder, chosen)
        store_weights(folder, weights_dtype)

    return save_folder(out, write, force, check=compare)


def save_folder(out: Path, write: Callable[[Path], object], force: bool, *, check: Callable[[Path], object]) -> Path:
    """Write a model's folder completely or not at all.

    Args:
        out: Folder to create.
        write: Writes the model into an empty folder.
        force: Replace a folder written by an earlier save.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Its
            result, if a `VectorChange`, is recorded in a folder whose weights were stored in another dtype.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written, or another process wrote the folder in the meantime.
    """
    before = stamp_of(out)
    check_out(out, force)

    def fill(folder: Path) -> None:
        """Write and check the folder, and record what its stored weights change."""
        write(folder)
        record_change(folder, check(folder))

    try:
        replace_folder(out, fill, before)
    except OSError as error:
        raise ModelError(f"'{out}' cannot be written: {reason(error)}") from error
    return out


def write_model(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write a cut model with its output head into an empty folder; for a tower, the model of both towers.

    Raises:
        CallError: The head of a tower would change.
        ModelError: The model has no files, or its tensors cannot be named as in the original files.
    """
    if isinstance(model, CutTower):
        write_towers(model, folder, head)
    else:
        write_single(model, folder, head)
