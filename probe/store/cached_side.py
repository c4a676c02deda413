"""How much of one side of a data set is cached, in words; for a log, and for whoever joins the sides of a model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["CachedSide", "describe_cached"]

_ONE = {"queries": "query"}


@dataclass(frozen=True)
class CachedSide:
    """The vectors of some texts under one model, as the store held them when the texts were about to be read.

    Attributes:
        model: Name of the model.
        side: `documents`, `queries` or `texts`.
        texts: Number of texts.
        left: Texts that the model has to encode.
        cached: Layers, or layers with their poolings, whose vectors are all cached.
        wanted: Those that are read.
        unit: What these two count: `layers` or `hookpoints`.
        chunks: Chunks of texts in all.
        count: Returns in how many of the chunks everything is cached now.
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

    def __str__(self) -> str:
        """Return it as a line of a log."""
        return describe_cached([self])

    @property
    def share(self) -> str:
        """How many of the layers are cached."""
        return f"{self.cached}/{self.wanted}"

    @property
    def work(self) -> str:
        """The texts that have to be encoded."""
        name = _ONE.get(self.side, self.side.removesuffix("s")) if self.texts == 1 else self.side
        return f"{self.texts:,} {name}" if self.left == self.texts else f"{self.left:,} of {self.texts:,} {name}"


def describe_cached(sides: Sequence[CachedSide]) -> str:
    """Return one line on what is cached of the sides of one model, and what is left to encode."""
    first, *others = sides
    known = f"{first.share} {first.unit} of {first.model}"
    if any(side.share != first.share for side in others):
        known += "".join([f" for {first.side}", *[f", {side.share} for {side.side}" for side in others]])
    left = " and ".join(side.work for side in sides if side.left)
    return f"Cache: {known}; {f'encoding {left}' if left else 'nothing to encode'}"
