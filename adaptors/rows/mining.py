"""Let sentence-transformers mine hard negatives: silently, and the same ones for the same seed."""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from probe.encoding.chunk_states import Progress

__all__ = ["MineOptions", "mine"]

_BATCH = 32
# Between two reports of the progress.
_PIECE = 16 * _BATCH
# Most scores in memory at once.
_SCORES = 1 << 26


@dataclass(frozen=True)
class MineOptions:
    """Which documents near a query are taken as its negatives.

    Attributes:
        count: Negatives of every pair, its own among them.
        skip: So many of the nearest documents that the margin leaves are no candidates: some may be relevant, though
            nobody judged them.
        depth: So many of the nearest documents are looked at, and as many more as a query has positives at most.
        margin: No candidate scores higher than the query's lowest positive less this share of that score; below 0,
            candidates may score higher than the positive.
        seed: Of the draw among the candidates.
    """

    count: int = 5
    skip: int = 10
    depth: int = 50
    margin: float = 0.05
    seed: int = 0


def mine(
    pairs: Sequence[tuple[str, str]],
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions,
    progress: Progress,
) -> dict[str, list[str]]:
    """Draw documents out of those that may be negatives.

    Args:
        pairs: Queries with their positives, each pair once.
        model: Whose scores decide; its prompts are put before queries and documents.
        corpus: The documents, each once.
        options: Which of them may be drawn.
        progress: Called with the number of texts embedded.

    Returns:
        By query one document more than `options.count`, the nearest first, or as many as there are.
    """
    from datasets import Dataset

    queries, positives = zip(*pairs, strict=True)
    with _silent_and_seeded(options.seed):
        mined = mine_hard_negatives(
            Dataset.from_dict({"query": queries, "documents": positives}),
            _Embedder(model, progress),  # type: ignore[arg-type]
            corpus=list(corpus),
            range_min=options.skip,
            range_max=options.depth,
            relative_margin=options.margin,
            num_negatives=min(options.count + 1, options.depth - options.skip),
            sampling_strategy="random",
            output_format="labeled-list",
            batch_size=_BATCH,
            faiss_batch_size=max(1, _SCORES // len(corpus)),
            verbose=False,
        )
    # The first of a list is the positive.
    return {query: found[1:] for query, found in zip(mined["query"], mined["documents"], strict=True)}


class _Embedder:
    """What the miner uses of a model, with our progress for its bars."""

    def __init__(self, model: SentenceTransformer, progress: Progress) -> None:
        self.device = model.device
        self.similarity = model.similarity
        self.similarity_pairwise = model.similarity_pairwise
        self._model = model
        self._progress = progress

    def encode_document(self, texts: Sequence[str], **options: Any) -> Any:
        """Return the documents' vectors `(N, D)`."""
        return self._encode(self._model.encode_document, "mining documents", texts, options=options)

    def encode_query(self, texts: Sequence[str], **options: Any) -> Any:
        """Return the queries' vectors `(N, D)`."""
        return self._encode(self._model.encode_query, "mining queries", texts, options=options)

    def _encode(self, encode: Callable[..., Any], step: str, texts: Sequence[str], *, options: dict[str, Any]) -> Any:
        vectors = []
        for start in range(0, len(texts), _PIECE):
            piece = texts[start : start + _PIECE]
            vectors.append(encode(piece, **{**options, "show_progress_bar": False}))
            self._progress(step, len(piece), len(texts))
        return np.concatenate(vectors)


@contextmanager
def _silent_and_seeded(seed: int) -> Iterator[None]:
    """Hide the one bar that the miner always draws, and seed the global random state that it uses."""
    home: Any = sys.modules[mine_hard_negatives.__module__]
    bar, state = home.trange, random.getstate()
    home.trange = partial(bar, disable=True)
    random.seed(seed)
    try:
        yield
    finally:
        home.trange = bar
        random.setstate(state)
