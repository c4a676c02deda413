"""What a map between models keeps of each of them alone, on one and on several data sets."""

import numpy as np
import pytest

from probe.evaluation.records import AdaptorFacts, Evaluation, MapEnds
from probe.evaluation.retention import find_retention, join_retention
from probe.metrics.retrieval import Metric
from probe.metrics.significance import paired_p_values
from probe.results.row import Retention, Row, RowKey

METRIC = Metric.parse("ndcg@10")
SCORES = {"a": np.array([0.4, 0.5, 0.6]), "b": np.array([0.8, 0.9, 1.0]), "a > b": np.array([0.5, 0.6, 0.7])}


def evaluate(name: str, ends: MapEnds | None = None) -> Evaluation:
    facts = AdaptorFacts("map", "none", (), None, 1, ends) if ends else None
    return Evaluation(name, 2, {METRIC: SCORES[name]}, adaptor=facts)


def test_a_map_is_compared_with_both_models_alone() -> None:
    evaluations = [evaluate("b"), evaluate("a > b", MapEnds("a", "b")), evaluate("a")]
    found = find_retention(evaluations, METRIC, seed=0)
    assert list(found) == [1]
    source, target = found[1]
    assert (source.encoder, target.encoder) == ("a", "b")
    assert source.share == pytest.approx(0.6 / 0.5)
    assert target.share == pytest.approx(0.6 / 0.9)
    assert target.p_value == paired_p_values(SCORES["a > b"][None], SCORES["b"], 0)[0]


def test_without_one_of_its_models_nothing_is_said() -> None:
    assert find_retention([evaluate("a > b", MapEnds("a", "b")), evaluate("a")], METRIC, seed=0) == {}


def test_a_model_that_finds_nothing_has_no_share() -> None:
    zero = Evaluation("a", 2, {METRIC: np.zeros(3)})
    (source, _) = find_retention([zero, evaluate("b"), evaluate("a > b", MapEnds("a", "b"))], METRIC, seed=0)[2]
    assert source.share is None


def test_over_several_data_sets_it_is_that_of_the_means() -> None:
    kept = (Retention("a", 1.0, None), Retention("b", 1.0, None))
    rows = {
        RowKey(name, None, "none", 2, ()): {
            data: Row(1, name, scores={"ndcg@10": score}, retention=kept if name == "a > b" else None)
            for data, score in zip(("one", "two"), scores, strict=True)
        }
        for name, scores in {"a": (0.2, 0.4), "b": (0.5, 0.7), "a > b": (0.4, 0.5)}.items()
    }
    scores = {key: [SCORES[key.encoder][None]] * 2 for key in rows}
    ((key, (source, target)),) = join_retention(rows, scores, "ndcg@10", seed=0).items()
    assert key.encoder == "a > b"
    assert source.share == pytest.approx(0.45 / 0.3)
    assert target.share == pytest.approx(0.45 / 0.6)
    assert target.p_value is not None
    untested = join_retention(rows, dict.fromkeys(rows, ()), "ndcg@10", seed=0)
    assert [one.p_value for one in untested[key]] == [None, None]
