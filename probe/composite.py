"""Encoders made of the states at hookpoints, scored from those states without running a model again."""

from collections.abc import Sequence
from typing import Protocol

from probe.encoder import Embeddings
from probe.evaluation import AdaptorFacts
from probe.hookpoint import Hookpoint

__all__ = ["Composite"]


class Composite(Protocol):
    """Anything that turns one block of states per hookpoint into vectors: a fusion, an adaptor on top of one.

    Its string is what a table calls it. It is hashable; equal ones are scored once.
    """

    @property
    def points(self) -> tuple[Hookpoint, ...]:
        """The hookpoints, layer and pooling written out."""
        ...

    @property
    def sides(self) -> tuple["Composite", "Composite"]:
        """What embeds queries and what embeds documents: itself twice, unless the two differ."""
        ...

    @property
    def averages_cosines(self) -> bool:
        """Whether its cosine is a mean of its blocks' cosines, so that no vectors have to be joined."""
        ...

    @property
    def adaptor(self) -> AdaptorFacts | None:
        """What is on top of the hookpoints, if anything."""
        ...

    def average(self, cosines: Sequence[Embeddings]) -> Embeddings:
        """Return its cosines `(Q, C)`, given those of its blocks; asked for where it averages cosines."""
        ...

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Return its vectors `(N, D)`, given blocks `(N, D_i)`."""
        ...
