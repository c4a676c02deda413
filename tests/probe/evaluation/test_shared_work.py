"""What several rows of a table need is done once for all of them."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import pytrec_eval

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import RunContext
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.one_pass import sweep_fusions
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric
from probe.metrics.top_k import TopK
from probe.models.loaded import LoadedModel

METRICS = [Metric("ndcg", 10), Metric("recall", 5), Metric("recall", 10), Metric("mrr", 3), Metric("mrr", 10)]


@pytest.fixture
def points(load_tiny: Callable[[str], LoadedModel]) -> list[Hookpoint]:
    return select_hookpoints(load_tiny("bert"), "1,2,3", ("mean",))


@pytest.fixture
def readers(load_tiny: Callable[[str], LoadedModel]) -> dict[str, LayerReader]:
    model = load_tiny("bert")
    return {model.source.name: LayerReader(model)}


def test_rankings_of_a_late_fusion_are_built_once(
    readers: dict[str, LayerReader], points: list[Hookpoint], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[TopK] = []
    real = TopK.run
    monkeypatch.setattr(TopK, "run", lambda self: (built.append(self), real(self))[1])
    late = [RunFusion(pair, rule) for pair in pairwise(points) for rule in ("rrf", "combsum")]
    rows = [Fusion((points[0],)), *late, Fusion((points[2],))]
    found, _ = sweep_fusions(readers, rows, dataset, metrics=METRICS, context=RunContext())
    assert len(built) == len(set(map(id, built))) == 3
    alone, _ = sweep_fusions(readers, [late[-1]], dataset, metrics=METRICS, context=RunContext())
    assert [one.tolist() for one in found[-2].scores.values()] == [one.tolist() for one in alone[0].scores.values()]


def test_relevance_labels_are_converted_once_for_all_rows(
    readers: dict[str, LayerReader], points: list[Hookpoint], dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = pytrec_eval.RelevanceEvaluator

    def make(qrels: object, measures: object) -> object:
        made.append(measures)
        return real(qrels, measures)

    monkeypatch.setattr(pytrec_eval, "RelevanceEvaluator", make)
    rows = [Fusion((point,)) for point in points]
    sweep_fusions(readers, rows, dataset, metrics=METRICS[:3], context=RunContext())
    assert made == [{"ndcg_cut.10", "recall.5", "recall.10"}]
    made.clear()
    sweep_fusions(readers, rows, dataset, metrics=METRICS, context=RunContext())
    # trec_eval's reciprocal rank has no cutoff, so it is computed for a shorter ranking.
    assert len(made) == 2
