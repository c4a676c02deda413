"""Scores of candidates on queries outside the test split, beside those of the full model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from adaptors.healing.embedding import embed_texts
from adaptors.training.trainer import is_fast
from probe.data.dataset import Dataset
from probe.encoding.chunk_states import Progress, silent
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import own_pooling
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.evaluate import evaluate
from probe.metrics.retrieval import Metric
from probe.metrics.significance import Scores
from probe.metrics.vectors import Embeddings

__all__ = ["Judge", "as_encoder"]


@dataclass(frozen=True)
class _PromptedModel:
    """A sentence-transformers model that encodes with a full model's prompts, in bfloat16 where that is fast."""

    model: SentenceTransformer
    query_prompt: str
    document_prompt: str

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries, prompt included: float32 `(N, D)`."""
        return self._encode([self.query_prompt + text for text in texts])

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents, prompt included: float32 `(N, D)`."""
        return self._encode([self.document_prompt + text for text in texts])

    def _encode(self, texts: Sequence[str]) -> Embeddings:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_fast()):
            vectors: Any = embed_texts(self.model, texts)
        found: Embeddings = vectors.float().numpy()
        return found


def as_encoder(model: SentenceTransformer, full: LayerReader) -> Encoder:
    """Return a candidate as an encoder with the full model's prompts."""
    return _PromptedModel(model, full.model.query_prompt, full.model.document_prompt)


@dataclass(frozen=True)
class _Remembering:
    """An encoder that embeds no text twice.

    Attributes:
        encoder: The encoder.
        queries: Vectors of queries by text.
        documents: Vectors of documents by text.
    """

    encoder: Encoder
    queries: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    documents: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries: float32 `(N, D)`."""
        return _recall(self.queries, texts, self.encoder.encode_query)

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents: float32 `(N, D)`."""
        return _recall(self.documents, texts, self.encoder.encode_document)


def _recall(
    known: dict[str, NDArray[np.float32]], texts: Sequence[str], embed: Callable[[Sequence[str]], Embeddings]
) -> Embeddings:
    if new := [text for text in dict.fromkeys(texts) if text not in known]:
        known |= zip(new, embed(new), strict=True)
    return np.stack([known[text] for text in texts])


@dataclass(frozen=True)
class Judge:
    """Scores encoders on the judging queries.

    Attributes:
        full: The full model.
        dataset: Documents and judging queries.
        metric: The metric.
        progress: Called after every chunk of documents.
    """

    full: LayerReader
    dataset: Dataset
    metric: Metric
    progress: Progress = silent

    @cached_property
    def full_encoder(self) -> Encoder:
        """The full model as an encoder, which embeds no text twice."""
        model = self.full.model
        return _Remembering(HookpointEncoder(self.full, model.depth, own_pooling(model)))

    @cached_property
    def reference(self) -> Scores:
        """Scores of the full model `(Q,)`.

        Raises:
            CallError: It finds nothing, so that nothing can be compared with it.
        """
        scores = self.score(self.full_encoder)
        if not scores.any():
            raise CallError(
                f"'{self.full.model.source.name}' finds nothing on the judging queries: there is nothing to keep"
            )
        return scores

    def score(self, encoder: Encoder) -> Scores:
        """Return the scores of an encoder `(Q,)`."""
        found = evaluate(encoder, self.dataset, self.metric, name="candidate", progress=self.progress)
        return found.scores[self.metric]
