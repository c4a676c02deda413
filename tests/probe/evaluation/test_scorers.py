"""What vectors are compared by: the model's own similarity or another one, of hookpoints, fusions and any encoder."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from probe.data.dataset import Dataset
from probe.data.texts import EqualTexts
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.evaluation import published_scores
from probe.evaluation.composite import Asymmetric, SimilarityChoice
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.tracker import TopKTracker
from probe.experiments import ranking
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import Hookpoint
from probe.metrics.similarity import SIMILARITIES, compare
from probe.metrics.vectors import Embeddings, unit
from probe.models.loaded import LoadedModel
from probe.results.leaderboard import Leaderboard

Load = Callable[[str], LoadedModel]
IDS = tuple(f"d{i}" for i in range(30))


def made_for(model: LoadedModel, similarity: str) -> LoadedModel:
    """Return a model whose own similarity is another one."""
    return replace(model, similarity=similarity)


def vectors(seed: int, rows: int, width: int) -> Embeddings:
    # Lengths that differ, or the dot product would rank as the cosine does.
    dice = np.random.default_rng(seed)
    return (dice.normal(size=(rows, width)) * dice.uniform(0.2, 5, (rows, 1))).astype(np.float32)


A, B = Hookpoint("a", 1, "mean"), Hookpoint("b", 1, "cls")
QUERIES = {A: vectors(0, 4, 8), B: vectors(1, 4, 6)}
DOCUMENTS = {A: vectors(2, 30, 8), B: vectors(3, 30, 6)}
OWN = {"a": "dot", "b": "cosine"}


def tracker_of(encoders: "Sequence[Fusion | Asymmetric | RunFusion]", asked: str) -> TopKTracker:
    none = EqualTexts(np.empty(0, np.int64), np.empty(0, np.int64))
    choice = SimilarityChoice(asked, OWN)
    return TopKTracker(encoders, ["q0", "q1", "q2", "q3"], 30, equal_texts=none, similarities=choice)


def track(encoder: "Fusion | Asymmetric | RunFusion", asked: str = "own") -> dict[str, dict[str, float]]:
    tracker = tracker_of([encoder], asked)
    tracker.take_queries(QUERIES)
    for start in (0, 13):
        stop = 13 if start == 0 else 30
        part = {point: found[start:stop] for point, found in DOCUMENTS.items()}
        tracker.take(tracker.find(start, IDS[start:stop], part))
    return tracker.run(encoder)


def scores_of(run: dict[str, dict[str, float]]) -> NDArray[np.float64]:
    return np.array([[found[name] for name in IDS] for found in run.values()])


@pytest.mark.parametrize("asked", SIMILARITIES)
def test_a_hookpoint_is_compared_as_asked(asked: str) -> None:
    run = scores_of(track(Fusion((A,)), asked))
    assert run == pytest.approx(compare(asked, QUERIES[A], DOCUMENTS[A]), rel=1e-6)


def test_own_is_that_of_the_model() -> None:
    assert scores_of(track(Fusion((A,)))) == pytest.approx(compare("dot", QUERIES[A], DOCUMENTS[A]), rel=1e-6)
    assert scores_of(track(Fusion((B,)))) == pytest.approx(compare("cosine", QUERIES[B], DOCUMENTS[B]), rel=1e-6)


@pytest.mark.parametrize("method", ["concat", "mean"])
@pytest.mark.parametrize("asked", ["own", *SIMILARITIES])
def test_a_fusion_is_compared_by_its_vectors(method: str, asked: str) -> None:
    first, second = A, Hookpoint("a", 2, "mean")
    fusion = Fusion((first, second), method=method)
    asked_states, found_states = {**QUERIES, second: vectors(5, 4, 8)}, {**DOCUMENTS, second: vectors(6, 30, 8)}
    tracker = tracker_of([fusion], asked)
    tracker.take_queries(asked_states)
    tracker.take(tracker.find(0, IDS, found_states))
    joined = [fusion.join_arrays([states[p] for p in fusion.points]) for states in (asked_states, found_states)]
    wanted = compare("cosine" if asked == "own" else asked, *joined)
    assert scores_of(tracker.run(fusion)) == pytest.approx(wanted, abs=1e-6)


def test_one_table_may_hold_a_hookpoint_by_dot_and_in_a_fusion_by_cosine() -> None:
    alone, fusion = Fusion((A,)), Fusion((A, B))
    tracker = tracker_of([alone, fusion], "own")
    tracker.take_queries(QUERIES)
    tracker.take(tracker.find(0, IDS, DOCUMENTS))
    cosines = [compare("cosine", QUERIES[point], DOCUMENTS[point]) for point in (A, B)]
    assert scores_of(tracker.run(alone)) == pytest.approx(compare("dot", QUERIES[A], DOCUMENTS[A]), rel=1e-6)
    assert scores_of(tracker.run(fusion)) == pytest.approx((cosines[0] + cosines[1]) / 2, abs=1e-6)
    assert tracker.dim(alone) == 8
    assert tracker.dim(fusion) == 14


def test_rankings_that_are_fused_are_each_by_its_own() -> None:
    late = RunFusion((A, B), "rrf")
    tracker = tracker_of([late], "own")
    tracker.take_queries(QUERIES)
    tracker.take(tracker.find(0, IDS, DOCUMENTS))
    assert tracker.run(late) == late.combine([track(Fusion((A,))), track(Fusion((B,)))])


def test_of_two_encoders_that_of_the_documents_decides() -> None:
    choice = SimilarityChoice("own", OWN)
    assert choice.of(Asymmetric(Fusion((B,)), Fusion((A,)))) == "dot"
    assert choice.of(Asymmetric(Fusion((A,)), Fusion((B,)))) == "cosine"


def rank(model: LoadedModel, dataset: Dataset, similarity: str = "own") -> Leaderboard:
    return rank_layers(LayerReader(model), dataset, poolings=["mean"], options=RunOptions(similarity=similarity))


def scores(board: Leaderboard) -> dict[str, dict[str, float]]:
    return {row.encoder: row.scores for row in board.rows}


@pytest.mark.parametrize("name", SIMILARITIES)
def test_a_table_is_by_the_models_own_similarity_or_the_one_asked_for(
    model: LoadedModel, dataset: Dataset, name: str
) -> None:
    own, asked = rank(made_for(model, name), dataset), rank(model, dataset, name)
    assert scores(own).items() <= scores(asked).items()
    assert own.settings["similarity"] == f"own ({name}), float32"
    assert own.settings["models"][0]["similarity"] == name
    assert asked.settings["similarity"] == f"{name}, float32"
    assert any(f"; {name}, float32; " in line for line in asked.notes())


@pytest.mark.parametrize("name", ["own", *SIMILARITIES])
def test_the_own_row_is_the_model_by_whatever_similarity(
    tiny_folder: Callable[[str], Path], dataset: Dataset, name: str
) -> None:
    # Its vectors have length 1, which the bare states have not.
    theirs = SentenceTransformer(str(tiny_folder("bert")), device="cpu")
    theirs.append(Normalize())
    board = rank_layers(theirs, dataset, "last", options=RunOptions(similarity=name, metric="map@40"))
    wanted = evaluate(theirs, dataset, ["map@40"], similarity=name).mean("map@40")
    assert board.rows[0].scores["map@40"] == pytest.approx(wanted, abs=1e-9)
    assert board.rows[0].delta is None


def test_similarities_rank_differently(model: LoadedModel, dataset: Dataset) -> None:
    assert len({str(scores(rank(model, dataset, name))) for name in SIMILARITIES}) > 1


def test_a_footer_names_the_similarity_of_every_model_where_they_differ(load_tiny: Load, dataset: Dataset) -> None:
    one, other = made_for(load_tiny("bert"), "dot"), load_tiny("electra")
    points = [Hookpoint(model.source.name, model.depth, "cls") for model in (one, other)]
    candidates = [Candidate(LayerReader(model), (point,)) for model, point in zip((one, other), points, strict=True)]
    board = rank_candidates(candidates, dataset, str(points[0]), fusions=[Fusion(tuple(points))])
    words = board.settings["similarity"]
    assert f"{one.source.name} dot, {other.source.name} cosine; fusions and adaptors cosine" in words


def test_tokens_have_their_own_similarity(model: LoadedModel, dataset: Dataset) -> None:
    reader = LayerReader(model)
    with pytest.raises(CallError, match="compared by MaxSim: remove the similarity dot"):
        rank_layers(reader, dataset, "last", poolings=["tokens"], options=RunOptions(similarity="dot"))


def test_an_unknown_similarity_is_refused_before_any_work() -> None:
    with pytest.raises(CallError, match="unknown similarity 'l2'"):
        RunOptions(similarity="l2")


def test_a_published_score_is_shown_by_the_similarity_it_was_published_for(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(model, source=replace(model.source, hub_id="owner/name"))
    monkeypatch.setattr(ranking, "uses_published_settings", lambda *_: True)
    monkeypatch.setattr(ranking, "find_published", lambda *_: 0.5)
    shown = {
        name: any(row.published is not None for row in rank(known, dataset, name).rows)
        for name in ("own", *SIMILARITIES)
    }
    assert shown == {"own": True, "cosine": True, "dot": False, "euclidean": False, "manhattan": False}
    assert published_scores.find_published(None, dataset, RunOptions().ranked_by) is None


class Fixed:
    """An encoder whose vectors are given."""

    similarity_fn_name = "euclidean"

    def __init__(self, queries: Embeddings, documents: Embeddings) -> None:
        self._queries, self._documents = queries, documents

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        return self._queries[: len(texts)]

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        return self._documents[: len(texts)]


def test_any_encoder_is_compared_by_the_similarity_it_names(dataset: Dataset) -> None:
    given = (vectors(0, 8, 5), vectors(1, 40, 5))
    found = {
        name: evaluate(Fixed(*given), dataset, ["map@40"], similarity=name).mean("map@40") for name in SIMILARITIES
    }
    assert len(set(found.values())) == 4
    assert evaluate(Fixed(*given), dataset, ["map@40"]).mean("map@40") == found["euclidean"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_values_that_are_not_finite_are_not_ranked(dataset: Dataset, value: float, side: int) -> None:
    given = [vectors(0, 8, 5), vectors(1, 40, 5)]
    given[side][3, 2] = value
    with pytest.raises(ModelError, match="the values of 'broken' are not finite"):
        evaluate(Fixed(*given), dataset, name="broken")


def test_tokens_that_are_not_finite_are_not_ranked(dataset: Dataset) -> None:
    class Late:
        def encode_query(self, texts: Sequence[str]) -> list[Embeddings]:
            return [unit(vectors(len(text), 2, 5)) for text in texts]

        def encode_document(self, texts: Sequence[str]) -> list[Embeddings]:
            return [np.full((2, 5), np.nan, np.float32) for _ in texts]

    with pytest.raises(ModelError, match="the values of 'late' are not finite"):
        evaluate(Late(), dataset, name="late")
    with pytest.raises(CallError, match="compared by MaxSim"):
        evaluate(Late(), dataset, name="late", similarity="dot")


def test_products_beyond_float32_are_not_ranked(dataset: Dataset) -> None:
    given = (np.full((8, 5), 1e30, np.float32), np.full((40, 5), 1e30, np.float32))
    with pytest.raises(ModelError, match="not finite"):
        evaluate(Fixed(*given), dataset, name="broken", similarity="dot")
