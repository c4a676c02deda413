"""nDCG@10 of vectors in memory, to evaluate a training."""

from collections.abc import Sequence

from probe.metrics.retrieval import Metric, score_run
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import Embeddings, unit

__all__ = ["NDCG", "mean_ndcg"]


NDCG = Metric("ndcg", 10)


def mean_ndcg(
    queries: Embeddings,
    documents: Embeddings,
    qrels: dict[str, dict[str, int]],
    *,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
) -> float:
    """Return the mean nDCG@10 of queries among documents.

    Args:
        queries: Vectors of the queries `(Q, D)`.
        documents: Vectors of the documents `(N, D)`.
        qrels: Grades per query and document.
        query_ids: Ids of the queries.
        document_ids: Ids of the documents.
    """
    top = TopK(query_ids, NDCG.cutoff)
    top.add(list(document_ids), cosines(unit(queries), documents))
    return float(score_run(top.run(), qrels, [NDCG])[NDCG].mean())
