"""How much of one side of a data set is cached, in words, for logs and summaries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from probe.layers.hookpoint import LayerPooling
    from probe.store.store import Shelf

__all__ = ["CachedSide", "describe_cached"]

_ONE = {"queries": "query"}


@dataclass(frozen=True)
class CachedSide:
    """Cached vectors of texts under one model, at the time reading starts.

    Attributes:
        model: Name of the model.
        side: `documents`, `queries` or `texts`.
        texts: Number of texts.
        left: Number of texts left to encode.
        cached: Number of layers, or of hookpoints, whose vectors are all cached.
        wanted: Number of those requested.
        unit: Unit of these two: `layers` or `hookpoints`.
        chunks: Total number of chunks.
        count: Returns the number of fully cached chunks now.
    """

    model: str
    side: str
    texts: int
    left: int
    cached: int
    wanted: int
    unit: str
    chunks: int
    count: Callable[[], int]

    @classmethod
    def look_at(
        cls,
        shelf: "Shelf",
        layer_poolings: "Sequence[LayerPooling]",
        model: str,
        *,
        side: str,
        texts: int,
        chunk_size: int,
    ) -> "CachedSide":
        """Return how much of one side an entry of the store has.

        Args:
            shelf: The entry.
            layer_poolings: Requested layers and poolings.
            model: Name of the model.
            side: `documents`, `queries` or `texts`.
            texts: Number of texts.
            chunk_size: Number of texts of a chunk.
        """
        chunks = -(-texts // chunk_size)
        stored = shelf.count(layer_poolings, chunks)
        return cls(
            model=model,
            side=side,
            texts=texts,
            left=max(0, texts - min(stored.values(), default=chunks) * chunk_size),
            cached=sum(count == chunks for count in stored.values()),
            wanted=len(stored),
            unit="layers" if len({layer for layer, _ in stored}) == len(stored) else "hookpoints",
            chunks=chunks,
            count=lambda: min(shelf.count(layer_poolings, chunks).values(), default=chunks),
        )

    def __str__(self) -> str:
        """Return a log line."""
        return describe_cached([self])

    @property
    def share(self) -> str:
        """Cached and requested layers, such as `3/7`."""
        return f"{self.cached}/{self.wanted}"

    @property
    def work(self) -> str:
        """The texts left to encode, in words."""
        name = _ONE.get(self.side, self.side.removesuffix("s")) if self.texts == 1 else self.side
        return f"{self.texts:,} {name}" if self.left == self.texts else f"{self.left:,} of {self.texts:,} {name}"


def describe_cached(sides: Sequence[CachedSide]) -> str:
    """Return one line on the cached vectors of all sides of one model, and the texts left to encode."""
    first, *others = sides
    known = f"{first.share} {first.unit} of {first.model}"
    if any(side.share != first.share for side in others):
        known += "".join([f" for {first.side}", *[f", {side.share} for {side.side}" for side in others]])
    left = " and ".join(side.work for side in sides if side.left)
    return f"Cache: {known}; {f'encoding {left}' if left else 'nothing to encode'}"
