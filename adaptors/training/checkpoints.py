"""Training checkpoints: fingerprints, the newest complete one, and the results of finished rounds."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from adaptors.training.epochs import Epoch
from probe.data.texts import TextHash
from probe.errors import CallError
from probe.io.files import replace_file
from probe.models.hashes import hash_tensors

__all__ = [
    "check_fingerprint",
    "has_checkpoint",
    "hash_model",
    "hash_texts",
    "last_checkpoint",
    "load_finished_round",
    "read_state",
    "save_finished_round",
]

_WEIGHTS, _EPOCHS, _STATE = "finished.safetensors", "finished.json", "trainer_state.json"

_log = logging.getLogger(__name__)

_FINGERPRINT = "fit.json"


def check_fingerprint(folder: Path, fingerprint: Mapping[str, Any]) -> None:
    """Check that a checkpoint folder is new or belongs to the same training, and mark it.

    Args:
        folder: Checkpoint folder.
        fingerprint: Plain values that identify a training: equal only if one can resume from the other's checkpoints.

    Raises:
        CallError: The folder has checkpoints of a different training.
    """
    path, payload = folder / _FINGERPRINT, json.dumps(dict(fingerprint), sort_keys=True, indent=2)
    if path.exists() and path.read_bytes() != payload.encode():
        raise CallError(
            f"'{folder}' has checkpoints of another training (other data or settings): choose an empty folder, or "
            "delete it"
        )
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(path, lambda scratch: scratch.write_text(payload, encoding="utf-8"))


def hash_texts(texts: Iterable[str]) -> str:
    """Return the sha256 of texts in order, with their boundaries."""
    found = TextHash()
    for text in texts:
        found.add(text)
    return found.hexdigest()


def hash_model(model: nn.Module) -> str:
    """Return the sha256 of a model's weights, modules and their settings, vocabulary and prompts."""
    vocabulary: dict[str, int] = getattr(getattr(model, "tokenizer", None), "get_vocab", dict)()
    facts = [repr(model), json.dumps(sorted(vocabulary.items())), json.dumps(getattr(model, "prompts", None))]
    return hash_texts([hash_tensors(model.state_dict()), *facts])


def read_state(checkpoint: str | Path) -> dict[str, Any]:
    """Return the trainer state in a checkpoint.

    Raises:
        OSError: The file does not exist.
        ValueError: It is incomplete.
    """
    state: dict[str, Any] = json.loads((Path(checkpoint) / _STATE).read_text(encoding="utf-8"))
    return state


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest complete checkpoint, or None; the state file is written last."""
    found: Sequence[Path] = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2]))
    for path in found:
        try:
            read_state(path)
        except (OSError, ValueError):
            _log.warning("checkpoint %s is incomplete; resuming from the previous one", path)
            continue
        return str(path)
    return None


def has_checkpoint(folder: Path) -> bool:
    """Return whether a folder has a checkpoint, in any subfolder, that a training can resume from."""
    return any(next(folder.rglob(name), None) for name in (_STATE, _EPOCHS))


def save_finished_round(folder: Path, weights: dict[str, Tensor], epochs: tuple[Epoch, ...]) -> None:
    """Save a round's trained weights, by name, and its epochs in its checkpoint folder."""
    values = {name: tensor.cpu().contiguous() for name, tensor in weights.items()}
    replace_file(folder / _WEIGHTS, lambda path: save_file(values, path))
    # Written last: if it exists, the weights are complete.
    payload = json.dumps([asdict(epoch) for epoch in epochs])
    replace_file(folder / _EPOCHS, lambda path: path.write_text(payload, encoding="utf-8"))


def load_finished_round(folder: Path) -> tuple[dict[str, Tensor], tuple[Epoch, ...]] | None:
    """Return the result of a round saved by `save_finished_round`, or None if it is not finished."""
    try:
        payload = json.loads((folder / _EPOCHS).read_text(encoding="utf-8"))
        return load_file(folder / _WEIGHTS), tuple(_read_epoch(entry) for entry in payload)
    except (OSError, ValueError, KeyError, SafetensorError):
        return None


def _read_epoch(entry: dict[str, object]) -> Epoch:
    scores: dict[str, float] = entry["scores"]  # type: ignore[assignment]
    return Epoch(**{**entry, "scores": {int(dim): score for dim, score in scores.items()}})  # type: ignore[arg-type]
