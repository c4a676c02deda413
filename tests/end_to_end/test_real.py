"""A real model on real data: published numbers, bfloat16, BM25, a cut. Slow; skipped, loudly, without the data."""

from dataclasses import replace
from pathlib import Path

import pytest
from real_states import FLOAT32, NDCG, REAL, Spied, find_archive, rank_minilm
from sentence_transformers import SentenceTransformer

from adaptors.encoders.specs import resolve_specs
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.truncation import truncate
from probe.evaluation.evaluate import evaluate
from probe.experiments.ranking import rank_candidates
from probe.metrics.retrieval import score_run
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import unit
from probe.models.loading import load_model
from probe.results.leaderboard import Leaderboard
from probe.sources.loading import load_dataset
from surgery.cutting.cut import cut
from surgery.saving.save import save

# As measured before, mean pooling, nothing fitted.
SCIFACT_LAYERS = {0: 0.199, 1: 0.064, 2: 0.053, 3: 0.076, 4: 0.101, 5: 0.180}
LIMIT = 600

pytestmark = REAL


def scores(board: Leaderboard) -> dict[str, float]:
    return {row.encoder: row.scores["ndcg@10"] for row in board.rows}


@pytest.fixture(scope="module")
def scifact(spied: Spied) -> Leaderboard:
    return spied.board


def score_exactly(spied: Spied, limit: int | None = None) -> dict[str, float]:
    """Return nDCG@10 per encoder of the states before rounding, on the whole data set or a part of it."""
    whole, part = (load_dataset(find_archive("scifact"), limit=size) for size in (None, limit))
    kept = [name for name, _ in part.documents]
    places = {name: row for row, (name, _) in enumerate(whole.documents)}
    rows = [places[name] for name in kept]
    found = {}
    for layer, (queries, documents) in enumerate(zip(spied.queries, spied.documents, strict=True)):
        top = TopK(part.queries.ids, 10, part.dropped)
        top.add(kept, cosines(unit(queries), documents[rows]))
        found[f"minilm@{layer}:mean"] = float(score_run(top.run(), part.qrels, [NDCG])[NDCG].mean())
    return found


def test_scifact_gives_the_published_number(scifact: Leaderboard) -> None:
    row = next(row for row in scifact.rows if row.encoder == "minilm@6:mean")
    assert row.published == 0.64508
    assert row.scores["ndcg@10"] == pytest.approx(0.64508, abs=0.0005)


def test_every_inner_layer_of_scifact_is_as_measured(scifact: Leaderboard) -> None:
    ours = scores(scifact)
    for layer, expected in SCIFACT_LAYERS.items():
        assert ours[f"minilm@{layer}:mean"] == pytest.approx(expected, abs=0.003)


def test_bm25_is_near_the_published_number(scifact: Leaderboard) -> None:
    assert scores(scifact)["bm25"] == pytest.approx(0.68736, abs=0.01)


@pytest.mark.long
def test_nfcorpus_gives_the_published_number() -> None:
    board = rank_minilm("nfcorpus", "float32")
    assert scores(board)["minilm@6:mean"] == pytest.approx(0.3159, abs=0.001)
    assert board.rows[0].published == 0.31594


def test_rounding_moves_no_layer_by_more_than_a_ten_thousandth(spied: Spied) -> None:
    exact = score_exactly(spied)
    rounded = {encoder: score for encoder, score in scores(spied.board).items() if encoder in exact}
    assert rounded == pytest.approx(exact, abs=1e-4)


def test_bfloat16_moves_no_layer_by_more_than_a_hair(spied: Spied) -> None:
    assert scores(rank_minilm("scifact", "bfloat16", LIMIT)) == pytest.approx(score_exactly(spied, LIMIT), abs=0.003)


def take_queries(whole: Dataset, count: int) -> Dataset:
    """Return the first queries of a data set and the documents judged for them: seconds of work."""
    names = whole.queries.ids[:count]
    qrels = {name: whole.qrels[name] for name in names}
    judged = {document for found in qrels.values() for document in found}
    kept = [(name, text) for name, text in whole.documents if name in judged]
    documents = Texts(tuple(name for name, _ in kept), tuple(text for _, text in kept))
    return replace(whole, documents=documents, queries=Texts(names, whole.queries.texts[:count]), qrels=qrels)


def test_the_row_of_a_layer_of_the_truncated_encoder_and_of_the_saved_cut_are_equal(tmp_path: Path) -> None:
    data = take_queries(load_dataset(find_archive("scifact")), 40)
    model = load_model("minilm", FLOAT32)
    folder = save(cut(model, 5), tmp_path / "cut")
    resolved = resolve_specs(["minilm@5:mean", str(folder)], FLOAT32)
    board = rank_candidates(resolved.candidates, data, str(resolved.baseline))
    with truncate(SentenceTransformer(str(model.source.folder), device="cpu"), after=5) as shorter:
        truncated = evaluate(shorter, data, [NDCG], name="truncated").mean(NDCG)
    assert [row.scores["ndcg@10"] for row in board.rows] == pytest.approx([truncated] * 2, abs=1e-6)
