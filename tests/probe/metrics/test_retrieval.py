"""Metrics against pytrec_eval, BEIR and numbers known by hand, on runs full of ties."""

import random

import numpy as np
import pytest
import pytrec_eval
from beir.retrieval.evaluation import EvaluateRetrieval

from probe.errors import CallError
from probe.metrics.retrieval import Metric, score_run

CUTOFFS = (1, 3, 10, 100)
TREC = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P", "success": "success"}

Run = dict[str, dict[str, float]]
Qrels = dict[str, dict[str, int]]


@pytest.fixture
def tied_run() -> tuple[Run, Qrels]:
    """Forty queries with 200 documents each at five different scores."""
    dice = random.Random(0)
    run = {f"q{q}": {f"d{d}": dice.randint(0, 4) / 4 for d in range(200)} for q in range(40)}
    qrels = {query: {f"d{d}": dice.randint(0, 3) for d in dice.sample(range(200), 12)} for query in run}
    return run, qrels


@pytest.mark.parametrize("name", list(TREC))
@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_every_query_equals_pytrec_eval_on_ties(tied_run: tuple[Run, Qrels], name: str, cutoff: int) -> None:
    run, qrels = tied_run
    expected = pytrec_eval.RelevanceEvaluator(qrels, {f"{TREC[name]}.{cutoff}"}).evaluate(run)
    metric = Metric(name, cutoff)
    values = score_run(run, qrels, [metric])[metric]
    assert values == pytest.approx([expected[query][f"{TREC[name]}_{cutoff}"] for query in qrels], abs=1e-6)


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_mrr_is_the_reciprocal_rank_on_the_tie_ordered_top(tied_run: tuple[Run, Qrels], cutoff: int) -> None:
    run, qrels = tied_run
    expected = []
    for query, docs in run.items():
        ranked = sorted(docs, key=lambda d: (docs[d], d), reverse=True)[:cutoff]
        places = [place for place, doc in enumerate(ranked, start=1) if qrels[query].get(doc, 0) > 0]
        expected.append(1 / places[0] if places else 0.0)
    metric = Metric("mrr", cutoff)
    assert score_run(run, qrels, [metric])[metric] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("cutoff", CUTOFFS)
def test_success_is_whether_the_tie_ordered_top_holds_a_relevant_document(
    tied_run: tuple[Run, Qrels], cutoff: int
) -> None:
    run, qrels = tied_run
    expected = []
    for query, docs in run.items():
        ranked = sorted(docs, key=lambda d: (docs[d], d), reverse=True)[:cutoff]
        expected.append(float(any(qrels[query].get(doc, 0) > 0 for doc in ranked)))
    metric = Metric("success", cutoff)
    values = score_run(run, qrels, [metric])[metric].tolist()
    assert values == expected
    assert cutoff == 100 or 0 < sum(values) < len(values)


def test_means_equal_beirs(tied_run: tuple[Run, Qrels]) -> None:
    run, qrels = tied_run
    ndcg, average, recall, precision = EvaluateRetrieval.evaluate(qrels, {q: dict(d) for q, d in run.items()}, [10])
    expected = {"ndcg": ndcg["NDCG@10"], "map": average["MAP@10"], "recall": recall["Recall@10"]}
    expected["precision"] = precision["P@10"]
    ours = {name: score_run(run, qrels, [Metric(name, 10)])[Metric(name, 10)].mean() for name in expected}
    assert ours == pytest.approx(expected, abs=1e-5)


def test_a_constant_scorer_earns_only_what_the_ids_give() -> None:
    run = {"q": {f"d{i}": 1.0 for i in range(10)}}
    for metric in (Metric("ndcg", 1), Metric("mrr", 1)):
        assert score_run(run, {"q": {"d0": 1}}, [metric])[metric].tolist() == [0.0]
        assert score_run(run, {"q": {"d9": 1}}, [metric])[metric].tolist() == [1.0]


def test_a_judged_query_without_results_scores_zero() -> None:
    metric = Metric("ndcg", 10)
    scores = score_run({"q1": {"d": 1.0}}, {"q1": {"d": 1}, "q2": {"d": 1}}, [metric])[metric]
    assert scores.tolist() == [1.0, 0.0]


def test_the_run_is_not_changed(tied_run: tuple[Run, Qrels]) -> None:
    run, qrels = tied_run
    before = {query: dict(docs) for query, docs in run.items()}
    score_run(run, qrels, [Metric("ndcg", 10), Metric("mrr", 3)])
    assert run == before


def test_ndcg_by_hand() -> None:
    metric = Metric("ndcg", 3)
    scores = score_run({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}, {"q": {"a": 1, "c": 2}}, [metric])[metric]
    ideal = 2 / np.log2(2) + 1 / np.log2(3)
    assert scores[0] == pytest.approx((1 / np.log2(2) + 2 / np.log2(4)) / ideal, abs=1e-6)


@pytest.mark.parametrize("text", ["ndcg@10", "map@100", "recall@1", "precision@5", "mrr@10", "success@1"])
def test_a_metric_prints_as_it_parses(text: str) -> None:
    assert str(Metric.parse(text)) == text


@pytest.mark.parametrize(("text", "metric"), [("nDCG@10", "ndcg@10"), ("P@5", "precision@5"), ("MRR@3", "mrr@3")])
def test_metrics_parse_in_any_case(text: str, metric: str) -> None:
    assert str(Metric.parse(text)) == metric


@pytest.mark.parametrize("text", ["ndcg", "ndcg@0", "ndcg@", "ndgc@10", "@10", "recall@-1", "map@ten", "", "f1@3"])
def test_a_metric_that_is_none_is_a_wrong_call(text: str) -> None:
    with pytest.raises(CallError, match="unknown metric"):
        Metric.parse(text)
