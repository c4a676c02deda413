"""Checkpoints belong to one training: another model, other rows or other options are refused before a step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_tuning import QUICK, Interrupted, make_pairs, open_tiny, rows_of

from adaptors.finetuning.evaluator import hold_out
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.hard_negatives import MineOptions
from probe.errors import CallError

DATA = make_pairs()
CORPUS = ["snow wood", "ice"]
OPTIONS = replace(QUICK, schedule=Schedule(1, 3, 1e-3), hold_out=0.2)


def other_guide(tiny_folder: Callable[[str], Path], seed: int) -> Goal:
    guide = open_tiny(tiny_folder("bert")).model
    with torch.no_grad():
        next(iter(guide.parameters())).add_(seed)
    return Goal("gist", (), LossOptions(guide=guide))


CHANGES: dict[str, Callable[[TuneOptions], TuneOptions]] = {
    "another seed": lambda options: replace(options, schedule=replace(options.schedule, seed=1)),
    "another rate": lambda options: replace(options, schedule=replace(options.schedule, lr=2e-3)),
    "more epochs": lambda options: replace(options, schedule=replace(options.schedule, epochs=5)),
    "another batch": lambda options: replace(options, schedule=replace(options.schedule, batch_size=4)),
    "shorter texts": lambda options: replace(options, schedule=replace(options.schedule, max_tokens=8)),
    "another loss": lambda options: replace(options, goal=Goal("hinge")),
    "a loss around": lambda options: replace(options, goal=Goal("infonce", ("collapse-guard",))),
    "another temperature": lambda options: replace(options, goal=Goal("infonce", (), LossOptions(0.2))),
    "other weights": lambda options: replace(options, scope=Scope(last_blocks=1)),
    "other queries": lambda options: replace(options, hold_out=0.3),
    "mined": lambda options: replace(options, rounds=1, mining=MineOptions(1, 0, 20, -5)),
}


@pytest.fixture(scope="module")
def kept(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> TuneOptions:
    options = replace(OPTIONS, checkpoint_dir=tmp_path_factory.mktemp("kept"))
    with pytest.raises(KeyboardInterrupt):
        train_rounds(open_tiny(tiny_folder("bert")), DATA, CORPUS, options=replace(options, progress=Interrupted(1)))
    return options


@pytest.mark.parametrize("change", CHANGES)
def test_checkpoints_of_other_options_are_refused(
    change: str, kept: TuneOptions, tiny_folder: Callable[[str], Path]
) -> None:
    with pytest.raises(CallError, match=r"checkpoints of another training .*: choose an empty folder, or delete it"):
        train_rounds(open_tiny(tiny_folder("bert")), DATA, CORPUS, options=CHANGES[change](kept))


def test_checkpoints_of_other_rows_or_another_model_are_refused(
    kept: TuneOptions, tiny_folder: Callable[[str], Path]
) -> None:
    held = hold_out(DATA.rows, 0.2, 0)[1][0]
    others = [
        rows_of(*DATA.rows[:-1]),
        rows_of(*(replace(row, positive="ice") if row is held else row for row in DATA.rows)),  # type: ignore[call-arg]
    ]
    for folder, data in (
        (tiny_folder("bert"), others[0]),
        (tiny_folder("bert"), others[1]),
        (tiny_folder("mpnet"), DATA),
    ):
        with pytest.raises(CallError, match="another training"):
            train_rounds(open_tiny(folder), data, CORPUS, options=kept)
    with pytest.raises(CallError, match="another training"):
        train_rounds(open_tiny(tiny_folder("bert")), DATA, ["another corpus"], options=kept)


def test_checkpoints_of_another_guide_are_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    options = replace(OPTIONS, checkpoint_dir=tmp_path, goal=other_guide(tiny_folder, 0))
    with pytest.raises(KeyboardInterrupt):
        train_rounds(open_tiny(tiny_folder("bert")), DATA, CORPUS, options=replace(options, progress=Interrupted(1)))
    with pytest.raises(CallError, match="another training"):
        train_rounds(
            open_tiny(tiny_folder("bert")), DATA, CORPUS, options=replace(options, goal=other_guide(tiny_folder, 1))
        )
    train_rounds(
        open_tiny(tiny_folder("bert")), DATA, CORPUS, options=replace(options, goal=other_guide(tiny_folder, 0))
    )
