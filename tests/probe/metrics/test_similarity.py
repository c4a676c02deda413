"""Every similarity against sentence-transformers, and against a search in double precision, ties included."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import util

from probe.data.dataset import Qrels
from probe.errors import CallError
from probe.metrics import similarity as similarity_module
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.similarity import SIMILARITIES, check_similarity, compare
from probe.metrics.top_k import TopK

Matrix = NDArray[np.float32]
Wide = NDArray[np.float64]

THEIRS = {
    "cosine": util.cos_sim,
    "dot": util.dot_score,
    "euclidean": util.euclidean_sim,
    "manhattan": util.manhattan_sim,
}


def by_hand(name: str, queries: Matrix, documents: Matrix) -> Wide:
    """Compare one pair at a time, in double precision."""
    return np.array([[_pair(name, q, d) for d in documents.astype(np.float64)] for q in queries.astype(np.float64)])


def _pair(name: str, query: Wide, document: Wide) -> float:
    if name == "euclidean":
        return -float(np.sqrt(((query - document) ** 2).sum()))
    if name == "manhattan":
        return -float(np.abs(query - document).sum())
    if name == "dot":
        return float(query @ document)
    norms = float(np.linalg.norm(query) * np.linalg.norm(document))
    return float(query @ document) / norms if norms else 0.0


@pytest.mark.parametrize("name", SIMILARITIES)
def test_scores_are_those_of_sentence_transformers(name: str) -> None:
    dice = np.random.default_rng(0)
    queries, documents = dice.normal(size=(7, 24)).astype(np.float32), dice.normal(size=(50, 24)).astype(np.float32)
    scores = compare(name, queries, documents)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(THEIRS[name](queries, documents).numpy(), abs=1e-5)


@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("seed", range(50))
def test_ranks_and_metrics_are_those_of_a_search_in_double_precision(name: str, seed: int) -> None:
    dice = np.random.default_rng(seed)
    # A coarse grid and every document twice: most scores are ties.
    documents = np.tile(dice.integers(-1, 2, (20, 6)), (2, 1)).astype(np.float32)
    queries = dice.integers(-1, 2, (5, 6)).astype(np.float32)
    ids, asked = [str(i) for i in dice.permutation(40)], [f"q{i}" for i in range(5)]
    top = TopK(asked, 10)
    for start in range(0, 40, 7):
        top.add(ids[start : start + 7], compare(name, queries, documents[start : start + 7]))
    exact = by_hand(name, queries, documents).astype(np.float32).tolist()
    whole = {query: dict(zip(ids, row, strict=True)) for query, row in zip(asked, exact, strict=True)}
    ranked = {
        query: [i for _, i in sorted(((score, i) for i, score in row.items()), reverse=True)[:10]]
        for query, row in whole.items()
    }
    run = top.run()
    assert {query: list(found) for query, found in run.items()} == ranked
    qrels: Qrels = {query: {i: int(dice.integers(0, 3)) for i in ids[::3]} for query in asked}
    metrics = [Metric("ndcg", 10), Metric("recall", 5), Metric("mrr", 10)]
    ours, theirs = score_run(run, qrels, metrics), score_run(whole, qrels, metrics)
    for metric in metrics:
        assert ours[metric] == pytest.approx(theirs[metric], abs=1e-6)


@pytest.mark.parametrize("name", SIMILARITIES)
def test_equal_vectors_tie_wherever_they_stand(name: str) -> None:
    dice = np.random.default_rng(2)
    queries, one = dice.normal(size=(33, 384)).astype(np.float32), dice.normal(size=384).astype(np.float32)
    documents = dice.normal(size=(301, 384)).astype(np.float32)
    documents[::7] = one
    scores = compare(name, queries, documents)[:, ::7]
    assert (scores == scores[:, :1]).all()
    assert (compare(name, queries, one[None]) == scores[:, :1]).all()


def test_a_document_is_as_far_from_itself_as_can_be_told() -> None:
    vectors = 100 + np.random.default_rng(3).normal(size=(40, 16)).astype(np.float32)
    for name in ("euclidean", "manhattan"):
        assert (np.diag(compare(name, vectors, vectors)) == 0).all()


def test_documents_in_multiples_of_one_direction_tie_by_cosine_alone() -> None:
    documents = np.outer([1, 2, 3, 7], [0.3, -0.1, 0.7]).astype(np.float32)
    query = np.array([[1.0, 2.0, 3.0]], np.float32)
    assert len(set(compare("cosine", query, documents)[0].tolist())) == 1
    assert len(set(compare("dot", query, documents)[0].tolist())) == 4


@pytest.mark.parametrize("name", SIMILARITIES)
def test_blocks_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(4)
    queries, documents = dice.normal(size=(3, 8)).astype(np.float32), dice.normal(size=(11, 8)).astype(np.float32)
    whole = compare(name, queries, documents)
    monkeypatch.setattr(similarity_module, "_BLOCK", 6)
    assert (compare(name, queries, documents) == whole).all()


@pytest.mark.parametrize("name", SIMILARITIES)
def test_nothing_is_compared_with_nothing(name: str) -> None:
    empty, some = np.empty((0, 4), np.float32), np.ones((2, 4), np.float32)
    assert compare(name, empty, some).shape == (0, 2)
    assert compare(name, some, empty).shape == (2, 0)


def test_a_similarity_that_is_none_is_refused() -> None:
    assert check_similarity("own") == "own"
    with pytest.raises(CallError, match=r"unknown similarity 'cosin': expected one of own, cosine, .*did you mean"):
        check_similarity("cosin")
