"""BM25: the best documents by a partition, in the order of a full sort with ties by document id."""

from pathlib import Path

import numpy as np
import pytest
from tiny_data import write_beir

from probe.evaluation import bm25
from probe.metrics.retrieval import Metric
from probe.metrics.top_k import tie_order
from probe.sources.loading import load_dataset

pytest.importorskip("bm25s")


@pytest.mark.parametrize("depth", [1, 3, 10, 60, 100])
def test_the_best_are_those_of_a_full_sort(depth: int) -> None:
    dice = np.random.default_rng(depth)
    for most in (2, 5, 1000):
        # Few different scores, many of them 0.
        scores = dice.integers(0, most, 60).astype(np.float32)
        places = dice.permutation(60)
        full = [row for row in np.lexsort((places, -scores))[:depth] if scores[row] > 0]
        assert bm25._best(scores, places, depth).tolist() == full
    assert bm25._best(np.zeros(0, np.float32), places, depth).tolist() == []


def test_only_what_may_be_among_the_best_is_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {f"d{i:03}": "corn " + "lake " * (i % 7) + ("bird" if i % 2 else "milk") for i in range(200)}
    queries = {"q": "corn", "d004": "bird lake", "none": "unknown"}
    folder = write_beir(tmp_path / "data", texts, queries, {query: {"d004": 1} for query in queries})
    data = load_dataset(str(folder))
    sizes: list[int] = []
    sort = np.lexsort

    def note(keys: tuple[np.ndarray, ...]) -> np.ndarray:
        sizes.append(len(keys[0]))
        return sort(keys)

    monkeypatch.setattr(np, "lexsort", note)
    found = bm25.evaluate_bm25(data, [Metric.parse("ndcg@5")])
    assert max(sizes) < 60
    first = list(bm25._rank(data, 5)["q"].items())
    assert [name for name, _ in first] == sorted((name for name, _ in first), reverse=True)
    assert len(first) == 5
    assert found.leaders["none"] == ()


def test_places_are_the_order_of_ties() -> None:
    scores = np.ones(4, np.float32)
    assert bm25._best(scores, tie_order(["b", "d", "a", "c"]), 2).tolist() == [1, 3]
