"""Tuning by labels: every loss trains, prompts reach the tokenizer, the same seed gives the same weights."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_models import DEPTH
from tiny_tuning import QUICK, changed, embed, make_pairs, make_text, open_tiny, rows_of, spy_steps, weights

from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.finetuning.loss_catalog import TUNING_LOSSES, find_loss
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.columns import BINARY, LISTS, SCORED, TRIPLETS
from adaptors.rows.hard_negatives import MineOptions
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Listwise, Pairwise, Pointwise
from adaptors.training.trainer import EncoderTrainer
from probe.errors import CallError, TrainingError

_DICE = random.Random(1)


def text() -> str:
    return make_text(_DICE)


TRIPLETS_ROWS = rows_of(*(Pairwise(text(), text(), (text(), text())) for _ in range(8)))
SCORED_ROWS = rows_of(*(Pointwise(text(), text(), i / 8) for i in range(8)))
BINARY_ROWS = rows_of(*(Pointwise(text(), text(), i % 2) for i in range(8)))
LIST_ROWS = rows_of(*(Listwise(text(), (text(), text(), text()), (9.5, 3.25, -1)) for _ in range(8)))
FITTING = {id(TRIPLETS): TRIPLETS_ROWS, id(SCORED): SCORED_ROWS, id(BINARY): BINARY_ROWS, id(LISTS): LIST_ROWS}


@pytest.fixture
def student(tiny_folder: Callable[[str], Path]) -> TrainableEncoder:
    return open_tiny(tiny_folder("bert"))


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The loss of every training step that is made from now on."""
    return spy_steps(monkeypatch)


def train(student: TrainableEncoder, goal: Goal, data: TuningData, batch: int = 4) -> set[str]:
    """Return the names of what changed."""
    before = weights(student)
    (one,) = train_rounds(student, data, (), options=replace(QUICK, goal=goal, schedule=Schedule(1, batch, 1e-3)))
    assert one.epochs == ()
    return changed(student, before)


@pytest.mark.parametrize("name", TUNING_LOSSES)
def test_every_loss_trains(
    name: str, student: TrainableEncoder, tiny_folder: Callable[[str], Path], losses: list[float]
) -> None:
    loss = TUNING_LOSSES[name]
    guide = open_tiny(tiny_folder("mpnet")).model if "guide" in loss.needs else None
    found = train(student, Goal(name, (), LossOptions(guide=guide)), FITTING.get(id(loss.layout), TRIPLETS_ROWS))
    assert 2 <= len(losses) <= 8
    assert all(map(math.isfinite, losses))
    assert any("encoder.layer.0" in name for name in found)


WRAPPED = {
    "matryoshka": ("CachedMultipleNegativesRankingLoss", ["matryoshka"], LossOptions(dims=(32, 8), mini_batch=2)),
    "matryoshka-2d": ("infonce", ["matryoshka-2d"], LossOptions(dims=(32, 8))),
    "adaptive-layer": ("cosent", ["adaptive-layer"], LossOptions()),
    "collapse-guard": ("triplet", ["collapse-guard"], LossOptions(weight=0.5)),
    "spectral-flattening": ("hinge", ["matryoshka", "spectral-flattening"], LossOptions(dims=(32, 8))),
}


@pytest.mark.parametrize("wrapper", WRAPPED)
def test_every_wrapper_trains(wrapper: str, student: TrainableEncoder, losses: list[float]) -> None:
    name, around, settings = WRAPPED[wrapper]
    data = FITTING.get(id(find_loss(name)[0].layout), TRIPLETS_ROWS)
    assert any("encoder.layer.0" in name for name in train(student, Goal(name, tuple(around), settings), data))
    assert len(losses) >= 2
    assert all(map(math.isfinite, losses))


def test_no_batch_of_a_loss_of_the_batch_has_a_text_twice(
    student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, step = [], EncoderTrainer.training_step

    def spy(trainer: EncoderTrainer, model: Any, inputs: dict[str, Any], *args: Any) -> Any:
        batches.append([inputs[f"{name}_input_ids"] for name in ("anchor", "positive")])
        return step(trainer, model, inputs, *args)

    monkeypatch.setattr(EncoderTrainer, "training_step", spy)
    twice = rows_of(*(Pairwise(f"sun {word}", f"star {word}") for word in ("ice", "oil", "salt", "snow") * 3))
    train(student, Goal("infonce"), twice)
    assert len(batches) == 3
    assert all(len(column.unique(dim=0)) == len(column) for batch in batches for column in batch)


@pytest.mark.parametrize(("name", "batch"), [("batch-hard-triplet", 3), ("batch-semi-hard-triplet", 5)])
def test_batches_of_classes_that_cannot_be_drawn_are_refused(student: TrainableEncoder, name: str, batch: int) -> None:
    with pytest.raises(CallError, match=f"--batch-size {batch}: the loss '{name}' needs an even number of at least 4"):
        train(student, Goal(name), make_pairs(), batch)


def test_a_goal_that_is_not_there_is_refused_before_anything_is_embedded(
    student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SentenceTransformer, "encode", None)
    for loss, wrap in (("ndcg", ()), ("infonce", ("matrioshka",)), ("gist", ())):
        with pytest.raises(CallError):
            train_rounds(student, make_pairs(), (), options=replace(QUICK, goal=Goal(loss, wrap), rounds=1))
    with pytest.raises(CallError, match="needs anchor, positive, negative"):
        train_rounds(student, make_pairs(), (), options=replace(QUICK, goal=Goal("triplet")))


def test_one_query_alone_is_refused(student: TrainableEncoder) -> None:
    with pytest.raises(CallError, match="at least 2 different queries, found 1"):
        train_rounds(student, rows_of(*(Pairwise("sun", f"star {word}") for word in ("ice", "oil"))), (), options=QUICK)


@pytest.mark.parametrize("lora", [None, 2])
def test_the_same_seed_gives_the_same_bytes_whatever_the_dice_did_before(
    tiny_folder: Callable[[str], Path], lora: int | None
) -> None:
    found = []
    for seed in (0, 0, 1):
        student = open_tiny(tiny_folder("bert"))
        torch.rand(3)
        schedule = replace(QUICK.schedule, seed=seed)
        train_rounds(student, make_pairs(8), (), options=replace(QUICK, schedule=schedule, scope=Scope(lora=lora)))
        found.append(weights(student))
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in found[0].items())
    assert not all(torch.equal(tensor, found[2][name]) for name, tensor in found[0].items())


def test_the_dice_of_the_caller_are_left_alone(student: TrainableEncoder) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_rounds(student, make_pairs(8), (), options=replace(QUICK, scope=Scope(lora=1)))
    assert torch.equal(torch.rand(1), expected)


def test_the_rate_is_the_scopes_own_when_left_out() -> None:
    assert TuneOptions().lr == 2e-5
    assert TuneOptions(scope=Scope(lora=4)).lr == 5e-4
    assert TuneOptions(scope=Scope(lora=4), schedule=Schedule(lr=0.25)).lr == 0.25


@pytest.mark.parametrize("rate", [0.0, -1e-3])
def test_a_rate_that_teaches_nothing_is_refused(student: TrainableEncoder, rate: float) -> None:
    with pytest.raises(CallError, match=r"--lr .* is out of range: expected more than 0"):
        train_rounds(student, make_pairs(), (), options=replace(QUICK, schedule=Schedule(lr=rate)))


def test_bfloat16_leaves_weights_of_float32_that_embed_in_it(student: TrainableEncoder) -> None:
    before = weights(student)
    train_rounds(student, make_pairs(), (), options=replace(QUICK, schedule=Schedule(1, 4, 1e-3, bfloat16=True)))
    assert changed(student, before)
    assert {tensor.dtype for tensor in weights(student).values() if tensor.is_floating_point()} == {torch.float32}
    assert not torch.equal(embed(student), embed(student).bfloat16().float())


def test_it_learns_what_it_is_shown(student: TrainableEncoder) -> None:
    data = make_pairs(16)
    corpus = [row.positive for row in data.rows if isinstance(row, Pairwise)]

    def right() -> float:
        queries = torch.from_numpy(student.model.eval().encode_query([row.query for row in data.rows]))
        documents = torch.from_numpy(student.model.encode_document(corpus))
        scores = torch.nn.functional.cosine_similarity(queries[:, None], documents[None], dim=2)
        return float((scores.argmax(dim=1) == torch.arange(len(corpus))).float().mean())

    before = right()
    train_rounds(student, data, (), options=replace(QUICK, schedule=Schedule(20, 16, 3e-3)))
    assert right() > max(0.9, before)


def test_negatives_are_mined_anew_in_every_round(student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    from adaptors.finetuning import rounds as tuning

    mined, mine = [], tuning.mine_negatives

    def spy(data: TuningData, model: SentenceTransformer, corpus: Sequence[str], **named: Any) -> TuningData:
        assert not model.training
        mined.append((data, torch.from_numpy(model.encode("sun")), tuple(corpus)))
        return mine(data, model, corpus, **named)

    monkeypatch.setattr(tuning, "mine_negatives", spy)
    data, corpus = make_pairs(12), tuple(text() for _ in range(20))
    rounds = train_rounds(student, data, corpus, options=replace(QUICK, rounds=2, mining=MineOptions(2, 0, 20, -5.0)))
    assert [one.rows for one in rounds] == [12, 12]
    (first, before, found), (second, after, _) = mined
    assert found == corpus
    assert first == second
    assert not torch.equal(before, after)


def test_what_was_left_out_of_a_round_is_told(student: TrainableEncoder) -> None:
    data = rows_of(*make_pairs(9).rows, Pairwise("sun", "star light", ("ice", "ice", "ice ")))
    (one,) = train_rounds(
        student, data, [text() for _ in range(9)], options=replace(QUICK, rounds=1, mining=MineOptions(2, 0, 18, -5))
    )
    assert "duplicate" in one.notes[0]


def test_a_loss_that_is_no_number_ends_it(student: TrainableEncoder) -> None:
    with torch.no_grad():
        student.towers[0].stack.blocks[DEPTH - 1].output.dense.weight.fill_(float("inf"))  # type: ignore[union-attr]
    with pytest.raises(TrainingError, match="the loss is nan after 1 steps: lower --lr"):
        train_rounds(student, make_pairs(), (), options=QUICK)


def test_tokens_cut_the_texts_while_training_alone(student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths, longest = set(), student.model.max_seq_length
    step = EncoderTrainer.training_step

    def spy(self: EncoderTrainer, model: Any, inputs: dict[str, Any], *args: Any) -> Any:
        lengths.update(value.shape[1] for name, value in inputs.items() if name.endswith("input_ids"))
        return step(self, model, inputs, *args)

    monkeypatch.setattr(EncoderTrainer, "training_step", spy)
    train_rounds(student, make_pairs(), (), options=replace(QUICK, schedule=replace(QUICK.schedule, max_tokens=8)))
    assert max(lengths) == 8
    assert student.model.max_seq_length == longest
