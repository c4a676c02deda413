"""Checks of weight files: Git LFS pointers, truncated files, missing shards."""

import json
import re
from pathlib import Path
from typing import Any

from probe.errors import ModelError

__all__ = ["check_pointer", "check_weights", "list_tensors", "list_weights"]

_POINTER = b"version https://git-lfs"
_SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
_INDEX = ".safetensors.index.json"
# Maximum header length of safetensors files.
_LONGEST_HEADER = 100_000_000


def list_weights(folder: Path, stem: str = "model") -> list[Path]:
    """Return the weight files of a folder: the single file, else the shards of the index, else all there are.

    Args:
        folder: Folder with the weights.
        stem: Prefix of the file names in transformers.

    Returns:
        The files, sorted by name, including files that the index lists but that do not exist.

    Raises:
        ModelError: If the index of the shards is malformed or missing.
    """
    whole, index = folder / f"{stem}.safetensors", folder / f"{stem}{_INDEX}"
    if whole.is_file():
        return [whole]
    if index.is_file():
        return sorted({folder / name for name in _read_index(index)})
    others = sorted(folder.glob("*.safetensors"))
    if any(_SHARD.search(path.name) for path in others):
        raise ModelError(
            f"{folder} has sharded weights without their index ({index.name}): download the whole folder again"
        )
    return [path for path in others if not path.name.startswith("adapter_")]


def _read_index(path: Path) -> list[str]:
    check_pointer(path)
    try:
        names: Any = json.loads(path.read_bytes())["weight_map"].values()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is malformed: expected a file for each tensor under 'weight_map'") from error
    return [str(name) for name in names]


def check_weights(files: list[Path]) -> None:
    """Raise if weight files are incomplete.

    Raises:
        ModelError: If a shard is missing, a file is a Git LFS pointer, or a file is truncated.
    """
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise ModelError(
            f"{files[0].parent} has {len(files) - len(missing)} of {len(files)} weight files: {missing[0]} is "
            "missing; download the whole folder again"
        )
    for path in files:
        check_pointer(path)
        if path.suffix == ".safetensors":
            _check_length(path)


def check_pointer(path: Path) -> None:
    """Raise if a file is a Git LFS pointer.

    Raises:
        ModelError: If it is a pointer.
    """
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            raise ModelError(
                f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its folder, or download it "
                "with `hf download`"
            )


def list_tensors(files: list[Path]) -> list[str]:
    """Return the names of all tensors in checked files."""
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
    return f"{path} is damaged or truncated (its {size} bytes do not match its header): download it again"
