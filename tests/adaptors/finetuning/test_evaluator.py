"""Held-out rows: which queries they are, how they are ranked, and that none of them is trained on."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_models import PROMPTS
from tiny_tuning import QUICK, changed, make_pairs, make_text, open_tiny, rows_of, weights

from adaptors.finetuning.evaluator import HeldOutRows, hold_out
from adaptors.finetuning.options import Goal, Schedule
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from adaptors.training.metrics_log import SampleGeometry
from adaptors.training.trainer import EncoderTrainer
from probe.errors import TrainingError

SCHEDULE = Schedule(3, 4, 1e-3)


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder("bert")), device="cpu")


def test_queries_are_split_whole_and_by_the_seed() -> None:
    rows: list[Row] = [Pairwise(f"q{i % 20}", f"d{i}") for i in range(60)]
    train, held = hold_out(rows, 0.25, 3)
    asked, kept = {row.query for row in held}, {row.query for row in train}
    assert (len(asked), len(kept), asked & kept) == (5, 15, set())
    assert [*train, *held] != rows
    assert sorted([*train, *held], key=rows.index) == rows
    assert train == [row for row in rows if row in train]
    assert hold_out(rows, 0.25, 3) == (train, held) != hold_out(rows, 0.25, 4)


def test_nothing_or_nearly_all_is_held_out() -> None:
    rows: list[Row] = [Pairwise(f"q{i}", "d") for i in range(4)]
    assert hold_out(rows, 0.0, 0) == (rows, [])
    assert len(hold_out(rows, 0.01, 0)[1]) == 1
    assert len(hold_out(rows, 0.9, 0)[1]) == 3
    assert hold_out(rows[:1], 0.5, 0) == (rows[:1], [])


def plain_ndcg(queries: Sequence[Sequence[float]], documents: Sequence[Sequence[float]], grades: Any) -> float:
    """Mean nDCG@10 by loops, in float64; of equal scores the later document comes first."""

    def cosine(left: Sequence[float], right: Sequence[float]) -> float:
        def dot(one: Sequence[float], other: Sequence[float]) -> float:
            return sum(a * b for a, b in zip(one, other, strict=True))

        return dot(left, right) / math.sqrt(dot(left, left) * dot(right, right))

    total = 0.0
    for query, vector in enumerate(queries):
        order = sorted(range(len(documents)), key=lambda place: -cosine(vector, documents[place]))
        gains = [grades[query].get(place, 0) for place in order[:10]]
        best = sorted(grades[query].values(), reverse=True)[:10]
        total += sum(g / math.log2(r + 2) for r, g in enumerate(gains)) / sum(
            g / math.log2(r + 2) for r, g in enumerate(best)
        )
    return total / len(queries)


def test_it_is_the_ndcg_of_the_queries_among_positives_and_corpus(model: SentenceTransformer) -> None:
    dice = random.Random(2)
    texts = [make_text(dice) for _ in range(14)]
    rows = [Pairwise(make_text(dice, 5), texts[i], (), float(1 + i % 3)) for i in range(5)]
    rows += [replace(rows[0], positive=texts[7], grade=2.0)]
    found = HeldOutRows(rows, [*texts[3:], texts[9]])(model)
    queries = list(dict.fromkeys(row.query for row in rows))
    grades: list[dict[int, float]] = [{} for _ in queries]
    for row in rows:
        grades[queries.index(row.query)][texts.index(row.positive)] = row.grade
    embedded = (
        [model.encode(PROMPTS[side] + text).astype(float).tolist() for text in some]
        for side, some in (("query", queries), ("document", texts))
    )
    expected = plain_ndcg(*embedded, grades)
    assert 0 < expected < 1
    assert found == pytest.approx({"ndcg@10": expected, "ndcg@10_32": expected}, abs=1e-6)


def test_all_judged_documents_are_searched_and_others_up_to_a_number(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.finetuning.evaluator._MOST_DOCUMENTS", 8)
    searched: list[list[str]] = []
    encode = SentenceTransformer.encode_document
    monkeypatch.setattr(
        SentenceTransformer,
        "encode_document",
        lambda self, texts, **o: searched.append(texts) or encode(self, texts, **o),
    )
    dice = random.Random(2)
    rows = [Pairwise(make_text(dice), make_text(dice)) for _ in range(5)]
    corpus = [make_text(dice) for _ in range(50)]
    for _ in range(2):
        HeldOutRows(rows, [rows[0].positive, *corpus, *corpus])(model)
    HeldOutRows([*rows, *(replace(row, positive=row.query) for row in rows)], corpus)(model)
    first, again, many = searched
    assert first == again
    assert first[:5] == [row.positive for row in rows]
    assert len(set(first[5:])) == 3
    assert set(first[5:]) <= set(corpus)
    assert len(many) == 10


def test_a_model_in_training_is_asked_as_it_embeds_and_trains_on(model: SentenceTransformer) -> None:
    rows, modes = [row for row in make_pairs(5).rows if isinstance(row, Pairwise)], []
    model.register_forward_hook(lambda *_: modes.append(model.training))
    model.train()
    HeldOutRows(rows, ())(model)
    assert model.training
    assert set(modes) == {False}


@pytest.mark.parametrize("bfloat16", [False, True])
def test_in_a_training_it_is_asked_in_the_precision_of_the_training(
    bfloat16: bool, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, ask = open_tiny(tiny_folder("bert")), HeldOutRows.__call__
    fast: list[bool] = []

    def spy(evaluator: HeldOutRows, *args: Any, **named: Any) -> dict[str, float]:
        block = student.towers[0].stack.blocks[0]
        hook = block.register_forward_hook(lambda *_: fast.append(torch.is_autocast_enabled("cpu")))
        try:
            return ask(evaluator, *args, **named)
        finally:
            hook.remove()

    monkeypatch.setattr(HeldOutRows, "__call__", spy)
    train_rounds(
        student,
        make_pairs(8),
        (),
        options=replace(QUICK, schedule=Schedule(1, 4, 1e-3, bfloat16=bfloat16), hold_out=0.3),
    )
    assert len(fast) == 4
    assert set(fast) == {bfloat16}


def test_a_collapse_ends_it(model: SentenceTransformer) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    rows = [row for row in make_pairs(5).rows if isinstance(row, Pairwise)]
    with pytest.raises(TrainingError, match=r"collapsed: all vectors are equal after 12 steps.*lower --lr, or add"):
        HeldOutRows(rows, ())(model, steps=12)


def test_a_collapse_ends_a_training(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    student, step = open_tiny(tiny_folder("bert")), EncoderTrainer.training_step

    def spoil(self: EncoderTrainer, *args: Any) -> Any:
        loss = step(self, *args)
        for parameter in self.model.parameters():
            parameter.data.zero_()
            parameter.grad = None
        return loss

    monkeypatch.setattr(EncoderTrainer, "training_step", spoil)
    monkeypatch.setattr("adaptors.training.trainer.measure_sample", lambda *_: SampleGeometry(0, 0, 0, 0))
    with pytest.raises(TrainingError, match="collapsed: all vectors are equal after 5 steps"):
        train_rounds(student, make_pairs(), (), options=replace(QUICK, schedule=SCHEDULE, hold_out=0.2))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """All texts that trainers are given to train on."""
    found: set[str] = set()
    run = EncoderTrainer.run

    def spy(self: EncoderTrainer) -> None:
        data: Any = self.train_dataset
        found.update(text for name in data.column_names for text in data[name] if isinstance(text, str))
        run(self)

    monkeypatch.setattr(EncoderTrainer, "run", spy)
    return found


@pytest.mark.parametrize("rounds", [0, 1])
def test_held_out_queries_are_never_trained_on(
    tiny_folder: Callable[[str], Path], trained: set[str], rounds: int
) -> None:
    from adaptors.rows.hard_negatives import MineOptions

    data = make_pairs()
    train, held = hold_out(data.rows, 0.25, 0)
    options = replace(QUICK, schedule=replace(SCHEDULE, epochs=1), hold_out=0.25, rounds=rounds)
    (one,) = train_rounds(
        open_tiny(tiny_folder("bert")), data, (), options=replace(options, mining=MineOptions(1, 0, 9, -5))
    )
    assert {row.query for row in train} <= trained
    assert not {row.query for row in held} & trained
    assert [epoch.number for epoch in one.epochs] == [0, 1]
    assert all(set(epoch.scores) == {32} for epoch in one.epochs)


def test_labels_that_are_scores_choose_by_the_loss_on_held_out_rows(tiny_folder: Callable[[str], Path]) -> None:
    dice = random.Random(4)
    data = rows_of(*(Pointwise(make_text(dice), make_text(dice), (0.3, 0.7, 0.9)[i % 3]) for i in range(24)))
    options = replace(QUICK, schedule=SCHEDULE, hold_out=0.25, goal=Goal("cosent"))
    student = open_tiny(tiny_folder("bert"))
    before = weights(student)
    (one,) = train_rounds(student, data, (), options=options)
    assert all(epoch.scores == {} and epoch.held_out_loss is not None for epoch in one.epochs)
    best = min(one.epochs, key=lambda epoch: epoch.held_out_loss or 0)
    assert best.number > 0
    assert changed(student, before)


@pytest.mark.parametrize(
    ("loss", "rows"),
    [
        ("cosent", [Pointwise(f"sun {i}", f"star {i}", i / 10) for i in range(8)]),
        ("contrastive", [Pointwise(f"sun {i}", f"star {i}", float(i == 0)) for i in range(8)]),
    ],
)
def test_held_out_rows_that_no_loss_can_tell_apart_are_trained_on_instead(
    loss: str, rows: list[Row], tiny_folder: Callable[[str], Path], trained: set[str]
) -> None:
    (one,) = train_rounds(
        open_tiny(tiny_folder("bert")), rows_of(*rows), (), options=replace(QUICK, goal=Goal(loss), hold_out=0.1)
    )
    assert one.epochs == ()
    assert {row.query for row in rows} <= trained
    assert "no rows are held out" in one.notes[-1]


def test_lists_of_a_teachers_scores_choose_by_the_loss(tiny_folder: Callable[[str], Path]) -> None:
    dice = random.Random(4)
    rows = [Listwise(make_text(dice), (make_text(dice), make_text(dice)), (dice.random(), -1.5)) for _ in range(12)]
    options = replace(QUICK, schedule=replace(SCHEDULE, epochs=1), hold_out=0.25, goal=Goal("margin-mse"))
    (one,) = train_rounds(open_tiny(tiny_folder("bert")), rows_of(*rows), (), options=options)
    assert [epoch.held_out_loss is None for epoch in one.epochs] == [False, False]
