"""A round of training ends as its best epoch left it: with scripted scores, the weights of every epoch known."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_tuning import QUICK, make_pairs, make_text, open_tiny, rows_of, spy_steps, weights
from torch import Tensor

from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.finetuning.evaluator import HeldOutRows
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import Round, train_rounds
from adaptors.rows.rows import Pointwise
from adaptors.training.trainer import EncoderTrainer

# Five epochs of two steps.
OPTIONS = replace(QUICK, schedule=Schedule(5, 4, 1e-3), hold_out=0.2)
DATA = make_pairs(10)


class Script:
    """Gives chosen scores, one a time it is asked, and remembers the weights it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
        self.seen: list[dict[str, Tensor]] = []
        self.steps = spy_steps(monkeypatch)

        def ask(evaluator: HeldOutRows, model: Any, *args: Any, **named: Any) -> dict[str, float]:
            self.seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
            score = scores[len(self.seen) - 1]
            return {"ndcg@10": score, "ndcg@10_32": score}

        monkeypatch.setattr(HeldOutRows, "__call__", ask)


def run(folder: Path, options: TuneOptions = OPTIONS) -> tuple[TrainableEncoder, tuple[Round, ...]]:
    student = open_tiny(folder)
    return student, train_rounds(student, DATA, (), options=options)


CASES = {
    "the last": ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], 5, 5),
    "one in the middle": ([0.1, 0.2, 0.6, 0.4, 0.5], 2, 4),
    "better again after one that was not": ([0.1, 0.5, 0.4, 0.6, 0.5, 0.5], 3, 5),
    "the first of equals": ([0.1, 0.5, 0.5, 0.5], 1, 3),
    "the beginning": ([0.9, 0.1, 0.2], 0, 2),
    "the beginning of equals": ([0.5, 0.5, 0.5], 0, 2),
    "one after a bad one": ([0.5, 0.4, 0.6, 0.1, 0.1], 2, 4),
}


@pytest.mark.parametrize(
    ("case", "lora"), [*((case, None) for case in CASES), ("one after a bad one", 2), ("the beginning", 2)]
)
def test_a_round_ends_as_its_best_epoch_left_it(
    case: str, lora: int | None, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, best, done = CASES[case]
    script = Script(monkeypatch, scores)
    monkeypatch.setattr("adaptors.finetuning.parameters.TrainedWeights.merge_adapters", lambda weights: None)
    student, (one,) = run(tiny_folder("bert"), replace(OPTIONS, scope=Scope(lora=lora)))
    assert [epoch.number for epoch in one.epochs] == list(range(done + 1))
    assert [epoch.scores[32] for epoch in one.epochs] == scores[: done + 1]
    assert len(script.steps) == 2 * done
    assert all(torch.equal(tensor, script.seen[best][name]) for name, tensor in weights(student).items())
    assert not all(torch.equal(tensor, script.seen[best - 1][name]) for name, tensor in weights(student).items())


@pytest.mark.parametrize(("losses", "best"), [([0.5, 0.6, 0.2, 0.3, 0.4], 2), ([0.1, 0.6, 0.2], 0)])
def test_labels_that_are_scores_choose_the_epoch_of_the_least_loss_on_held_out_rows(
    losses: list[float], best: int, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Tensor]] = []
    evaluate = EncoderTrainer.evaluation_loop

    def spy(trainer: EncoderTrainer, *args: Any, **named: Any) -> Any:
        found = evaluate(trainer, *args, **named)
        assert found.metrics["eval_loss"] > 0
        seen.append({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()})
        found.metrics["eval_loss"] = losses[len(seen) - 1]
        return found

    monkeypatch.setattr(EncoderTrainer, "evaluation_loop", spy)
    student, dice = open_tiny(tiny_folder("bert")), random.Random(4)
    rows = (Pointwise(make_text(dice), make_text(dice), (0.3, 0.7, 0.9)[i % 3]) for i in range(12))
    (one,) = train_rounds(student, rows_of(*rows), (), options=replace(OPTIONS, goal=Goal("cosent"), hold_out=0.3))
    assert [epoch.held_out_loss for epoch in one.epochs] == losses
    assert all(torch.equal(tensor, seen[best][name]) for name, tensor in weights(student).items())
    assert not all(torch.equal(tensor, seen[best - 1][name]) for name, tensor in weights(student).items())


def test_epochs_tell_the_mean_loss_of_their_steps(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = spy_steps(monkeypatch)
    # Three steps of an epoch are logged as the mean of two and as the last one.
    monkeypatch.setattr("adaptors.finetuning.trainer._LOGS_PER_EPOCH", 3 / 2)
    _, (one,) = run(tiny_folder("bert"), replace(OPTIONS, schedule=Schedule(2, 3, 1e-3)))
    first, *later = one.epochs
    assert (first.train_loss, len(losses)) == (None, 6)
    for place, epoch in enumerate(later):
        assert epoch.train_loss == pytest.approx(sum(losses[3 * place : 3 * place + 3]) / 3, rel=1e-6)


def test_every_round_begins_as_the_best_epoch_of_the_one_before_it_left_it(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from adaptors.rows.hard_negatives import MineOptions

    script = Script(monkeypatch, [0.1, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1])
    options = replace(OPTIONS, rounds=2, mining=MineOptions(1, 0, 9, -5))
    student, (first, second) = run(tiny_folder("bert"), options)
    assert (len(first.epochs), len(second.epochs)) == (4, 3)
    for one, other in ((4, 1), (4, 4)):
        assert all(torch.equal(tensor, script.seen[other][name]) for name, tensor in script.seen[one].items())
    assert all(torch.equal(tensor, script.seen[1][name]) for name, tensor in weights(student).items())


def test_without_held_out_queries_the_last_epoch_is_kept_and_nothing_is_asked(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(monkeypatch, [])
    _, (one,) = run(tiny_folder("bert"), replace(OPTIONS, hold_out=0.0))
    assert (one.epochs, script.seen, len(script.steps)) == ((), [], 15)
    assert one.rows == 10
