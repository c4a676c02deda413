"""A static cut: an encoder of one vector per token, which are averaged and scaled to length 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from adaptors.static.facts import StaticFacts
from adaptors.static.token_counts import StaticTokenizer
from probe.encoding.encoders import encode_texts
from probe.metrics.vectors import Embeddings
from probe.models.info import ModelProfile
from probe.models.tokenization import Role

__all__ = ["StaticModel"]

_BATCH = 256


@dataclass(frozen=True, eq=False, repr=False)
class StaticModel:
    """A static cut of a model; no block runs.

    Attributes:
        teacher: Facts about the full model.
        tokenizer: Its tokenizer.
        table: A vector per token, float32 `(V, D)`.
        facts: What it was fitted to, and how close it is to the full model.
    """

    teacher: ModelProfile
    tokenizer: StaticTokenizer
    table: Embeddings
    facts: StaticFacts

    @cached_property
    def pipeline(self) -> Any:
        """The model as a SentenceTransformer of `StaticEmbedding` and `Normalize`, on the CPU."""
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

        static = StaticEmbedding(self.tokenizer.copy(), embedding_weights=torch.from_numpy(self.table))
        prompts = {"query": self.teacher.query_prompt, "document": self.teacher.document_prompt}
        modules: list[Any] = [static, Normalize()]
        return SentenceTransformer(modules=modules, device="cpu", prompts=prompts, similarity_fn_name="cosine").eval()

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.table.size

    def encode_query(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed queries, prompt included; returns unit vectors, float32 `(N, D)`."""
        return encode_texts(texts, lambda found: self._encode(found, self.teacher.as_query))

    def encode_document(self, texts: str | Sequence[str]) -> Embeddings:
        """Embed documents, prompt included; returns unit vectors, float32 `(N, D)`."""
        return encode_texts(texts, lambda found: self._encode(found, self.teacher.as_document))

    def _encode(self, texts: Sequence[str], role: Role) -> Embeddings:
        vectors: Embeddings = self.pipeline.encode(
            list(texts), prompt=role.prompt, task=role.task, batch_size=_BATCH, show_progress_bar=False
        )
        return vectors

    def __repr__(self) -> str:
        return f"StaticModel({self.teacher.source.name!r}, tokens={self.facts.tokens}, texts={self.facts.texts})"
