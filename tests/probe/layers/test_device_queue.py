"""The path of an accelerator, on the CPU with a made-up queue: the same states, and no wait between layers."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from probe.encoding import reader as reader_module
from probe.encoding.reader import LayerReader
from probe.layers import capture as capture_module
from probe.layers.device_queue import CudaQueue, HostQueue, WaitingQueue, queue_of
from probe.models import tokenization
from probe.models.loaded import LoadedModel

Load = Callable[..., LoadedModel]

TEXTS = [" ".join(["word"] * (1 + 3 * number % 11)) for number in range(23)]
EVERYWHERE = [(layer, pooling) for layer in range(4) for pooling in ("cls", "mean", "tokens")]


class Mark:
    """An event that notes when it is waited for."""

    def __init__(self, events: list[str], number: int) -> None:
        self.events, self.number = events, number

    def synchronize(self) -> None:
        self.events.append("wait")

    def elapsed_time(self, later: "Mark") -> float:
        return 1000.0 * (later.number - self.number)


class Made(CudaQueue):
    """A CUDA queue without CUDA; its marks are seconds apart."""

    events: ClassVar[list[str]] = []
    count = 0

    def mark(self) -> Any:
        Made.count += 1
        self.events.append("mark")
        return Mark(self.events, Made.count)

    def send(self, values: Tensor) -> Tensor:
        self.events.append("send")
        return super().send(values)

    def _lock(self, values: Tensor) -> Tensor:
        return values

    def _locked_memory(self, length: int) -> Tensor:
        return torch.full((length,), torch.nan)


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take the path of CUDA for the CPU; returns what the queue was asked for."""
    Made.events = []
    for module in (reader_module, capture_module, tokenization):
        monkeypatch.setattr(module, "queue_of", Made)
    return Made.events


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert"])
def test_the_states_are_those_of_the_cpu(
    family: str, load_tiny: Load, forced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = LayerReader(load_tiny(family), token_budget=32)
    done: list[int] = []
    ours = reader.read(TEXTS, "", EVERYWHERE, on_batch=done.append)
    monkeypatch.undo()
    expected = reader.read(TEXTS, "", EVERYWHERE)
    assert all(np.array_equal(ours.vectors[key], expected.vectors[key]) for key in EVERYWHERE)
    assert (sum(done), len(done) > 3) == (len(TEXTS), True)


def test_the_device_is_waited_for_once_per_batch_and_after_the_next_one_was_queued(
    load_tiny: Load, forced: list[str]
) -> None:
    reader = LayerReader(load_tiny("bert"), token_budget=32)
    prepared, positions = reader.prepare(TEXTS, ""), []
    capture = reader.capture([(layer, "mean") for layer in range(4)])
    with capture:
        for _ in reader._run_batches(capture, prepared, Made(torch.device("cpu"))):
            positions.append(len(forced))
    assert "wait" not in forced
    forced.clear()
    reader.run(prepared, [(layer, "mean") for layer in range(4)])
    per_batch = positions[0]
    # The first wait comes after the second batch's work, the others one batch apart.
    assert forced.index("wait") == 2 * per_batch
    waits_of_times = 4 * len(prepared.batches)
    assert forced.count("wait") == len(prepared.batches) + waits_of_times
    assert forced[-waits_of_times:] == ["wait"] * waits_of_times


def test_times_are_those_between_the_marks_without_the_poolings(load_tiny: Load, forced: list[str]) -> None:
    reader = LayerReader(load_tiny("bert"), token_budget=10**6)
    seconds = reader.read(TEXTS, "", [(layer, "mean") for layer in range(4)]).seconds
    assert seconds == {0: 1.0, 1: 2.0, 2: 3.0, 3: 4.0}


@pytest.mark.parametrize("queue", [WaitingQueue, Made])
def test_states_of_all_shapes_are_copied_as_one_block(queue: Callable[..., HostQueue]) -> None:
    states = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(1, 2, 2, dtype=torch.bfloat16), "c": torch.zeros(0, 4)}
    fetched = queue(torch.device("cpu")).fetch(states)()
    assert list(fetched) == list(states)
    for key, values in fetched.items():
        assert values.dtype == torch.float32
        assert torch.equal(values, states[key].float())


def test_an_item_comes_after_the_next_was_queued() -> None:
    queued: list[int] = []

    def items() -> Iterator[int]:
        for number in range(3):
            queued.append(number)
            yield number

    seen = [(item, len(queued)) for item in Made(torch.device("cpu")).delay(items())]
    assert seen == [(0, 2), (1, 3), (2, 3)]
    queued.clear()
    assert [(item, len(queued)) for item in HostQueue(torch.device("cpu")).delay(items())] == [(0, 1), (1, 2), (2, 3)]


def test_each_device_has_its_queue() -> None:
    kinds = {name: type(queue_of(torch.device(name))) for name in ("cpu", "cuda", "mps", "xpu")}
    assert kinds == {"cpu": HostQueue, "cuda": CudaQueue, "mps": WaitingQueue, "xpu": WaitingQueue}
