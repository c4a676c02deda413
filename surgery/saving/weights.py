"""The weight files of a cut model: the original's tensors, byte for byte, without those of the removed blocks."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from probe.errors import ModelError
from surgery.cutting.blocks import CutModel

__all__ = ["write_weights"]

WEIGHTS = "model.safetensors"


def write_weights(model: CutModel, path: str, source: Path, *, out: Path) -> None:
    """Write the tensors a cut model keeps, under the names its config expects; dtypes stay as they are.

    Args:
        model: The cut model.
        path: Name of its block list, as the files have it.
        source: Folder of the original's weight files.
        out: Folder to write to.

    Raises:
        ModelError: The files name the blocks' tensors in a way of their own.
    """
    from safetensors.torch import save_file

    numbers = {block: place for place, block in enumerate(model.blocks)}
    pattern = re.compile(rf"(?P<head>(?:.*\.)?{re.escape(path)}\.)(?P<block>\d+)(?P<tail>\..+)")
    tensors: dict[str, Any] = {}
    seen: set[int] = set()
    for name, tensor in _read_tensors(source):
        part = pattern.fullmatch(name)
        if part is None:
            tensors[name] = tensor
            continue
        block = int(part["block"]) + 1
        seen.add(block)
        if block in numbers:
            tensors[f"{part['head']}{numbers[block]}{part['tail']}"] = tensor
    if seen != set(range(1, model.original_depth + 1)):
        raise ModelError(
            f"the weight files of '{model.source.name}' do not name their tensors {path}.0, ...: load the model "
            "with transformers, save it with save_pretrained, and cut that folder"
        )
    save_file(tensors, out / WEIGHTS, metadata={"format": "pt"})


def _read_tensors(source: Path) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    whole = source / WEIGHTS
    # Beside them there may be the same weights under names of other programs.
    for path in [whole] if whole.is_file() else sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
