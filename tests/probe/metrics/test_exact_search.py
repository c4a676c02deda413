"""Two hundred random searches with ties: rankings against a full sort, metrics against pytrec_eval."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import pytrec_eval
from numpy.typing import NDArray

from probe.metrics.retrieval import Metric, score_run
from probe.metrics.similarity import SIMILARITIES, compare
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import Embeddings, unit

RUNS = 200
MEASURES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "success": "success"}

Wide = NDArray[np.float64]


def cosine_by_hand(query: Wide, document: Wide) -> float:
    lengths = float(np.sqrt((query**2).sum() * (document**2).sum()))
    return float((query * document).sum() / lengths) if lengths else 0.0


# In float64, one pair after the other; greater is more alike.
BY_HAND: dict[str, Callable[[Wide, Wide], float]] = {
    "cosine": cosine_by_hand,
    "dot": lambda query, document: float((query * document).sum()),
    "euclidean": lambda query, document: -float(np.sqrt(((query - document) ** 2).sum())),
    "manhattan": lambda query, document: -float(np.abs(query - document).sum()),
}
# What is tested, by the names above: in double precision as encoders are scored, and as it is in a training.
COMPARED: dict[str, Callable[[Embeddings, Embeddings], Embeddings]] = {
    **{name: partial(compare, name) for name in SIMILARITIES},
    "cosine, float32": lambda queries, documents: cosines(unit(queries), documents),
}


@dataclass(frozen=True)
class Search:
    """A random search on a coarse grid, so that most scores are ties, also across the cut to k."""

    queries: Embeddings
    documents: Embeddings
    query_ids: list[str]
    document_ids: list[str]
    dropped: set[str]
    qrels: dict[str, dict[str, int]]
    k: int
    chunk: int

    @classmethod
    def draw(cls, dice: np.random.Generator) -> "Search":
        documents, queries = int(dice.integers(1, 60)), int(dice.integers(1, 6))
        # Entries of 1 and -1 in 4 or 16 dimensions: lengths are whole numbers, and no score is rounded.
        dim = int(dice.choice([4, 16]))
        query_ids = [str(number) for number in dice.permutation(80)[:queries]]
        document_ids = [str(number) for number in dice.permutation(80)[:documents]]
        rows = dice.choice([-1.0, 1.0], (1 + documents // 2, dim))
        judged = {query: dice.choice(document_ids, min(documents, 8), replace=False) for query in query_ids}
        return cls(
            queries=dice.choice([-1.0, 1.0], (queries, dim)).astype(np.float32),
            documents=rows[dice.integers(0, len(rows), documents)].astype(np.float32),
            query_ids=query_ids,
            document_ids=document_ids,
            dropped=set(query_ids[::2]),
            qrels={query: {str(name): int(dice.integers(0, 4)) for name in names} for query, names in judged.items()},
            k=int(dice.choice([1, 3, 10, 100])),
            chunk=int(dice.integers(1, 20)),
        )

    def find(self, compare: Callable[[Embeddings, Embeddings], Embeddings]) -> dict[str, dict[str, float]]:
        top = TopK(self.query_ids, self.k, self.dropped)
        for start in range(0, len(self.documents), self.chunk):
            part = slice(start, start + self.chunk)
            top.add(self.document_ids[part], compare(self.queries, self.documents[part]))
        return top.run()

    def sort(self, compare: Callable[[Wide, Wide], float]) -> dict[str, dict[str, float]]:
        found = {}
        for name, query in zip(self.query_ids, self.queries.astype(np.float64), strict=True):
            pairs = zip(self.document_ids, self.documents.astype(np.float64), strict=True)
            scores = [(compare(query, vector), other) for other, vector in pairs]
            kept = [(score, other) for score, other in scores if other != name or name not in self.dropped]
            found[name] = {other: score for score, other in sorted(kept, reverse=True)[: self.k]}
        return found


@pytest.fixture(scope="module")
def searches() -> list[Search]:
    dice = np.random.default_rng(20)
    return [Search.draw(dice) for _ in range(RUNS)]


@pytest.mark.parametrize("similarity", COMPARED)
def test_rankings_and_metrics_are_those_of_a_full_sort(searches: list[Search], similarity: str) -> None:
    ours, by_hand = COMPARED[similarity], BY_HAND[similarity.partition(",")[0]]
    tied = 0
    for search in searches:
        found, expected = search.find(ours), search.sort(by_hand)
        for query, documents in expected.items():
            assert list(found[query]) == list(documents)
            assert list(found[query].values()) == pytest.approx(list(documents.values()), abs=1e-6)
            tied += len(set(documents.values())) < len(documents)
        check_metrics(found, expected, search)
    assert tied > RUNS


def check_metrics(found: dict[str, dict[str, float]], expected: dict[str, dict[str, float]], search: Search) -> None:
    """Compare every metric of what was found with pytrec_eval's of the full sort."""
    names = {f"{trec}.{search.k}" for trec in MEASURES.values()} | {"recip_rank"}
    trec: dict[str, Any] = pytrec_eval.RelevanceEvaluator(search.qrels, names).evaluate(expected)
    metrics = {Metric(name, search.k): f"{trec_name}_{search.k}" for name, trec_name in MEASURES.items()}
    metrics[Metric("mrr", search.k)] = "recip_rank"
    scores = score_run(found, search.qrels, list(metrics))
    for metric, name in metrics.items():
        reference = [trec[query][name] if query in trec else 0.0 for query in search.qrels]
        assert scores[metric] == pytest.approx(reference, abs=1e-6)
