"""A round of training that is done, kept so that it is never done again."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptors.epochs import Epoch
from probe.files import replace_file

__all__ = ["keep_round", "read_round"]

_WEIGHTS, _EPOCHS = "finished.safetensors", "finished.json"


def keep_round(folder: Path, weights: dict[str, Tensor], epochs: tuple[Epoch, ...]) -> None:
    """Keep what a round came to.

    Args:
        folder: Its checkpoints.
        weights: What was trained, by name.
        epochs: Its epochs.
    """
    values = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    replace_file(folder / _WEIGHTS, lambda path: save_file(values, path))
    # Written last: where it is, the weights are whole.
    told = json.dumps([asdict(epoch) for epoch in epochs])
    replace_file(folder / _EPOCHS, lambda path: path.write_text(told, encoding="utf-8"))


def read_round(folder: Path) -> tuple[dict[str, Tensor], tuple[Epoch, ...]] | None:
    """Return what a round came to, or None where it is not done.

    Args:
        folder: Its checkpoints.
    """
    try:
        told = json.loads((folder / _EPOCHS).read_text(encoding="utf-8"))
        return load_file(folder / _WEIGHTS), tuple(_read_epoch(entry) for entry in told)
    except (OSError, ValueError, KeyError, SafetensorError):
        return None


def _read_epoch(entry: dict[str, object]) -> Epoch:
    scores: dict[str, float] = entry["scores"]  # type: ignore[assignment]
    return Epoch(**{**entry, "scores": {int(dim): score for dim, score in scores.items()}})  # type: ignore[arg-type]
