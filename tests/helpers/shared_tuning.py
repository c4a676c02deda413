"""Tunings that one process does alone, and several by sharing their batches; run as a script by each of these."""

import random
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from tiny_tuning import QUICK, make_pairs, make_text, rows_of, weights

from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Pairwise, Pointwise
from adaptors.training.distributed import is_first

__all__ = ["CASES", "tune_all"]

# Two epochs of four steps; the last batch of one is not full, but two processes can halve it.
OPTIONS = replace(QUICK, schedule=Schedule(2, 4, 1e-3))
PAIRS = make_pairs(14)
_DICE = random.Random(4)
SCORED = rows_of(*(Pointwise(make_text(_DICE), make_text(_DICE), (0.3, 0.7, 0.9)[i % 3]) for i in range(14)))
TRIPLES = rows_of(*(Pairwise(make_text(_DICE, 5), make_text(_DICE), (make_text(_DICE),)) for _ in range(14)))
WORDS = ("ice", "oil", "salt", "snow")
CLASSES = rows_of(*(Pairwise(word, f"{word} {other}") for word in WORDS for other in ("sun", "star", "rain", "wood")))

CASES: dict[str, tuple[TuningData, TuneOptions]] = {
    "infonce": (PAIRS, replace(OPTIONS, hold_out=0.3)),
    "infonce-cached": (PAIRS, replace(OPTIONS, goal=Goal("infonce", (), LossOptions(mini_batch=1)))),
    "gist": (PAIRS, replace(OPTIONS, goal=Goal("gist"))),
    "hinge": (PAIRS, replace(OPTIONS, goal=Goal("hinge"))),
    "triplet": (TRIPLES, replace(OPTIONS, goal=Goal("triplet"))),
    "cosent": (SCORED, replace(OPTIONS, goal=Goal("cosent"), hold_out=0.3)),
    "batch-hard-triplet": (CLASSES, replace(OPTIONS, goal=Goal("batch-hard-triplet"))),
    "wrapped": (
        PAIRS,
        replace(OPTIONS, goal=Goal("infonce", ("collapse-guard", "matryoshka"), LossOptions(dims=(32, 8)))),
    ),
}


def tune_all(folder: Path, out: Path) -> None:
    """Tune a model in every way and save the weights, by the name of the case."""
    with TemporaryDirectory() as scratch:
        # Beside the first one, a process that has met others writes no model.
        students = {name: open_trainable(str(folder), Path(scratch)) for name in CASES}
        guide = open_trainable(str(folder), Path(scratch)).model
    for name, (data, options) in CASES.items():
        student = students[name]
        goal = replace(options.goal, settings=LossOptions(guide=guide)) if name == "gist" else options.goal
        train_rounds(student, data, [f"snow {i} wood" for i in range(9)], options=replace(options, goal=goal))
        if is_first():
            save_file(weights(student), out / f"{name}.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    tune_all(*map(Path, sys.argv[1:]))
