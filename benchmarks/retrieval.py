"""The top k of exact search: ours, chunk by chunk with TREC's ties, against the peers' searches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.timing import Comparison, compare
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import unit

__all__ = ["top_k"]

QUERIES, DOCUMENTS, WIDTH, K, CHUNK = 300, 50_000, 384, 100, 1024
Vectors = NDArray[np.float32]


def top_k() -> Iterator[Comparison]:
    """The top 100 of 50,000 vectors for 300 queries: ours, mteb's way (a matrix product and topk), beir's search."""
    dice = np.random.default_rng(0)
    queries, documents = (dice.normal(size=(n, WIDTH)).astype(np.float32) for n in (QUERIES, DOCUMENTS))
    alternatives = {
        "ours": lambda: _ours(queries, documents),
        "mteb's way": lambda: _mteb_way(queries, documents),
        "beir": _beir(queries, documents),
    }
    yield compare(f"top {K} of {DOCUMENTS} x {QUERIES} queries", alternatives, {}, rounds=5, peers=("mteb's way",))


def _ours(queries: Vectors, documents: Vectors) -> object:
    top, left = TopK([f"q{i}" for i in range(len(queries))], K), unit(queries)
    for start in range(0, len(documents), CHUNK):
        chunk = documents[start : start + CHUNK]
        top.add([f"d{i}" for i in range(start, start + len(chunk))], cosines(left, chunk))
    return top.run()


def _mteb_way(queries: Vectors, documents: Vectors, chunk: int = 50_000) -> object:
    """Do what mteb's exact search does: chunks of 50,000, cosine, topk, a heap per query as its result."""
    import heapq

    left = torch.nn.functional.normalize(torch.from_numpy(queries), dim=1)
    heaps: list[list[tuple[float, str]]] = [[] for _ in queries]
    for start in range(0, len(documents), chunk):
        right = torch.nn.functional.normalize(torch.from_numpy(documents[start : start + chunk]), dim=1)
        values, columns = (left @ right.T).topk(min(K + 1, len(right)), dim=1)
        for heap, scores, found in zip(heaps, values.tolist(), columns.tolist(), strict=True):
            for score, column in zip(scores, found, strict=True):
                push = heapq.heappush if len(heap) < K else heapq.heappushpop
                push(heap, (score, f"d{start + column}"))
    return {f"q{i}": {name: score for score, name in heap} for i, heap in enumerate(heaps)}


class _Given:
    """A beir model whose vectors are there already, so that its search alone is timed."""

    def __init__(self, queries: Vectors, documents: Vectors) -> None:
        """Hold the vectors."""
        self._queries, self._documents = torch.from_numpy(queries), torch.from_numpy(documents)

    def encode_queries(self, texts: list[str], **options: object) -> torch.Tensor:
        """Return the queries' vectors."""
        return self._queries

    def encode_corpus(self, corpus: list[dict[str, str]], **options: object) -> torch.Tensor:
        """Return the vectors of the documents named."""
        return self._documents[torch.tensor([int(document["text"]) for document in corpus])]


def _beir(queries: Vectors, documents: Vectors) -> Callable[[], object]:
    from beir.retrieval.search.dense import DenseRetrievalExactSearch

    corpus = {f"d{i}": {"title": "", "text": str(i)} for i in range(len(documents))}
    asked = {f"q{i}": "" for i in range(len(queries))}
    search = DenseRetrievalExactSearch(_Given(queries, documents), corpus_chunk_size=50_000)
    return lambda: search.search(corpus, asked, K, score_function="cos_sim")
