"""Asymmetric search: a cheap encoder for queries in an index that another one built."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.composite import Composite
from probe.encoder import Embeddings
from probe.errors import CallError
from probe.evaluation import AdaptorFacts
from probe.hookpoint import TOKENS, Hookpoint

__all__ = ["Asymmetric"]


@dataclass(frozen=True)
class Asymmetric:
    """One encoder for queries and another for documents; both have to map into the same space.

    Attributes:
        queries: Embeds queries.
        documents: Embeds documents.
    """

    queries: Composite
    documents: Composite

    def __post_init__(self) -> None:
        """Refuse tokens.

        Raises:
            CallError: One side has a vector per token.
        """
        tokens = [point for point in self.points if point.pooling == TOKENS]
        if tokens:
            raise CallError(f"'{tokens[0]}' has a vector per token: expected one per text on both sides")

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints of both."""
        return tuple(dict.fromkeys([*self.documents.points, *self.queries.points]))

    @property
    def sides(self) -> tuple[Composite, Composite]:
        """The two."""
        return self.queries, self.documents

    @property
    def averages_cosines(self) -> bool:
        """Never: the blocks of the two sides are not each other's."""
        return False

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """What is on top of the queries' hookpoints, or of the documents'."""
        return self.queries.adaptor or self.documents.adaptor

    def average(self, cosines: Sequence[Embeddings]) -> Embeddings:
        """Not asked for.

        Raises:
            TypeError: Always.
        """
        raise TypeError("an asymmetric encoder joins no cosines")

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Not asked for: its sides join their own blocks.

        Raises:
            TypeError: Always.
        """
        raise TypeError("an asymmetric encoder has two sides: join the blocks of one of them")

    def __str__(self) -> str:
        return f"{self.queries} > {self.documents}"
