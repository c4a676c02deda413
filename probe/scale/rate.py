"""Speed of a model on this machine, measured on synthetic texts of equal length."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from probe.encoding.reader import LayerReader, PreparedTexts
from probe.layers.hookpoint import LayerPooling
from probe.models.tokenization import Batch

__all__ = ["Rate", "measure_rate"]

_SECONDS = 1.0


@dataclass(frozen=True)
class Rate:
    """Speed in FLOP/s, with its origin.

    Attributes:
        flops_per_second: FLOP/s, counted as in a plan.
        source: `measured` or `given`.
        texts: Number of texts timed, None if given.
        seconds: Their total time, None if given.
        threads: Number of compute threads of a measurement on a CPU.
    """

    flops_per_second: float
    source: str
    texts: int | None = None
    seconds: float | None = None
    threads: int | None = None


def measure_rate(
    reader: LayerReader, tokens: int, layer_poolings: Sequence[LayerPooling], *, flops_per_text: int
) -> Rate:
    """Time whole batches of the reader's size for about a second.

    Includes the forward, the pooling and the transfer of the states, but not tokenization and the store.

    Args:
        reader: Reader of the model.
        tokens: Tokens per text.
        layer_poolings: Layers and poolings to read, including the last layer.
        flops_per_text: FLOPs up to the last layer.
    """
    batch = _make_batch(reader, tokens)
    reader.run(batch, layer_poolings)  # the first run is slower: it allocates memory
    texts, began, seconds = 0, time.perf_counter(), 0.0
    while seconds < _SECONDS:
        reader.run(batch, layer_poolings)
        texts, seconds = texts + batch.count, time.perf_counter() - began
    threads = torch.get_num_threads() if reader.model.device.type == "cpu" else None
    return Rate(texts * flops_per_text / seconds, "measured", texts, seconds, threads)


def _make_batch(reader: LayerReader, tokens: int) -> PreparedTexts:
    """Return one full batch of random tokens."""
    count = max(1, reader.token_budget // tokens)
    ids = torch.randint(reader.known_tokens, (count, tokens), generator=torch.Generator().manual_seed(0))
    return PreparedTexts((Batch(list(range(count)), ids, torch.ones_like(ids)),), count, 0, "document")
