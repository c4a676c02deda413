"""A healing leaves nothing worse than it began, belongs to one student and one teacher, and ends by the clock."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from tiny_models import make_texts
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.healing.held_out import Agreement, HeldOutTexts
from adaptors.healing.texts import HealTexts
from adaptors.healing.trainer import HealedState, HealOptions, train_student
from adaptors.training.metrics_log import TrainingLog
from adaptors.training.pace import Budget
from probe.errors import CallError, TrainingError

OPTIONS = HealOptions(steps=20, batch_size=4, lr=5e-3, bfloat16=False)


class Clock:
    """A clock on which every look, and every step that is told, takes a while."""

    def __init__(self, step: float = 1.0) -> None:
        """Let a step take so many seconds."""
        self.now, self.step, self.steps = 0.0, step, 0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def tell(self, name: str, done: int, total: int) -> None:
        """Let the time of a step pass."""
        self.now += self.step * done
        self.steps += done


def open_tiny(folder: Path, spoil: float = 1.0) -> TrainableEncoder:
    with TemporaryDirectory() as scratch:
        student = open_trainable(str(folder), Path(scratch))
    with torch.no_grad():
        student.towers[0].stack.blocks[-1].output.dense.weight.mul_(spoil)
    return student


@pytest.fixture(scope="module")
def texts(tiny_folder: Callable[[str], Path]) -> HealTexts:
    """Texts with the vectors of the tiny model itself."""
    written = tuple(make_texts(60, seed=1))
    targets = open_tiny(tiny_folder("bert")).model.encode(list(written), convert_to_tensor=True)
    return HealTexts(written, normalize(targets, dim=1), ())


def weights(student: TrainableEncoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in student.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_texts_that_judge_are_not_learned_from(texts: HealTexts) -> None:
    twice = replace(texts, texts=texts.texts * 2, targets=texts.targets.repeat(2, 1))
    train, held = twice.hold_out(3)
    assert len(held.texts) == len(set(texts.texts)) // 10
    assert not set(train.texts) & set(held.texts)
    assert set(train.texts) | set(held.texts) == set(texts.texts)
    assert all(
        torch.equal(twice.targets[twice.texts.index(text)], row) for text, row in zip(*_pairs(held), strict=True)
    )
    assert twice.hold_out(3)[1].texts == held.texts != twice.hold_out(4)[1].texts


def _pairs(texts: HealTexts) -> tuple[tuple[str, ...], Tensor]:
    return texts.texts, texts.targets


def test_agreement_is_that_of_the_vectors(texts: HealTexts, tiny_folder: Callable[[str], Path]) -> None:
    judge = HeldOutTexts(texts)
    whole = judge.measure(open_tiny(tiny_folder("bert")).model)
    assert (whole.cosine, whole.neighbours) == (pytest.approx(1, abs=1e-5), pytest.approx(1, abs=0.02))
    student = open_tiny(tiny_folder("bert"), -1)
    found = normalize(student.model.encode(list(texts.texts), convert_to_tensor=True), dim=1)
    measured = judge.measure(student.model)
    assert measured.cosine == pytest.approx(float((found * texts.targets).sum(dim=1).mean()), abs=1e-5)
    assert measured.neighbours < 0.9


def test_a_healing_that_makes_it_worse_leaves_the_start_and_says_so(
    texts: HealTexts, tiny_folder: Callable[[str], Path]
) -> None:
    student = open_tiny(tiny_folder("bert"))
    before = weights(student)
    result = train_student(student, texts, replace(OPTIONS, lr=0.05))
    assert same(weights(student), before)
    assert (result.kept, result.before, result.steps, result.held_out) == (0, result.after, 20, 6)
    assert result.last.cosine < result.before.cosine
    assert "than the start, so the start is saved" in result.notes[0]
    assert "20 steps are few" in result.notes[1]


def test_the_state_that_is_kept_is_the_nearest_one(texts: HealTexts, tiny_folder: Callable[[str], Path]) -> None:
    student = open_tiny(tiny_folder("bert"), -1)
    result = train_student(student, texts, OPTIONS)
    found = HeldOutTexts(texts.hold_out(OPTIONS.seed)[1]).measure(student.model)
    assert result.after.cosine == pytest.approx(found.cosine, abs=1e-5)
    assert result.after.cosine > result.before.cosine
    assert result.notes


def test_few_steps_and_steps_that_were_too_many_are_said() -> None:
    one = Agreement(0.5, 0.5)
    said = [HealedState(steps, kept, one, one, one, 9, ()).notes for steps, kept in ((20, 20), (900, 900), (900, 90))]
    assert said[1] == ()
    assert "20 steps are few" in said[0][0]
    assert "after 90 of 900 steps was the closest" in said[2][0]


@pytest.mark.parametrize("change", ["student", "teacher", "prompts"])
def test_checkpoints_of_another_student_or_teacher_are_refused(
    change: str, texts: HealTexts, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    options = replace(OPTIONS, steps=2, checkpoint_dir=tmp_path)
    train_student(open_tiny(tiny_folder("bert"), -1), texts, options)
    student = open_tiny(tiny_folder("bert"), -0.5 if change == "student" else -1)
    if change == "prompts":
        student = replace(student, prompts={"query": "another: "})
    # Other vectors with the same sum.
    other = replace(texts, targets=texts.targets.flip(1)) if change == "teacher" else texts
    with pytest.raises(CallError, match="another training"):
        train_student(student, other, options)


def budgeted(folder: Path, texts: HealTexts, clock: Clock, **options: Any) -> tuple[TrainableEncoder, HealedState]:
    student = open_tiny(folder, -1)
    budget = Budget(1, clock, reserve=10)
    clock.now += 5  # setting up
    return student, train_student(student, texts, replace(OPTIONS, budget=budget, progress=clock.tell, **options))


def test_minutes_end_a_healing_by_the_clock(texts: HealTexts, tiny_folder: Callable[[str], Path]) -> None:
    clock = Clock(2)
    _, result = budgeted(tiny_folder("bert"), texts, clock)
    # 60 seconds, of which setting up took 5, saving needs 10, and a step takes 2.
    assert 38 <= clock.now - 5 <= 45
    assert 19 <= result.steps == clock.steps <= 22
    assert result.after.cosine > result.before.cosine


def test_a_healing_by_the_clock_is_taken_up_again_with_the_time_it_has_left(
    texts: HealTexts, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, first = tiny_folder("bert"), Clock(2)

    tell = first.tell

    def interrupted(name: str, done: int, total: int) -> None:
        tell(name, done, total)
        if first.steps == 14:
            raise KeyboardInterrupt

    first.tell = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        budgeted(folder, texts, first, checkpoint_dir=tmp_path)
    second = Clock(2)
    _, result = budgeted(folder, texts, second, checkpoint_dir=tmp_path)
    assert second.steps <= 12
    assert 18 <= result.steps <= 23
    third = Clock(2)
    _, again = budgeted(folder, texts, third, checkpoint_dir=tmp_path)
    assert (third.steps, again) == (0, result)


def test_a_time_that_is_over_before_the_first_step_is_said(
    texts: HealTexts, tiny_folder: Callable[[str], Path]
) -> None:
    clock = Clock()
    budget = Budget(1, clock, reserve=30)
    clock.now = 31
    with pytest.raises(TrainingError, match="1 ran out before the first step: setup took 31 s and saving needs 30 s"):
        train_student(open_tiny(tiny_folder("bert")), texts, replace(OPTIONS, budget=budget))


def test_the_rate_falls_with_the_time(
    texts: HealTexts, tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.healing.trainer._LOG_STEPS", 1)
    budgeted(tiny_folder("bert"), texts, Clock(2), log=tmp_path / "log.jsonl")
    rates = [json.loads(line)["rate"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert max(rates[:4]) == max(rates)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] < 0.2 * max(rates)


def test_terms_of_the_loss_are_logged_with_the_training(
    texts: HealTexts, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, float]] = []
    monkeypatch.setattr(
        TrainingLog, "on_log", lambda log, args, state, control, logs=None, **options: seen.append(dict(logs or {}))
    )
    student = open_tiny(tiny_folder("bert"), -1)
    student.model.train()
    train_student(student, texts, OPTIONS)
    (trained,) = (logs for logs in seen if "loss" in logs)
    assert trained["loss"] == pytest.approx(trained["distance"] + trained["relations"], rel=1e-3)
    assert not any("eval_distance" in logs for logs in seen)
