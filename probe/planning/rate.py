"""How fast a model runs on this machine, measured on synthetic texts of one length."""

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
    """Operations per second, and where the number comes from.

    Attributes:
        flops_per_second: Operations of the kind that a plan counts.
        source: `measured` or `given`.
        texts: Texts that were timed, None where the rate was given.
        seconds: What they took, None where the rate was given.
    """

    flops_per_second: float
    source: str
    texts: int | None = None
    seconds: float | None = None


def measure_rate(
    reader: LayerReader, tokens: int, layer_poolings: Sequence[LayerPooling], *, flops_per_text: int
) -> Rate:
    """Time whole batches, as large as the reader makes them, for about a second.

    The forward, the pooling and what brings the states back are timed; tokenising and the store are not.

    Args:
        reader: The model's reader.
        tokens: Tokens per text.
        layer_poolings: Layers and poolings to read; the last layer is among them.
        flops_per_text: Operations up to the last layer.
    """
    batch = _make_batch(reader, tokens)
    reader.run(batch, layer_poolings)  # The first run is slower: it allocates.
    texts, began, seconds = 0, time.perf_counter(), 0.0
    while seconds < _SECONDS:
        reader.run(batch, layer_poolings)
        texts, seconds = texts + batch.count, time.perf_counter() - began
    return Rate(texts * flops_per_text / seconds, "measured", texts, seconds)


def _make_batch(reader: LayerReader, tokens: int) -> PreparedTexts:
    """Return one full batch of random tokens."""
    count = max(1, reader.token_budget // tokens)
    ids = torch.randint(reader.known_tokens, (count, tokens), generator=torch.Generator().manual_seed(0))
    return PreparedTexts((Batch(list(range(count)), ids, torch.ones_like(ids)),), count, 0, "document")
