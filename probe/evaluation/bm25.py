"""BM25 as a baseline row (bm25s, with the settings of mteb's baseline)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Dataset, refuse_images
from probe.data.texts import Texts
from probe.errors import CallError
from probe.evaluation.records import Evaluation
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.top_k import Run, tie_order
from probe.metrics.vectors import Embeddings
from probe.results.query_examples import leaders

__all__ = ["BM25", "check_bm25", "evaluate_bm25"]

BM25 = "bm25"


def check_bm25() -> None:
    """Raise early if the extra is not installed.

    Raises:
        CallError: If bm25s is not installed.
    """
    try:
        import bm25s  # noqa: F401
        import Stemmer  # noqa: F401
    except ImportError as error:
        raise CallError(f"BM25 needs the extra: pip install 'encoder-surgery[bm25]' ({error})") from error


def evaluate_bm25(dataset: Dataset, metrics: Sequence[Metric]) -> Evaluation:
    """Score BM25; marked transductive, because its term weights come from the corpus itself.

    Raises:
        CallError: If the data set has images.
    """
    refuse_images(dataset, "BM25")
    depth = max(metric.cutoff for metric in metrics)
    run = _rank(dataset, depth)
    return Evaluation(BM25, None, score_run(run, dataset.qrels, metrics), transductive=True, leaders=leaders(run))


def _rank(dataset: Dataset, depth: int) -> Run:
    import bm25s
    import Stemmer

    documents = Texts.gather(dataset.documents)  # bm25s indexes a corpus in memory
    stemmer = Stemmer.Stemmer("english")
    options = {"stopwords": "en", "stemmer": stemmer, "show_progress": False}
    corpus = bm25s.tokenize(list(documents.texts), **options)
    if not corpus.vocab:
        return {}
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    places, owns = tie_order(documents.ids), {name: row for row, name in enumerate(documents.ids)}
    queries = bm25s.tokenize(list(dataset.queries.texts), return_ids=False, **options)
    run: Run = {}
    for query, tokens in zip(dataset.queries.ids, queries, strict=True):
        scores = index.get_scores(tokens).astype(np.float32) if tokens else np.zeros(0, np.float32)
        if query in dataset.dropped and query in owns and len(scores):
            scores[owns[query]] = 0
        run[query] = {documents.ids[row]: float(scores[row]) for row in _best(scores, places, depth)}
    return run


def _best(scores: Embeddings, places: NDArray[np.int64], depth: int) -> NDArray[np.int64]:
    """Return the rows with the greatest positive scores `(N,)`, best first; only these are sorted.

    Args:
        scores: Scores of the documents.
        places: Their ranks among equal scores.
        depth: Number of rows.
    """
    least = np.partition(scores, -depth)[-depth] if len(scores) > depth else 0
    rows = np.flatnonzero((scores > 0) & (scores >= least))
    chosen: NDArray[np.int64] = rows[np.lexsort((places[rows], -scores[rows]))[:depth]]
    return chosen
