"""An adaptor on top of hookpoints, as an encoder that can be ranked from cached vectors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

from adaptors.encoders.description import MapTarget
from adaptors.modules.base import Adaptor
from adaptors.training.epochs import Epoch
from probe.encoding.encoders import encode_texts
from probe.encoding.reader import LayerReader
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import Hookpoint
from probe.metrics.vectors import Embeddings
from surgery.fusing.model import FusedModel

__all__ = ["AdaptedEncoder", "AdaptedModel"]


@dataclass(frozen=True)
class _UnitStates:
    """The joined states of a fusion, which all adaptors on it read."""

    fusion: Fusion

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints."""
        return self.fusion.points

    @property
    def adaptor(self) -> None:
        """None: facts belong to a dimension."""
        return None

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return unit vectors `(N, D)` for the states `(N, D_i)` of every hookpoint."""
        joined: Embeddings = self.fusion.join([torch.from_numpy(block) for block in blocks]).numpy()
        return joined


@dataclass(frozen=True)
class _Untruncated(_UnitStates):
    """All dimensions of an adaptor, of which every `AdaptedEncoder` with it has the first ones."""

    module: Adaptor

    @property
    def below(self) -> _UnitStates:
        """The joined states."""
        return _UnitStates(self.fusion)

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return the adaptor's vectors `(N, dim)` for the states `(N, D_i)` of every hookpoint."""
        return self.finish(self.below.join_arrays(blocks))

    @torch.inference_mode()
    def finish(self, vectors: Embeddings) -> Embeddings:
        """Return the adaptor's vectors `(N, dim)` for joined states `(N, D)`."""
        mapped: Embeddings = self.module(torch.from_numpy(vectors)).numpy()
        return mapped


@dataclass(frozen=True, eq=False)
class AdaptedEncoder:
    """A fusion (or a single hookpoint) with an adaptor on top, truncated to `dim` dimensions.

    Attributes:
        fusion: The hookpoints; the vectors of each are scaled to length 1, even for a single hookpoint.
        module: The adaptor.
        dim: Dimension of the vectors; they are truncated first and then scaled to length 1.
        adaptor: Facts about the adaptor for tables.
        name: Name in tables; default: the fusion's.
        epochs: Losses and scores by epoch, if the adaptor was trained.
        notes: Sentences for the table footer.
        maps_to: The encoder in whose space its vectors are, if that is another model's.
    """

    fusion: Fusion
    module: Adaptor
    dim: int
    adaptor: AdaptorFacts
    name: str | None = None
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
    maps_to: MapTarget | None = None

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints."""
        return self.fusion.points

    @property
    def sides(self) -> "tuple[AdaptedEncoder, AdaptedEncoder]":
        """The encoder twice: queries and documents are embedded in the same way."""
        return self, self

    @property
    def cosine_shares(self) -> None:
        """None: the adaptor comes between the hookpoints and the cosine."""
        return None

    @property
    def below(self) -> _Untruncated:
        """All dimensions of the adaptor, shared by the encoders that truncate it."""
        return _Untruncated(self.fusion, self.module)

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return unit vectors `(N, dim)` for the states `(N, D_i)` of every hookpoint."""
        return self.finish(self.below.join_arrays(blocks))

    def finish(self, vectors: Embeddings) -> Embeddings:
        """Return unit vectors `(N, dim)` for all dimensions of the adaptor's vectors."""
        first: Embeddings = normalize(torch.from_numpy(vectors)[:, : self.dim], dim=1).numpy()
        return first

    def __str__(self) -> str:
        return self.name or str(self.fusion)


@dataclass(frozen=True, repr=False)
class AdaptedModel:
    """An adapted encoder with its models in memory, for texts that are not cached.

    Attributes:
        models: The fused model that computes the hookpoints.
        encoder: The adaptor on top.
    """

    models: FusedModel
    encoder: AdaptedEncoder

    @property
    def readers(self) -> tuple[LayerReader, ...]:
        """One per model."""
        return self.models.readers

    @property
    def composite(self) -> AdaptedEncoder:
        """The adaptor on its hookpoints, in the form that leaderboards score."""
        return self.encoder

    def encode(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed texts that are neither queries nor documents, with each model's default prompt, if any.

        Args:
            texts: N texts, or a single string.

        Returns:
            Unit vectors, float32 `(N, dim)`, or `(dim,)` for a single string.
        """
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_plain(found)))

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries; returns unit vectors, float32 `(N, dim)`."""
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_queries(found)))

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents; returns unit vectors, float32 `(N, dim)`."""
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_documents(found)))

    def __repr__(self) -> str:
        return f"AdaptedModel({str(self.encoder)!r}, adaptor={self.encoder.adaptor.kind!r}, width={self.encoder.dim})"
