"""Encoders made of the states at hookpoints, scored from those states without running a model again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from probe.errors import CallError
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.similarity import COSINE, OWN
from probe.metrics.vectors import Embeddings

__all__ = ["Asymmetric", "Composite", "Joint", "SimilarityChoice"]


class Joint(Protocol):
    """Anything that joins one block of states per hookpoint into vectors. It is hashable."""

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints, layer and pooling written out."""

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """What is on top of the hookpoints, if anything."""

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return its vectors `(N, D)`, given blocks `(N, D_i)`."""


class Composite(Protocol):
    """Anything that embeds queries and documents from states: a fusion, an adaptor on top of one, or two of them.

    Its string is what a table calls it. It is hashable; equal ones are scored once.
    """

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints, layer and pooling written out."""

    @property
    def sides(self) -> tuple[Joint, Joint]:
        """The one that embeds queries, and the one that embeds documents; the same twice, unless they differ."""

    @property
    def cosine_shares(self) -> tuple[float, ...] | None:
        """The weights with which its cosine is the mean of its blocks' cosines; else None."""

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """What is on top of the hookpoints, if anything."""


@dataclass(frozen=True)
class Asymmetric:
    """A cheap encoder for queries in an index that another one built; both have to map into the same space.

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
    def sides(self) -> tuple[Joint, Joint]:
        """The two."""
        return self.queries.sides[0], self.documents.sides[1]

    @property
    def cosine_shares(self) -> None:
        """None: the blocks of the two sides are not each other's."""
        return None

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """What is on top of the queries' hookpoints, or of the documents'."""
        return self.queries.adaptor or self.documents.adaptor

    def __str__(self) -> str:
        return f"{self.queries} > {self.documents}"


@dataclass(frozen=True)
class SimilarityChoice:
    """What the vectors of every encoder are compared by.

    Attributes:
        asked: One of `probe.metrics.similarity.SIMILARITIES`, or `own`.
        own: The own similarity of every model, by its name.
    """

    asked: str = OWN
    own: Mapping[str, str] = field(default_factory=dict)

    def of(self, encoder: Composite) -> str:
        """Return what an encoder's vectors are compared by.

        A fusion or an adaptor gives vectors of length 1, made for the cosine. Where queries have another encoder than
        the documents, that of the documents decides.
        """
        if self.asked != OWN:
            return self.asked
        documents = encoder.sides[1]
        if len(documents.points) > 1 or documents.adaptor is not None:
            return COSINE
        return self.own.get(documents.points[0].model, COSINE)
