"""Candidates for a smaller model, and their size, known before any training."""

from dataclasses import dataclass

from torch import nn

from probe.models.loaded import LoadedModel

__all__ = ["FEWEST_TOKENS", "Candidate", "ModelSizes"]

# With fewer tokens, nearly every word is split into single characters.
FEWEST_TOKENS = 2000


@dataclass(frozen=True, order=True)
class Candidate:
    """A smaller model, before it exists.

    Attributes:
        blocks: Number of blocks; 0 is the static cut, one vector per token.
        tokens: Number of tokens its vocabulary is trimmed to; None for all.
    """

    blocks: int
    tokens: int | None = None

    def __str__(self) -> str:
        depth = "static" if not self.blocks else f"{self.blocks} block{'s' * (self.blocks > 1)}"
        return depth if self.tokens is None else f"{depth}, {self.tokens:,} tokens"

    @property
    def key(self) -> str:
        """A name for its files."""
        return f"{self.blocks}-blocks" + ("" if self.tokens is None else f"-{self.tokens}-tokens")


@dataclass(frozen=True)
class ModelSizes:
    """Numbers that decide the size of every candidate.

    Attributes:
        depth: Number of blocks of the full model.
        parameters: Parameters of a cut at every layer, with all that a cut does not remove `(depth + 1,)`.
        tokens: Number of rows of its table of word embeddings.
        token_width: Length of such a row.
        width: Dimension of the blocks' states.
        own_width: Dimension of its embeddings.
        bytes_each: Bytes per saved value.
    """

    depth: int
    parameters: tuple[int, ...]
    tokens: int
    token_width: int
    width: int
    own_width: int
    bytes_each: int

    @classmethod
    def of(cls, model: LoadedModel, bytes_each: int) -> "ModelSizes":
        """Return the sizes of a full model."""
        words = model.module.get_input_embeddings().weight  # type: ignore[operator]
        whole: nn.Module = model.module if model.pipeline is None else model.pipeline
        beside = sum(one.numel() for one in whole.parameters()) - model.parameters[-1]
        return cls(
            model.depth,
            tuple(count + beside for count in model.parameters),
            len(words),
            words.shape[1],
            model.width,
            model.own_width or model.width,
            bytes_each,
        )

    def count(self, candidate: Candidate) -> int:
        """Return the number of parameters of a candidate, with its map to the full model's vectors."""
        tokens = candidate.tokens or self.tokens
        if not candidate.blocks:
            return tokens * self.own_width
        dropped = (self.tokens - tokens) * self.token_width
        return self.parameters[candidate.blocks] - dropped + (self.width + 1) * self.own_width

    def megabytes(self, candidate: Candidate) -> float:
        """Return the size of a candidate's weight files."""
        return self.count(candidate) * self.bytes_each / 1e6

    def fit(self, blocks: int, megabytes: float, fewest: int) -> Candidate | None:
        """Return the candidate of a depth with as many tokens as a size allows; None if they are below the fewest."""
        whole = Candidate(blocks)
        excess = self.megabytes(whole) - megabytes
        if excess <= 0:
            return whole
        width = self.token_width if blocks else self.own_width
        tokens = int(self.tokens - excess * 1e6 / self.bytes_each / width)
        return Candidate(blocks, tokens) if tokens >= fewest else None
