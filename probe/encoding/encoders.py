"""A hookpoint of a model as an encoder: of vectors, or of token vectors for late interaction."""

from collections.abc import Sequence

from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.encoding.token_states import unpack_tokens
from probe.layers.hookpoint import HEAD, OWN, TOKENS, Hookpoint, LayerPooling, check_pooling
from probe.metrics.vectors import Embeddings
from probe.models.tokenization import Role

__all__ = ["HookpointEncoder", "TokenEncoder"]


class HookpointEncoder:
    """A hookpoint of a model as an encoder; blocks above its layer do not run."""

    def __init__(self, reader: LayerReader, layer: int, pooling: str) -> None:
        """Create an encoder that reads a model after `layer`.

        Args:
            reader: Reader of the model.
            layer: 0 to the model's depth.
            pooling: Name of a pooling, or `own`.

        Raises:
            CallError: If the pooling is unknown, or the model has no own vectors.
        """
        self._reader = reader
        model = reader.model
        # A head is part of a tower, not a pooling, so its vectors are the tower's own.
        if pooling == OWN:
            pooling = own_pooling(model) if model.tower else OWN
        elif pooling != HEAD or model.pooling != HEAD:
            check_pooling(pooling)
        self._layer_pooling = (layer, pooling)

    @property
    def hookpoint(self) -> Hookpoint:
        """The hookpoint; the model's own vectors have the name used in tables."""
        layer, pooling = self._layer_pooling
        name = own_pooling(self._reader.model) if pooling == OWN else pooling
        return Hookpoint(self._reader.model.source.name, layer, name)

    @property
    def similarity_fn_name(self) -> str:
        """Similarity function of its vectors, by sentence-transformers' name."""
        return self._reader.model.similarity

    @property
    def depth(self) -> int:
        """Number of blocks of the model."""
        return self._reader.model.depth

    def at(self, layer: int) -> "HookpointEncoder":
        """Return an encoder of the same model and pooling at another layer."""
        return HookpointEncoder(self._reader, layer, self._layer_pooling[1])

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries with the model's query prompt; returns float32 `(N, D)`."""
        return self._encode(texts, self._reader.model.as_query)

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents with the model's document prompt; returns float32 `(N, D)`."""
        return self._encode(texts, self._reader.model.as_document)

    def _encode(self, texts: Sequence[str], role: Role) -> Embeddings:
        return self._reader.read(texts, role, [self._layer_pooling]).vectors[self._layer_pooling]


class TokenEncoder:
    """A layer of a model as an encoder of token vectors; blocks above it do not run.

    All tokens count, including special tokens, and each state is scaled to length 1, as for a `MultiVectorEncoder` of
    sentence-transformers with the model cut there and no projection.
    """

    def __init__(self, reader: LayerReader, layer: int) -> None:
        """Create an encoder that reads a model after `layer`, from 0 to the model's depth."""
        self._reader = reader
        self._layer_pooling: LayerPooling = (layer, TOKENS)

    def encode_query(self, texts: Sequence[str]) -> list[Embeddings]:
        """Embed queries with the model's query prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self._reader.model.as_query)

    def encode_document(self, texts: Sequence[str]) -> list[Embeddings]:
        """Embed documents with the model's document prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self._reader.model.as_document)

    def _encode(self, texts: Sequence[str], role: Role) -> list[Embeddings]:
        packed = self._reader.read(texts, role, [self._layer_pooling]).vectors[self._layer_pooling]
        return unpack_tokens(packed, len(texts))
