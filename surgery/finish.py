"""What a saved model has after its blocks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Finish", "TopModule"]


@dataclass(frozen=True)
class TopModule:
    """A module of sentence-transformers that comes after the pooling.

    Attributes:
        type: Its class: sentence-transformers' own by its bare name.
        write: Writes it into the empty folder it is given.
    """

    type: str
    write: Callable[[Path], None]


@dataclass(frozen=True)
class Finish:
    """What a saved model has after its blocks.

    Attributes:
        pooling: Its pooling.
        top: Modules that map the pooled vectors, scaled to length 1 before and after them.
        words: What was trained, for its card.
        scores: How it retrieves, in Markdown, for its card.
    """

    pooling: str
    top: tuple[TopModule, ...] = ()
    words: str = "Nothing was trained."
    scores: str = ""
