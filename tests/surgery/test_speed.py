"""Speeds by a clock that only the encoders move: in turn, per round, and compared round by round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

import surgery
from probe.errors import CallError
from surgery.speed import Speed, Spread, measure_speed


@dataclass
class Machine:
    """A clock, and the encoders that ran, in order."""

    now: float = 0.0
    slowness: float = 1.0
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now


@dataclass
class TimedEncoder:
    """Takes a fixed time per query and per character of a document, as many times as the machine is slow."""

    name: str
    machine: Machine
    per_query: float
    per_character: float

    def encode_query(self, texts: Sequence[str]) -> Any:
        self.machine.now += self.machine.slowness * self.per_query * len(texts)
        return self._record(texts)

    def encode_document(self, texts: Sequence[str]) -> Any:
        self.machine.now += self.machine.slowness * self.per_character * sum(map(len, texts))
        return self._record(texts)

    def _record(self, texts: Sequence[str]) -> Any:
        self.machine.ran.append((self.name, tuple(texts)))
        return np.zeros((len(texts), 2), np.float32)


QUERIES = ["who", "where", "when"]
DOCUMENTS = ["d" * length for length in (1, 5, 3, 2, 4)]


def pair(machine: Machine) -> dict[str, Any]:
    return {"full": TimedEncoder("full", machine, 0.010, 0.100), "cut": TimedEncoder("cut", machine, 0.004, 0.025)}


def test_speeds_are_those_of_the_clock() -> None:
    machine = Machine()
    found = measure_speed(pair(machine), QUERIES, DOCUMENTS, rounds=3, clock=machine)
    assert list(found) == ["full", "cut"]
    assert [speed.ms_per_query for speed in found.values()] == pytest.approx([10, 4])
    assert [speed.docs_per_second for speed in found.values()] == pytest.approx([5 / 1.5, 5 / 0.375])
    ratio = found["cut"].ratio_to(found["full"])
    assert (ratio.queries.median, ratio.documents.median) == pytest.approx((2.5, 4))
    assert str(ratio.queries) == "2.50 (2.50 to 2.50)"


def test_each_text_goes_through_all_encoders_before_the_next_and_none_is_always_first() -> None:
    machine = Machine()
    measure_speed(pair(machine), QUERIES, DOCUMENTS, rounds=2, batch_size=2, clock=machine)
    warm, counted = machine.ran[:4], machine.ran[4:]
    longest = ("ddddd", "dddd")
    assert warm == [(name, texts) for name in ("full", "cut") for texts in (("who",), longest)]
    inputs = [*((query,) for query in QUERIES), longest, ("ddd", "dd"), ("d",)]
    orders = [("full", "cut"), ("cut", "full"), ("full", "cut")] * 2
    assert counted == [(name, texts) for texts, order in zip(inputs, orders, strict=True) for name in order] * 2


def test_a_round_on_a_busy_machine_moves_no_ratio_and_no_median() -> None:
    machine = Machine()

    def slow_down(step: str, done: int, total: int) -> None:
        assert (step, done, total) == ("measuring speed", 1, 3)
        machine.slowness = 8.0 if machine.slowness == 1 else 1.0  # the second of three rounds

    found = measure_speed(pair(machine), QUERIES, DOCUMENTS, rounds=3, clock=machine, progress=slow_down)
    assert max(found["full"].query_seconds) == pytest.approx(0.080)
    assert found["full"].ms_per_query == pytest.approx(10)
    ratio = found["cut"].ratio_to(found["full"])
    for spread in (ratio.queries, ratio.documents):
        assert spread.low == pytest.approx(spread.median) == pytest.approx(spread.high)


def test_a_ratio_is_the_median_of_the_rounds_not_the_ratio_of_medians() -> None:
    full, cut = Speed((1.0, 2.0, 9.0), (1.0, 1.0, 1.0), 4), Speed((1.0, 1.0, 3.0), (0.5, 0.25, 1.0), 4)
    ratio = cut.ratio_to(full)
    assert ratio.queries == Spread(2.0, 1.0, 3.0)
    assert ratio.documents == Spread(2.0, 1.0, 4.0)
    assert full.ratio_to(full).queries == Spread(1.0, 1.0, 1.0)


@pytest.mark.parametrize("other", [Speed((1.0,), (1.0,), 4), Speed((1.0, 1.0), (1.0, 1.0), 5)])
def test_speeds_measured_apart_are_not_compared(other: Speed) -> None:
    with pytest.raises(CallError, match="expected two encoders of one measure_speed"):
        Speed((1.0, 2.0), (1.0, 2.0), 4).ratio_to(other)


def test_sentence_transformers_is_called_as_it_is_served(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, calls = SentenceTransformer(str(tiny_folder("bert")), device="cpu"), []
    for side in ("encode_query", "encode_document"):
        real = getattr(model, side)

        def record(texts: list[str], side: str = side, real: Any = real, **options: Any) -> Any:
            calls.append((side, len(texts), options))
            return real(texts, **options)

        monkeypatch.setattr(model, side, record)
    found = surgery.measure_speed({"bert": model}, ["milk"], ["moon"] * 40, rounds=1)
    options = {"batch_size": 32, "show_progress_bar": False}
    assert calls[2:] == [
        ("encode_query", 1, options),
        ("encode_document", 32, options),
        ("encode_document", 8, options),
    ]
    assert found["bert"].documents == 40


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"encoders": {}}, "at least one encoder"),
        ({"queries": []}, "one query"),
        ({"documents": []}, "one document"),
        ({"rounds": 0}, "rounds 0"),
        ({"batch_size": 0}, "batch_size 0"),
    ],
)
def test_wrong_calls_are_refused(changes: dict[str, Any], said: str) -> None:
    call: dict[str, Any] = {"encoders": pair(Machine()), "queries": QUERIES, "documents": DOCUMENTS, **changes}
    with pytest.raises(CallError, match=said):
        measure_speed(call.pop("encoders"), call.pop("queries"), call.pop("documents"), **call)
