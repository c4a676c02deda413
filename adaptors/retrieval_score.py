"""nDCG@10 of vectors in memory, to evaluate a training."""

from collections.abc import Sequence

from probe.encoder import Embeddings
from probe.metrics import Metric, score_run
from probe.search import TopK, cosines, unit

__all__ = ["NDCG", "mean_ndcg"]


NDCG = Metric("ndcg", 10)


def mean_ndcg(
    queries: tuple[Sequence[str], Embeddings],
    documents: tuple[Sequence[str], Embeddings],
    qrels: dict[str, dict[str, int]],
) -> float:
    """Return the mean nDCG@10 of queries among documents.

    Args:
        queries: Ids of Q queries, and their vectors `(Q, D)`.
        documents: Ids of N documents, and their vectors `(N, D)`.
        qrels: Grades per query and document.
    """
    top = TopK(queries[0], NDCG.cutoff)
    top.add(list(documents[0]), cosines(unit(queries[1]), documents[1]))
    return float(score_run(top.run(), qrels, [NDCG])[NDCG].mean())
