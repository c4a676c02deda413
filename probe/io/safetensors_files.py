"""Weight files as they lie on a disk: pointers to them, files cut short, shards that are not there."""

import json
import re
from pathlib import Path
from typing import Any

from probe.errors import ModelError

__all__ = ["check_pointer", "check_weights", "list_tensors", "list_weights"]

_POINTER = b"version https://git-lfs"
_SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
_INDEX = ".safetensors.index.json"
# A header of safetensors is no longer than this.
_LONGEST_HEADER = 100_000_000


def list_weights(folder: Path, stem: str = "model") -> list[Path]:
    """Return the files of a folder that hold its weights: the whole, else the shards of an index, else all there are.

    Args:
        folder: Where they are.
        stem: What their names begin with, as transformers names them.

    Returns:
        The files, in the order of their names; those an index names that are not there are among them.

    Raises:
        ModelError: The index of shards is malformed or missing.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}{_INDEX}"
    if whole.is_file():
        return [whole]
    if index.is_file():
        return sorted({folder / name for name in _read_index(index)})
    others = sorted(folder.glob("*.safetensors"))
    if any(_SHARD.search(path.name) for path in others):
        raise ModelError(
            f"{folder} holds shards of weights without their index ({index.name}): fetch the whole folder again"
        )
    return [path for path in others if not path.name.startswith("adapter_")]


def _read_index(path: Path) -> list[str]:
    check_pointer(path)
    try:
        names: Any = json.loads(path.read_bytes())["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is malformed: expected the file of each tensor under 'weight_map'") from error
    return [str(name) for name in names]


def check_weights(files: list[Path]) -> None:
    """Refuse weights that are not whole.

    Raises:
        ModelError: A shard is missing, a file is the pointer of Git LFS, or one ends before its tensors do.
    """
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise ModelError(
            f"{files[0].parent} holds {len(files) - len(missing)} of its {len(files)} weight files: {missing[0]} is "
            "missing; fetch the whole folder again"
        )
    for path in files:
        check_pointer(path)
        if path.suffix == ".safetensors":
            _check_length(path)


def check_pointer(path: Path) -> None:
    """Refuse a file that only points to another, as Git leaves them without LFS.

    Raises:
        ModelError: It is one.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder, or fetch it "
                "with `hf download`"
            )


def list_tensors(files: list[Path]) -> list[str]:
    """Return the names of all tensors in files that were checked."""
    names: list[str] = []
    for path in files:
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        names += [name for name in header if name != "__metadata__"]
    return names


def _check_length(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _LONGEST_HEADER):
            raise ModelError(_damage(path, size))
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(_damage(path, size)) from error
    if 8 + length + max(ends, default=0) != size:
        raise ModelError(_damage(path, size))


def _damage(path: Path, size: int) -> str:
    return f"{path} is damaged or was cut short ({size} bytes, not what its header says): fetch it again"
