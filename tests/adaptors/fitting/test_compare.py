"""The ladder: every adaptor beside its frozen encoder and PCA; nothing is fitted on the queries that are scored."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, compare_adaptors
from adaptors.fitting.data import FitTexts, find_training
from adaptors.fitting.kinds import check_kinds
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import gather_states
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding import chunk_states as states_module
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.experiments.options import RunOptions
from probe.experiments.specs import ResolvedSpecs
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard

OPTIONS = LoadOptions(dtype="float32", device="cpu")
PLAN = FitPlan(("truncate", "pca", "spectral", "lens"), (32, 8))


@pytest.fixture
def resolved(tiny_folder: Callable[[str], Path]) -> ResolvedSpecs:
    bert, mpnet = tiny_folder("bert"), tiny_folder("mpnet")
    return resolve_specs([f"{bert}@2:mean", f"{bert}@3:mean+{mpnet}@3:mean"], OPTIONS)


@pytest.fixture
def board(resolved: ResolvedSpecs, dataset: Dataset) -> Leaderboard:
    return compare_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions())


def test_every_adaptor_stands_beside_its_frozen_encoder_at_every_dimension(
    resolved: ResolvedSpecs, board: Leaderboard
) -> None:
    hookpoint, fusion = str(resolved.baseline), str(resolved.fusions[0])
    found = {(row.encoder, row.adaptor, row.dim) for row in board.rows}
    expected = {(hookpoint, None, 32), (fusion, None, 64)}
    expected |= {(hookpoint, kind, dim) for kind in PLAN.kinds for dim in (32, 8)}
    # The fusion is of final embeddings: a lens has nothing to map there.
    expected |= {(fusion, kind, dim) for kind in PLAN.kinds if kind != "lens" for dim in (32, 8)}
    assert found == expected


def test_the_frozen_encoder_is_the_baseline_and_has_no_adaptor(resolved: ResolvedSpecs, board: Leaderboard) -> None:
    frozen = [row for row in board.rows if row.delta is None]
    assert [(row.encoder, row.adaptor) for row in frozen] == [(str(resolved.baseline), None)]


def test_identity_law_full_width_pca_scores_as_the_frozen_encoder(resolved: ResolvedSpecs, board: Leaderboard) -> None:
    rows = {(row.encoder, row.adaptor, row.dim): row for row in board.rows}
    frozen, pca = (rows[str(resolved.baseline), kind, 32] for kind in (None, "pca"))
    assert pca.scores["ndcg@10"] == pytest.approx(frozen.scores["ndcg@10"], abs=1e-6)
    assert 0 < frozen.scores["ndcg@10"] < 1


def test_every_adaptor_but_pca_is_tested_against_pca_at_its_dimension(board: Leaderboard) -> None:
    for row in board.rows:
        assert (row.pca_delta is not None) == (row.adaptor not in (None, "pca"))
        if row.pca_delta is not None:
            rival = next(r for r in board.rows if (r.encoder, r.adaptor, r.dim) == (row.encoder, "pca", row.dim))
            assert row.pca_delta == pytest.approx(row.scores["ndcg@10"] - rival.scores["ndcg@10"])


def test_what_saw_the_corpus_is_marked(board: Leaderboard) -> None:
    assert all(row.transductive == (row.adaptor not in (None, "truncate")) for row in board.rows)
    assert {row.labels for row in board.rows} == {"none"}


def test_the_recommended_preset_is_marked_in_the_table(resolved: ResolvedSpecs, dataset: Dataset) -> None:
    found = compare_adaptors(resolved, FitPlan(("distil", "pca"), (8,)), FitTexts(dataset), options=RunOptions())
    lines = found.to_markdown().splitlines()
    assert all(("recommended" in line) == ("| distil |" in line) for line in lines if line.startswith("|"))


def test_parameters_and_time_of_the_adaptor_are_counted(board: Leaderboard, resolved: ResolvedSpecs) -> None:
    rows = {(row.encoder, row.adaptor, row.dim): row for row in board.rows}
    frozen, pca = (rows[str(resolved.baseline), kind, 32] for kind in (None, "pca"))
    assert (pca.parameters or 0) - (frozen.parameters or 0) == 32 * 32 + 32
    assert pca.fit_seconds is not None
    assert frozen.fit_seconds is None


def test_no_leak_the_queries_that_are_scored_are_not_read(
    resolved: ResolvedSpecs, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: list[str] = []
    original = states_module.open_shelf
    monkeypatch.setattr(
        states_module,
        "open_shelf",
        lambda reader, side, *rest, **named: (sides.append(side.name), original(reader, side, *rest, **named))[1],
    )
    readers = {c.reader.model.source.name: c.reader for c in resolved.candidates}
    gather_states(readers, [Fusion(resolved.baseline.points)], FitTexts(dataset))
    assert set(sides) == {"documents"}


def test_a_weighted_fusion_of_final_embeddings_is_what_its_adaptors_aim_at(
    resolved: ResolvedSpecs, dataset: Dataset
) -> None:
    readers = {c.reader.model.source.name: c.reader for c in resolved.candidates}
    (equal,) = resolved.fusions
    weighted = Fusion(equal.points, weights=(0.9, 0.1))
    inner = Fusion(resolved.baseline.points)
    of_weighted, of_inner = gather_states(readers, [weighted, inner], FitTexts(dataset))
    assert of_weighted.is_final
    assert not of_inner.is_final


def test_training_queries_are_read_where_there_are_some(resolved: ResolvedSpecs, dataset: Dataset) -> None:
    readers = {c.reader.model.source.name: c.reader for c in resolved.candidates}
    train = replace(dataset, split="train")
    (without,), (data,), (labelled,) = (
        gather_states(readers, [Fusion(resolved.baseline.points)], texts)
        for texts in (FitTexts(dataset), FitTexts(dataset, train), FitTexts(dataset, train, labels=True))
    )
    assert (len(without.queries), len(data.queries)) == (0, len(dataset.queries))
    assert (len(data.pairs), data.labels) == (0, "none")
    assert labelled.labels == "train"
    expected = [(query, doc, g) for query, found in dataset.qrels.items() for doc, g in found.items() if g > 0]
    ids = [name for name, _ in dataset.documents]
    assert [(dataset.queries.ids[q], ids[d], g) for q, d, g in labelled.pairs.tolist()] == expected


def test_the_scored_split_is_never_the_training_split(tmp_path: Path) -> None:
    from tiny_data import make_dataset

    folder = make_dataset(tmp_path / "tiny")
    assert find_training(str(folder), "test") is None
    (folder / "qrels" / "train.tsv").write_text((folder / "qrels" / "test.tsv").read_text())
    found = find_training(str(folder), "test")
    assert found is not None
    assert found.split == "train"
    assert find_training(str(folder), "train") is None


def test_the_same_ladder_twice(resolved: ResolvedSpecs, dataset: Dataset, board: Leaderboard) -> None:
    again = compare_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions())
    keep = ("encoder", "adaptor", "dim", "scores", "p_value", "pca_delta")
    first, second = ([[getattr(row, name) for name in keep] for row in b.rows] for b in (board, again))
    assert first == second
    assert np.isfinite([row.scores["ndcg@10"] for row in board.rows]).all()
    json.loads(board.to_json())


def test_wrong_kinds_and_dimensions_are_wrong_calls(resolved: ResolvedSpecs, dataset: Dataset) -> None:
    with pytest.raises(CallError, match="unknown adaptor 'umap'"):
        check_kinds(["umap"])
    with pytest.raises(CallError, match="at most 32 dimensions"):
        compare_adaptors(resolved, FitPlan(("pca",), (4096,)), FitTexts(dataset), options=RunOptions())
    assert check_kinds(["lens"]) == ("lens", "pca")


def test_judgements_of_documents_that_a_limit_leaves_out_are_counted_or_refused(
    tiny_folder: Callable[[str], Path], dataset: Dataset
) -> None:
    resolved = resolve_specs([f"{tiny_folder('bert')}@2:mean"], OPTIONS)
    names = [name for name, _ in dataset.documents]
    asked = dataset.queries.ids
    train = replace(dataset, split="train", qrels={query: {names[row]: 1} for row, query in enumerate(asked)})
    texts = list(dataset.documents)
    few = replace(dataset, documents=Texts.gather([texts[0], *texts[8:]]), limited=True)
    plan = FitPlan(("linear",), (8,), TrainOptions(steps=1))
    board = compare_adaptors(resolved, plan, FitTexts(few, train, labels=True))
    found = "1 of 8 relevance labels of train are for documents in the corpus"
    first = f"labels train: {found}; the rest are excluded by --limit"
    assert board.settings["adaptors"][0].startswith(first)
    none = replace(few, documents=Texts.gather(texts[8:]))
    with pytest.raises(CallError, match=r"0 of 8 relevance labels of train .* too few to train on: raise or remove"):
        compare_adaptors(resolved, plan, FitTexts(none, train, labels=True))
