"""An encoder whose documents are stored in few bytes: scored as a search over the stored vectors would score it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from probe.errors import CallError
from probe.evaluation.composite import Composite, Joint
from probe.evaluation.records import AdaptorFacts, StorageFacts
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.similarity import DOT
from probe.metrics.vectors import Embeddings, unit
from probe.results.row import FLOAT_BITS

__all__ = ["Codec", "Compressed", "StoredSide"]


class Codec(Protocol):
    """Anything that stores vectors in fewer bytes."""

    def approximate(self, vectors: Embeddings) -> Embeddings:
        """Return vectors `(N, D)` as they are after encoding and decoding."""


@dataclass(frozen=True, eq=False)
class Compressed:
    """An encoder with a codec for its documents; queries stay float32, unless both sides are stored.

    The similarity is the dot product with the decoded documents, as an index computes it: a cosine would need the
    length of every decoded vector.

    Attributes:
        encoder: The encoder.
        codec: The codec, calibrated to its documents.
        storage: The size of a stored vector, and the texts of the calibration.
        scaled: Whether vectors are scaled to length 1 before they are stored, as the cosine demands.
    """

    encoder: Composite
    codec: Codec
    storage: StorageFacts
    scaled: bool = True

    def __post_init__(self) -> None:
        """Reject token vectors.

        Raises:
            CallError: The encoder has a vector per token.
        """
        tokens = [point for point in self.points if point.pooling == TOKENS]
        if tokens:
            raise CallError(f"'{tokens[0]}' has one vector per token: bits need one vector per text")

    @property
    def similarity(self) -> str:
        """The dot product."""
        return DOT

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints of the encoder."""
        return self.encoder.points

    @cached_property
    def sides(self) -> tuple[Joint, Joint]:
        """The encoder of queries, and that of stored documents."""
        queries, documents = self.encoder.sides
        of_queries = self.codec if self.storage.query_bits < FLOAT_BITS else None
        return StoredSide(queries, of_queries, self.scaled), StoredSide(documents, self.codec, self.scaled)

    @cached_property
    def exact(self) -> "tuple[Joint, Joint]":
        """The same without the codec, for re-ranking."""
        queries, documents = self.encoder.sides
        return StoredSide(queries, None, self.scaled), StoredSide(documents, None, self.scaled)

    @property
    def cosine_shares(self) -> None:
        """None: the codec comes between the hookpoints and the similarity."""
        return None

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """The adaptor of the encoder, if any."""
        return self.encoder.adaptor

    @property
    def notes(self) -> tuple[str, ...]:
        """The notes of the encoder."""
        return tuple(getattr(self.encoder, "notes", ()))

    def __str__(self) -> str:
        return str(self.encoder)


@dataclass(frozen=True, eq=False)
class StoredSide:
    """One side of an encoder, perhaps with a codec.

    Attributes:
        joint: The side without the codec.
        codec: The codec, if this side is stored.
        scaled: Whether vectors are scaled to length 1.
    """

    joint: Joint
    codec: Codec | None
    scaled: bool

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints."""
        return self.joint.points

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """The adaptor, if any."""
        return self.joint.adaptor

    @property
    def below(self) -> Joint:
        """The side without codec and scaling, which all sizes share."""
        return self.joint

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return the vectors `(N, D)` of blocks `(N, D_i)`."""
        return self.finish(self.joint.join_arrays(blocks))

    def finish(self, vectors: Embeddings) -> Embeddings:
        """Return vectors `(N, D)` of the side without the codec as they are after it."""
        scaled = unit(vectors) if self.scaled else vectors
        return scaled if self.codec is None else self.codec.approximate(scaled)
