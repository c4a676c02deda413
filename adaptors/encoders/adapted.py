"""An adaptor on top of hookpoints, as an encoder that is ranked from stored states."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

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


@dataclass(frozen=True, eq=False)
class AdaptedEncoder:
    """A fusion (or a single hookpoint) with an adaptor on top, cut to some dimensions.

    Attributes:
        fusion: The hookpoints below; every block is scaled to length 1, whatever the number of hookpoints.
        module: The adaptor.
        dim: Dimensions of the vectors, which are scaled to length 1 after they are cut to them, not before.
        adaptor: The facts that a table shows.
        name: Its name in a table; the fusion when left out.
        epochs: Losses and scores of every epoch, if it was trained.
        notes: Sentences for the footer.
    """

    fusion: Fusion
    module: Adaptor
    dim: int
    adaptor: AdaptorFacts
    name: str | None = None
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints."""
        return self.fusion.points

    @property
    def sides(self) -> "tuple[AdaptedEncoder, AdaptedEncoder]":
        """Queries and documents are embedded alike."""
        return self, self

    @property
    def cosine_shares(self) -> None:
        """None: the adaptor comes between the blocks and the cosine."""
        return None

    @torch.inference_mode()
    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return vectors `(N, dim)` of length 1, given blocks `(N, D_i)`."""
        states = self.fusion.join([torch.from_numpy(block) for block in blocks])
        vectors: Embeddings = normalize(self.module(states)[:, : self.dim], dim=1).numpy()
        return vectors

    def __str__(self) -> str:
        return self.name or str(self.fusion)


@dataclass(frozen=True, repr=False)
class AdaptedModel:
    """An adapted encoder with its models in memory, for texts that are in no store.

    Attributes:
        models: Read the hookpoints.
        encoder: The adaptor on top of them.
    """

    models: FusedModel
    encoder: AdaptedEncoder

    @property
    def readers(self) -> tuple[LayerReader, ...]:
        """One per model."""
        return self.models.readers

    @property
    def composite(self) -> AdaptedEncoder:
        """The adaptor on top of its hookpoints, as a leaderboard scores it."""
        return self.encoder

    def encode(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed texts that are neither queries nor documents, each model under its default prompt, if it has one.

        Args:
            texts: N texts, or one.

        Returns:
            Float32 `(N, dim)` of length 1, or `(dim,)` of a single string.
        """
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_plain(found)))

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries; returns float32 `(N, dim)` of length 1."""
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_queries(found)))

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents; returns float32 `(N, dim)` of length 1."""
        return encode_texts(texts, lambda found: self.encoder.join_arrays(self.models.read_documents(found)))

    def __repr__(self) -> str:
        return f"AdaptedModel({str(self.encoder)!r}, adaptor={self.encoder.adaptor.kind!r}, width={self.encoder.dim})"
