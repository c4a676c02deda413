"""A healed encoder as a folder: that of the cut it was made from, with other weights."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from torch import Tensor

from adaptors.folder import describe_anew, is_adapted
from probe.errors import CallError, ModelError
from surgery.folder import PROVENANCE, save_folder

__all__ = ["Healed", "check_student", "save_healed", "trained_files"]

_WEIGHTS = "model.safetensors"
_CARD = "README.md"
_KIND = "healed"


@dataclass(frozen=True)
class Healed:
    """What a healed encoder is.

    Attributes:
        student: The trained encoder.
        source: Folder of the cut it was made from.
        seen: Name of every data set whose texts it was taught on, and sha256 of its documents.
        words: How, and how it retrieves, in Markdown, for its card.
    """

    student: SentenceTransformer
    source: Path
    seen: tuple[tuple[str, str], ...]
    words: str


def check_student(folder: Path) -> None:
    """Refuse a folder that cannot be healed.

    Args:
        folder: A cut with a lens on top, as `surgery cut --lens` makes it.

    Raises:
        CallError: It is another folder.
    """
    if not (folder / PROVENANCE).is_file() or not is_adapted(folder):
        raise CallError(
            f"'{folder}' is no cut with a lens: make one with `surgery cut --model M --after K --lens --dataset D`"
        )


def save_healed(healed: Healed, out: Path, force: bool, check: Callable[[Path], object] = lambda folder: None) -> Path:
    """Save a healed encoder in the layout of the cut it was made from, which loads anywhere.

    Args:
        healed: The encoder.
        out: Folder to make; it is whole or not there.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written, or the encoder is not made like its source.
    """
    return save_folder(out, lambda folder: _write(healed, folder), force, check)


def _write(healed: Healed, folder: Path) -> None:
    shutil.copytree(healed.source, folder, dirs_exist_ok=True)
    for path, values in trained_files(healed.student, folder).items():
        save_file(values, path, metadata={"format": "pt"})
    describe_anew(folder, _KIND, healed.seen)
    card = (folder / _CARD).read_text(encoding="utf-8")
    (folder / _CARD).write_text(f"{card}\n{healed.words}", encoding="utf-8")


def trained_files(student: SentenceTransformer, folder: Path) -> dict[Path, dict[str, Tensor]]:
    """Return what the weight files of a folder hold once an encoder made like it was trained.

    Args:
        student: The encoder.
        folder: The cut's, or a copy of it.

    Returns:
        Tensors per file.

    Raises:
        ModelError: The encoder is not made like the folder.
    """
    denses = [module for module in student if type(module).__name__ == "Dense"]
    parts = [folder, *sorted(folder.glob("*_Dense"))]
    modules = [student[0].auto_model, *denses]
    return {
        part / _WEIGHTS: _renew(part / _WEIGHTS, _tensors(module)) for part, module in zip(parts, modules, strict=True)
    }


def _tensors(module: object) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}  # type: ignore[attr-defined]


def _renew(path: Path, trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return trained values under the names, and in the dtypes, of the tensors of a file; counters stay."""
    values = {}
    for name, tensor in load_file(path).items():
        found = [key for key in trained if key == name or name.endswith(f".{key}")]
        if tensor.is_floating_point() and (len(found) != 1 or trained[found[0]].shape != tensor.shape):
            raise ModelError(f"the trained encoder has no tensor for '{name}' of {path}")
        values[name] = trained[found[0]].to(tensor.dtype) if tensor.is_floating_point() else tensor
    return values
