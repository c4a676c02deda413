"""Encoders composed of states at hookpoints, scored from those states without running a model again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from probe.errors import CallError
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.similarity import COSINE, OWN
from probe.metrics.vectors import Embeddings

__all__ = ["Asymmetric", "Composite", "Joint", "OnTop", "SimilarityChoice", "States", "join_once"]

States = Mapping[Hookpoint, Embeddings]


class Joint(Protocol):
    """Anything that joins one block of states per hookpoint into vectors. Must be hashable."""

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints, with explicit layer and pooling."""

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """The adaptor on top of the hookpoints, if any."""

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return vectors `(N, D)` for blocks `(N, D_i)`."""


@runtime_checkable
class OnTop(Protocol):
    """A `Joint` that only finishes the vectors of another one, below it, which several may share."""

    @property
    def below(self) -> Joint:
        """What is below it; equal ones are computed once per chunk."""

    def finish(self, vectors: Embeddings) -> Embeddings:
        """Return its vectors `(N, D)` for those of `below`."""


def join_once(encoder: Joint, states: States, joined: dict[Joint, Embeddings]) -> Embeddings:
    """Return the vectors of a side of an encoder; those that others finish, too, are computed once for all of them.

    Args:
        encoder: The side.
        states: States `(N, D)` by hookpoint.
        joined: The vectors of what lies below others, so far; added to.
    """
    if not isinstance(encoder, OnTop):
        return encoder.join_arrays([states[point] for point in encoder.points])
    if encoder.below not in joined:
        joined[encoder.below] = join_once(encoder.below, states, joined)
    return encoder.finish(joined[encoder.below])


class Composite(Protocol):
    """Anything that embeds queries and documents from states: a fusion, an adaptor on top of one, or a pair of them.

    Its string is its name in tables. Must be hashable; equal ones are scored once.
    """

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints, with explicit layer and pooling."""

    @property
    def sides(self) -> tuple[Joint, Joint]:
        """The encoders of queries and of documents; usually the same."""

    @property
    def cosine_shares(self) -> tuple[float, ...] | None:
        """The weights if its cosine is a weighted mean of its blocks' cosines, else None."""

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """The adaptor on top of the hookpoints, if any."""


@dataclass(frozen=True)
class Asymmetric:
    """Different encoders for queries and documents; both must embed into the same space.

    Attributes:
        queries: Encoder of queries.
        documents: Encoder of documents.
        name: Name in tables; default: both, with `>` between them.
    """

    queries: Composite
    documents: Composite
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Reject token vectors.

        Raises:
            CallError: If one side has a vector per token.
        """
        tokens = [point for point in self.points if point.pooling == TOKENS]
        if tokens:
            raise CallError(f"'{tokens[0]}' has one vector per token: expected one per text on both sides")

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints of both encoders."""
        return tuple(dict.fromkeys([*self.documents.points, *self.queries.points]))

    @property
    def sides(self) -> tuple[Joint, Joint]:
        """Both encoders."""
        return self.queries.sides[0], self.documents.sides[1]

    @property
    def cosine_shares(self) -> None:
        """None: the blocks of the two sides do not match."""
        return None

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """The adaptor of the queries' encoder, else that of the documents'; a map between the two comes first."""
        found = [one.adaptor for one in (self.queries, self.documents) if one.adaptor is not None]
        return next((one for one in found if one.ends), found[0] if found else None)

    def __str__(self) -> str:
        return self.name or f"{self.queries} > {self.documents}"


@dataclass(frozen=True)
class SimilarityChoice:
    """Choice of the similarity function for all encoders.

    Attributes:
        asked: One of `probe.metrics.similarity.SIMILARITIES`, or `own`.
        own: The similarity function of each model, by name.
    """

    asked: str = OWN
    own: Mapping[str, str] = field(default_factory=dict)

    def of(self, encoder: Composite) -> str:
        """Return the similarity function for an encoder.

        Fusions and adaptors give vectors of length 1, compared by the cosine. If queries and documents have different
        encoders, that of the documents decides. Encoders that allow only one function name it as `similarity`.
        """
        fixed: str | None = getattr(encoder, "similarity", None)
        if fixed is not None:
            return fixed
        if self.asked != OWN:
            return self.asked
        documents = encoder.sides[1]
        if len(documents.points) > 1 or documents.adaptor is not None:
            return COSINE
        return self.own.get(documents.points[0].model, COSINE)
