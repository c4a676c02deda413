"""Encoders for late interaction: a vector per token, scored by MaxSim."""

from collections.abc import Sequence

import numpy as np
import torch

from probe.dataset import Dataset
from probe.encoder import Embeddings, LateEncoder
from probe.evaluation import Evaluation
from probe.hookpoint import TOKENS, Place
from probe.late_part import LatePart
from probe.metrics import Metric, score_run
from probe.reader import LayerReader
from probe.search import TopK
from probe.states import Progress, silent
from probe.texts import chunks
from probe.token_scores import maxsim
from probe.token_states import unpack_tokens

__all__ = ["TokenEncoder", "evaluate_late"]

# Documents whose tokens are in memory at a time.
_DOCUMENTS = 128


class TokenEncoder:
    """One layer of a model as an encoder of tokens; the blocks above it are never run.

    All tokens count, special tokens too, and each state is scaled to length 1: what `MultiVectorEncoder` of
    sentence-transformers gives for the model cut there, without a projection.
    """

    def __init__(self, reader: LayerReader, layer: int) -> None:
        """Read `reader`'s model after `layer`, 0 to the model's depth."""
        self._reader = reader
        self._place: Place = (layer, TOKENS)

    def encode_query(self, texts: Sequence[str]) -> list[Embeddings]:
        """Embed queries with the model's query prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self._reader.model.query_prompt)

    def encode_document(self, texts: Sequence[str]) -> list[Embeddings]:
        """Embed documents with the model's document prompt; returns float32 `(T_i, D)` per text."""
        return self._encode(texts, self._reader.model.document_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> list[Embeddings]:
        packed = self._reader.read(texts, prompt, [self._place]).vectors[self._place]
        return unpack_tokens(packed, len(texts))


def evaluate_late(
    encoder: LateEncoder, name: str, dataset: Dataset, metrics: Sequence[Metric], progress: Progress = silent
) -> Evaluation:
    """Score any encoder of tokens by MaxSim; some documents' tokens are in memory at a time, and all queries'.

    Args:
        encoder: Anything with `encode_query` and `encode_document` that gives a vector per token.
        name: What to call it.
        dataset: Documents, queries and judgements.
        metrics: What to compute.
        progress: Told about every chunk.

    Returns:
        Its evaluation.
    """
    queries = _arrays(encoder.encode_query(dataset.queries.texts))
    part = LatePart(queries[0].shape[1])
    top = TopK(dataset.queries.ids, max(metric.cutoff for metric in metrics))
    for number, chunk in enumerate(chunks(dataset.documents, _DOCUMENTS)):
        scores = maxsim(queries, _arrays(encoder.encode_document(chunk.texts))).T
        top.add(chunk.ids, part.compare(scores))
        part.keep_sample(number * _DOCUMENTS, scores)
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, part.dim, score_run(top.run(), dataset.qrels, metrics), part.collapsed)


def _arrays(texts: Sequence[object]) -> list[Embeddings]:
    """Return token states as arrays, whether they come as arrays or as tensors of any device."""
    return [torch.as_tensor(text).float().cpu().numpy().astype(np.float32, copy=False) for text in texts]
