"""Tiny encoders to tune, rows to tune them on, and what a tuning changed."""

import gc
import json
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from tiny_data import write_lines
from tiny_models import WORDS
from torch import Tensor
from typer.testing import CliRunner, Result

import cli
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.options import Schedule, TuneOptions
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Pairwise, Row
from adaptors.training.trainer import EncoderTrainer

__all__ = [
    "QUICK",
    "SAMPLE",
    "Interrupted",
    "changed",
    "embed",
    "make_pairs",
    "make_text",
    "open_tiny",
    "pairs_file",
    "rows_of",
    "run_command",
    "spy_steps",
    "tuner",
    "weights",
    "write_pairs",
]

_SCRATCH = TemporaryDirectory(prefix="encoder-surgery-tests-")
SAMPLE = ["river stone cloud", "sun", "milk wood seed star snow"]
# Six steps of four rows.
QUICK = TuneOptions(schedule=Schedule(epochs=1, batch_size=4, lr=1e-3), hold_out=0.0)


class Interrupted:
    """Stops a training after so many steps, as somebody at the keyboard would; given as its progress."""

    def __init__(self, after: int) -> None:
        """Let so many steps be made."""
        self.left = after

    def __call__(self, step: str, done: int, total: int) -> None:
        """Count a step that is told."""
        if step.startswith("training"):
            self.left -= done
        if self.left <= 0:
            raise KeyboardInterrupt


@cache
def _prepare(folder: Path) -> Path:
    """Write a model once as the folder that its students are saved like."""
    scratch = Path(_SCRATCH.name, folder.name)
    scratch.mkdir()
    return open_trainable(str(folder), scratch).folder


def open_tiny(folder: Path) -> TrainableEncoder:
    """Return a folder's encoder, to be trained."""
    return open_trainable(str(_prepare(folder)), Path())


def make_text(dice: random.Random, longest: int = 12) -> str:
    """Return a text of known words."""
    return " ".join(dice.choices(WORDS[4:], k=dice.randint(4, longest)))


def make_pairs(count: int = 24, seed: int = 0) -> TuningData:
    """Return pairs: a query is the beginning of its document."""
    dice = random.Random(seed)
    texts = [make_text(dice) for _ in range(count)]
    return rows_of(
        *(Pairwise(" ".join(text.split()[:3]), text, location=f"a.jsonl:{i}") for i, text in enumerate(texts))
    )


def write_pairs(file: Path) -> Path:
    """Write pairs as JSONL and return the file."""
    rows = [row for row in make_pairs().rows if isinstance(row, Pairwise)]
    return write_lines(file, [json.dumps({"query": row.query, "positive": row.positive}) for row in rows])


@cache
def pairs_file() -> Path:
    """Return a file of pairs, written once."""
    return write_pairs(Path(_SCRATCH.name, "pairs.jsonl"))


def run_command(*args: object, app: str = "adaptors") -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


def tuner(folder: Path, target: Path) -> Callable[..., Result]:
    """Return the command that tunes a model for two epochs at most, with further options."""

    def call(*args: object, source: object = pairs_file(), model: object = folder, out: object = target) -> Result:
        usual = {"-m": model, "-d": source, "--epochs": 2, "--batch-size": 4, "--lr": 1e-3, "--out": out}
        # What is asked for takes the place of what is usual, but a second data set comes beside the first.
        kept = [(name, value) for name, value in usual.items() if value is not None and name not in {*args} - {"-d"}]
        return run_command("tune", *(part for pair in kept for part in pair), *args)

    return call


def spy_steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the losses of all training steps, one for each that is made from now on."""
    made: list[float] = []
    step = EncoderTrainer.training_step

    def spy(trainer: EncoderTrainer, *args: Any) -> Any:
        loss = step(trainer, *args)
        made.append(float(loss))
        return loss

    monkeypatch.setattr(EncoderTrainer, "training_step", spy)
    return made


def rows_of(*rows: Row) -> TuningData:
    """Return rows as data."""
    return TuningData("rows", rows)


def weights(student: TrainableEncoder) -> dict[str, Tensor]:
    """Return a copy of all weights."""
    return {name: tensor.clone() for name, tensor in student.model.state_dict().items()}


def changed(student: TrainableEncoder, before: dict[str, Tensor]) -> set[str]:
    """Return the names of all weights that are no longer what they were, bit by bit."""
    after = student.model.state_dict()
    assert list(after) == list(before)
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


def embed(student: TrainableEncoder) -> Tensor:
    """Return the vectors of some queries and documents."""
    model = student.model.eval()
    sides = model.encode_query(SAMPLE), model.encode_document(SAMPLE)
    return torch.cat([torch.from_numpy(side) for side in sides])


# The trainer looks for garbage after every training, for longer than it trains: what was imported is none.
gc.freeze()
