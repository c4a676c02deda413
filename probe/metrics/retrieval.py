"""Retrieval metrics per query, computed by pytrec_eval (as in BEIR)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Qrels
from probe.errors import CallError, did_you_mean, wrong_type
from probe.metrics.top_k import Run

__all__ = ["Metric", "RunScorer", "score_run"]

_RECIPROCAL = "recip_rank"
_TREC_NAMES = {
    "map": "map_cut",
    "mrr": _RECIPROCAL,
    "ndcg": "ndcg_cut",
    "precision": "P",
    "recall": "recall",
    "success": "success",
}


@dataclass(frozen=True)
class Metric:
    """A metric at a cutoff, written `ndcg@10`."""

    name: str
    cutoff: int

    @classmethod
    def parse(cls, text: "str | Metric") -> "Metric":
        """Parse `ndcg@10`, `map@100`, `recall@100`, `precision@5`, `mrr@10` or `success@1`, in any case.

        Success is 1 if one of the first k documents is relevant; image retrieval papers call it recall@k. A Metric is
        returned unchanged.

        Raises:
            CallError: If the metric is unknown or has no cutoff.
        """
        if isinstance(text, Metric):
            return text
        if not isinstance(text, str):
            raise wrong_type("metric", text, "a name and a cutoff, such as 'ndcg@10', or a Metric")
        parts = re.fullmatch(r"([a-z]+)@([1-9][0-9]{0,5})", text.strip().lower())
        name = {"p": "precision"}.get(parts[1], parts[1]) if parts else text.partition("@")[0].lower()
        if parts is None or name not in _TREC_NAMES:
            known = name in _TREC_NAMES
            example = f"{name}@10" if known else f"ndcg@10 ({did_you_mean(name, list(_TREC_NAMES))})"
            raise CallError(f"unknown metric '{text}': expected a name and a cutoff, such as {example}")
        return cls(name, int(parts[2]))

    def __str__(self) -> str:
        return f"{self.name}@{self.cutoff}"


class RunScorer:
    """Scorer of rankings of the same queries: relevance labels and metrics are prepared once for all of them."""

    def __init__(self, qrels: Qrels, metrics: Sequence[Metric]) -> None:
        """Prepare the metrics.

        Args:
            qrels: Relevance labels; labelled queries that are missing from a run score 0.
            metrics: Metrics to compute.
        """
        import pytrec_eval

        self._queries = tuple(qrels)
        self._measures = {metric: _measure(metric) for metric in metrics}
        # trec_eval's reciprocal rank has no cutoff, so it gets only the top of a ranking.
        self._cut = [metric for metric in self._measures if metric.name == "mrr"]
        whole = {measure for metric, measure in self._measures.items() if metric.name != "mrr"}
        self._whole: Any = pytrec_eval.RelevanceEvaluator(qrels, whole) if whole else None
        self._ranks: Any = pytrec_eval.RelevanceEvaluator(qrels, {_RECIPROCAL}) if self._cut else None

    def score(self, run: Run) -> dict[Metric, NDArray[np.float64]]:
        """Score a ranking, query by query.

        Ties are ordered as in TREC: by descending score, then by descending document id.

        Args:
            run: Scores by query and document; not modified.

        Returns:
            One value per query and metric, in the order of the relevance labels.
        """
        found = dict.fromkeys(self._measures, self._whole.evaluate(run) if self._whole else {})
        for metric in self._cut:
            found[metric] = self._ranks.evaluate({query: _top(docs, metric.cutoff) for query, docs in run.items()})
        return {metric: self._values(scores, metric) for metric, scores in found.items()}

    def _values(self, scores: dict[str, dict[str, float]], metric: Metric) -> NDArray[np.float64]:
        """Return the values of a metric, from the scores of every query by the name of the measure."""
        key = self._measures[metric].replace(".", "_")
        return np.array([scores[query][key] if query in scores else 0.0 for query in self._queries])


def score_run(run: Run, qrels: Qrels, metrics: Sequence[Metric]) -> dict[Metric, NDArray[np.float64]]:
    """Score a single ranking, query by query, as `RunScorer` does.

    Args:
        run: Scores by query and document; not modified.
        qrels: Relevance labels; labelled queries that are missing from the run score 0.
        metrics: Metrics to compute.

    Returns:
        One value per query and metric, in the order of `qrels`.
    """
    return RunScorer(qrels, metrics).score(run)


def _measure(metric: Metric) -> str:
    """Return trec_eval's name of a metric."""
    return _RECIPROCAL if metric.name == "mrr" else f"{_TREC_NAMES[metric.name]}.{metric.cutoff}"


def _top(documents: dict[str, float], k: int) -> dict[str, float]:
    ranked = sorted(documents.items(), key=lambda item: (np.float32(item[1]), item[0]), reverse=True)
    return dict(ranked[:k])
