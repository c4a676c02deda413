"""A hookpoint of a model as an encoder: of vectors, or of token vectors for late interaction."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.encoding.token_states import unpack_tokens
from probe.errors import CallError, wrong_type
from probe.layers.hookpoint import HEAD, OWN, TOKENS, Hookpoint, LayerPooling, check_pooling
from probe.metrics.vectors import Embeddings
from probe.models.tokenization import Role

__all__ = ["HookpointEncoder", "TokenEncoder", "encode_texts"]

V = TypeVar("V", Embeddings, list[Embeddings])


def encode_texts(texts: str | Sequence[str], encode: Callable[[list[str]], V]) -> V | Embeddings:
    """Embed texts; for a single string, return a single vector.

    Raises:
        CallError: If they are not strings.
    """
    if isinstance(texts, str):
        single: Embeddings = encode([texts])[0]
        return single
    try:
        found = list(texts)
    except TypeError:
        raise wrong_type("texts", texts, "a string or a list of strings") from None
    others = [text for text in found if not isinstance(text, str)]
    if others:
        raise CallError(f"texts: found {type(others[0]).__name__} in the list, expected only strings")
    return encode(found)


class HookpointEncoder:
    """A hookpoint of a model as an encoder; blocks above its layer do not run.

    Attributes:
        reader: Reader of the model.
    """

    def __init__(self, reader: LayerReader, layer: int, pooling: str) -> None:
        """Create an encoder that reads a model after `layer`.

        Args:
            reader: Reader of the model.
            layer: 0 to the model's depth.
            pooling: Name of a pooling, or `own`.

        Raises:
            CallError: If the pooling is unknown, or the model has no own vectors.
        """
        self.reader = reader
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
        name = own_pooling(self.reader.model) if pooling == OWN else pooling
        return Hookpoint(self.reader.model.source.name, layer, name)

    @property
    def layer_pooling(self) -> LayerPooling:
        """Layer and pooling as they are read; `own` for the model's own modules."""
        return self._layer_pooling

    @property
    def width(self) -> int:
        """Dimension of its vectors."""
        return self.reader.model.width_of(self._layer_pooling[1])

    @property
    def similarity_fn_name(self) -> str:
        """Similarity function of its vectors, by sentence-transformers' name."""
        return self.reader.model.similarity

    @property
    def depth(self) -> int:
        """Number of blocks of the model."""
        return self.reader.model.depth

    def at(self, layer: int) -> "HookpointEncoder":
        """Return an encoder of the same model and pooling at another layer."""
        return HookpointEncoder(self.reader, layer, self._layer_pooling[1])

    def encode(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed texts that are neither queries nor documents, as sentence-transformers' `encode` does.

        Args:
            texts: N texts, or a single one.

        Returns:
            Float32 `(N, D)`, or `(D,)` for a single string.
        """
        return self._encode(texts, self.reader.plain_role)

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries with the model's query prompt; returns float32 `(N, D)`, or `(D,)` for a single string."""
        return self._encode(texts, self.reader.model.as_query)

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents with the model's document prompt; returns float32 `(N, D)`, or `(D,)` for a single string."""
        return self._encode(texts, self.reader.model.as_document)

    def _encode(self, texts: str | Sequence[str], role: Role) -> Embeddings:
        key = self._layer_pooling
        return encode_texts(texts, lambda found: self.reader.read(found, role, [key]).vectors[key])

    def __repr__(self) -> str:
        return f"HookpointEncoder({str(self.hookpoint)!r}, width={self.width})"


class TokenEncoder:
    """A layer of a model as an encoder of token vectors; blocks above it do not run.

    All tokens count, including special tokens, and each state is scaled to length 1, as for a `MultiVectorEncoder` of
    sentence-transformers with the model cut there and no projection.

    Attributes:
        reader: Reader of the model.
    """

    def __init__(self, reader: LayerReader, layer: int) -> None:
        """Create an encoder that reads a model after `layer`, from 0 to the model's depth."""
        self.reader = reader
        self._layer_pooling: LayerPooling = (layer, TOKENS)

    @property
    def hookpoint(self) -> Hookpoint:
        """The hookpoint."""
        return Hookpoint(self.reader.model.source.name, *self._layer_pooling)

    def encode(self, texts: str | Sequence[str]) -> "list[Embeddings] | Embeddings":
        """Embed texts that are neither queries nor documents; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self.reader.plain_role)

    def encode_query(self, texts: str | Sequence[str]) -> "list[Embeddings] | Embeddings":
        """Embed queries with the model's query prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self.reader.model.as_query)

    def encode_document(self, texts: str | Sequence[str]) -> "list[Embeddings] | Embeddings":
        """Embed documents with the model's document prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self.reader.model.as_document)

    def _encode(self, texts: str | Sequence[str], role: Role) -> "list[Embeddings] | Embeddings":
        return encode_texts(texts, lambda found: self._encode_many(found, role))

    def _encode_many(self, texts: list[str], role: Role) -> list[Embeddings]:
        packed = self.reader.read(texts, role, [self._layer_pooling]).vectors[self._layer_pooling]
        return unpack_tokens(packed, len(texts))

    def __repr__(self) -> str:
        return f"TokenEncoder({str(self.hookpoint)!r}, width={self.reader.model.width})"
