"""One hookpoint of a model as an encoder: of vectors, or of tokens for late interaction."""

from collections.abc import Sequence

from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.encoding.token_states import unpack_tokens
from probe.layers.hookpoint import HEAD, OWN, TOKENS, Hookpoint, LayerPooling, check_pooling
from probe.metrics.vectors import Embeddings
from probe.models.tokenization import Role

__all__ = ["HookpointEncoder", "TokenEncoder"]


class HookpointEncoder:
    """One hookpoint of a model as an encoder; the blocks above its layer are never run."""

    def __init__(self, reader: LayerReader, layer: int, pooling: str) -> None:
        """Read `reader`'s model after `layer`.

        Args:
            reader: The model's reader.
            layer: 0 to the model's depth.
            pooling: One of the poolings, or `own`.

        Raises:
            CallError: There is no such pooling, or the model has none of its own.
        """
        self._reader = reader
        model = reader.model
        # A head is no pooling but a tower's own; a tower's own vectors are those of its pooling.
        if pooling == OWN:
            pooling = own_pooling(model) if model.tower else OWN
        elif pooling != HEAD or model.pooling != HEAD:
            check_pooling(pooling)
        self._layer_pooling = (layer, pooling)

    @property
    def hookpoint(self) -> Hookpoint:
        """Where the model is read; the model's own vectors by the name that tables give them."""
        layer, pooling = self._layer_pooling
        name = own_pooling(self._reader.model) if pooling == OWN else pooling
        return Hookpoint(self._reader.model.source.name, layer, name)

    @property
    def similarity_fn_name(self) -> str:
        """How its vectors are compared, by sentence-transformers' name."""
        return self._reader.model.similarity

    @property
    def depth(self) -> int:
        """Number of blocks of its model."""
        return self._reader.model.depth

    def at(self, layer: int) -> "HookpointEncoder":
        """Return the same model and pooling, read at another layer."""
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
    """One layer of a model as an encoder of tokens; the blocks above it are never run.

    All tokens count, special tokens too, and each state is scaled to length 1: what `MultiVectorEncoder` of
    sentence-transformers gives for the model cut there, without a projection.
    """

    def __init__(self, reader: LayerReader, layer: int) -> None:
        """Read `reader`'s model after `layer`, 0 to the model's depth."""
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
