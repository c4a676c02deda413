"""Exact search against a full sort, ties included, whatever the chunks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from probe.metrics.top_k import TopK, cosines, tie_order
from probe.metrics.vectors import unit

Matrix = NDArray[np.float32]


def rank_by_hand(queries: Matrix, documents: Matrix, ids: list[str], k: int) -> list[list[str]]:
    scores = unit(queries) @ unit(documents).T
    return [[i for _, i in sorted(zip(row, ids, strict=True), reverse=True)[:k]] for row in scores]


def search(queries: Matrix, documents: Matrix, ids: list[str], k: int, chunk: int) -> dict[str, dict[str, float]]:
    top = TopK([f"q{i}" for i in range(len(queries))], k)
    for start in range(0, len(documents), chunk):
        top.add(ids[start : start + chunk], cosines(unit(queries), documents[start : start + chunk]))
    return top.run()


@pytest.fixture
def tied() -> tuple[Matrix, Matrix, list[str]]:
    """Vectors on a coarse grid, so that most scores are ties, under ids in no order."""
    dice = np.random.default_rng(0)
    documents = dice.integers(0, 2, (60, 3)).astype(np.float32)
    ids = [str(i) for i in dice.permutation(60)]
    return np.eye(3, dtype=np.float32), documents, ids


@pytest.mark.parametrize("chunk", [1, 7, 60])
@pytest.mark.parametrize("k", [1, 5, 59, 60, 100])
def test_ranking_equals_a_full_sort_on_ties(tied: tuple[Matrix, Matrix, list[str]], k: int, chunk: int) -> None:
    queries, documents, ids = tied
    run = search(queries, documents, ids, k, chunk)
    assert [list(docs) for docs in run.values()] == rank_by_hand(queries, documents, ids, k)


@pytest.mark.parametrize("chunk", [3, 50])
def test_ranking_equals_a_full_sort_without_ties(chunk: int) -> None:
    dice = np.random.default_rng(1)
    queries, documents = dice.normal(size=(4, 8)).astype(np.float32), dice.normal(size=(50, 8)).astype(np.float32)
    ids = [f"d{i}" for i in range(50)]
    run = search(queries, documents, ids, 10, chunk)
    assert [list(docs) for docs in run.values()] == rank_by_hand(queries, documents, ids, 10)


def test_a_constant_scorer_keeps_the_greatest_ids() -> None:
    ids = ["b", "10", "a", "9", "é"]
    run = search(np.ones((1, 2), np.float32), np.ones((5, 2), np.float32), ids, 3, 2)
    assert list(run["q0"]) == ["é", "b", "a"]


def test_scores_are_cosines() -> None:
    run = search(np.array([[2, 0]], np.float32), np.array([[3, 3], [0, 5]], np.float32), ["x", "y"], 2, 2)
    assert run["q0"] == pytest.approx({"x": 0.5**0.5, "y": 0.0})


def test_a_document_with_the_querys_own_id_is_dropped() -> None:
    vectors = np.eye(3, dtype=np.float32)
    scores = cosines(vectors, vectors)
    top = TopK(["a", "b", "other"], 2, {"a", "b"})
    top.add(["a", "b"], scores[:, :2])
    top.add(["c"], scores[:, 2:])
    assert np.isfinite(scores).all()
    assert [list(docs) for docs in top.run().values()] == [["c", "b"], ["c", "a"], ["c", "b"]]


def test_fewer_documents_than_k() -> None:
    run = search(np.ones((1, 2), np.float32), np.ones((2, 2), np.float32), ["a", "b"], 100, 1)
    assert list(run["q0"]) == ["b", "a"]


def test_a_zero_vector_stays_zero() -> None:
    assert not unit(np.zeros((2, 3), np.float32)).any()


def test_unit_does_not_write_to_its_input() -> None:
    vectors = np.full((2, 2), 3, np.float32)
    unit(vectors)
    assert (vectors == 3).all()


def test_tie_order_puts_the_greatest_id_first() -> None:
    assert tie_order(["a", "c", "b"]).tolist() == [2, 0, 1]


@pytest.mark.parametrize("k", [1, 5, 59])
def test_what_several_searches_picked_makes_the_ranking_of_one(tied: tuple[Matrix, Matrix, list[str]], k: int) -> None:
    queries, documents, ids = tied
    dice = np.random.default_rng(k)
    workers, merged = [TopK(["q0", "q1", "q2"], k) for _ in range(2)], TopK(["q0", "q1", "q2"], k)
    came = []
    for start in dice.permutation(np.arange(0, 60, 3)):
        worker, names = workers[dice.integers(2)], ids[start : start + 3]
        picked = worker.pick(names, cosines(unit(queries), documents[start : start + 3]))
        worker.take(names, picked)
        came.append((names, picked))
    for place in dice.permutation(len(came)):
        merged.take(*came[place])
    assert [list(docs) for docs in merged.run().values()] == rank_by_hand(queries, documents, ids, k)
    if k == 1:
        assert sum(picked.columns.size for _, picked in came) < 3 * 60


def test_picking_takes_nothing_in() -> None:
    top = TopK(["q"], 2)
    top.pick(["a"], np.ones((1, 1), np.float32))
    assert top.run() == {"q": {}}
