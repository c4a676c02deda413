"""Two encoders as one: the first embeds queries, the second documents."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.metrics.vectors import Embeddings

__all__ = ["PairedEncoder"]


@dataclass(frozen=True, repr=False)
class PairedEncoder:
    """An encoder of queries and one of documents that embed into the same space: the two routes of a router.

    Attributes:
        name: Name in tables.
        queries: Encoder of queries.
        documents: Encoder of documents.
    """

    name: str
    queries: HookpointEncoder
    documents: HookpointEncoder

    @property
    def readers(self) -> tuple[LayerReader, LayerReader]:
        """The readers of both encoders."""
        return self.queries.reader, self.documents.reader

    @property
    def similarity_fn_name(self) -> str:
        """Similarity function of its vectors, by sentence-transformers' name."""
        return self.documents.similarity_fn_name

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries with the query encoder; returns float32 `(N, D)`, or `(D,)` for a single string."""
        return self.queries.encode_query(texts)

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents with the document encoder; returns float32 `(N, D)`, or `(D,)` for a single string."""
        return self.documents.encode_document(texts)

    def __repr__(self) -> str:
        return f"PairedEncoder({self.name!r}, queries={self.queries!r}, documents={self.documents!r})"
