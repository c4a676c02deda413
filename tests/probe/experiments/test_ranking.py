"""Leaderboards from evaluations: order, baseline, statistics, published scores, determinism."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_data import make_dataset, without_times

from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.published_scores import find_published
from probe.experiments import ranking
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.experiments.provenance import model_settings
from probe.experiments.ranking import Candidate, rank_candidates
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from surgery.cutting.cut import cut
from surgery.saving.heads import OutputHead
from surgery.saving.save import save


def test_rows_are_ranked_best_first(model: LoadedModel, dataset: Dataset) -> None:
    rows = rank_layers(LayerReader(model), dataset, poolings=("own", "cls", "max")).rows
    scores = [row.scores["ndcg@10"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert [row.rank for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == 3 * (model.stack.depth + 1)


def test_the_metric_asked_for_decides_the_order(model: LoadedModel, dataset: Dataset) -> None:
    board = rank_layers(LayerReader(model), dataset, options=RunOptions(Metric("mrr", 3)))
    scores = [row.scores["mrr@3"] for row in board.rows]
    assert scores == sorted(scores, reverse=True)
    assert set(board.rows[0].scores) == {"mrr@3", "recall@100"}


def test_the_full_model_is_in_every_table(model: LoadedModel, dataset: Dataset) -> None:
    board = rank_layers(LayerReader(model), dataset, layers="0-1", poolings=["cls"])
    full = f"{model.source.name}@{model.stack.depth}:mean"
    assert [row.encoder for row in board.rows if row.delta is None] == [full]
    assert board.settings["baseline"] == full
    assert len(board.rows) == 3


def test_deltas_are_differences_to_the_baseline(model: LoadedModel, dataset: Dataset) -> None:
    rows = rank_layers(LayerReader(model), dataset).rows
    frozen = next(row.scores["ndcg@10"] for row in rows if row.delta is None)
    for row in rows:
        if row.delta is not None:
            assert row.delta == pytest.approx(row.scores["ndcg@10"] - frozen, abs=1e-9)
            assert row.p_value is not None
        assert row.ci95 is not None
        assert row.ci95[0] <= row.scores["ndcg@10"] <= row.ci95[1]


def test_nothing_was_fitted_and_the_table_says_so(model: LoadedModel, dataset: Dataset) -> None:
    rows = rank_layers(LayerReader(model), dataset).rows
    assert {(row.labels, row.transductive, row.adaptor) for row in rows} == {("none", False, None)}


def test_bm25_joins_as_a_transductive_row(model: LoadedModel, dataset: Dataset) -> None:
    rows = rank_layers(LayerReader(model), dataset, options=RunOptions(bm25=True)).rows
    bm25 = next(row for row in rows if row.encoder == "bm25")
    assert bm25.transductive
    assert (bm25.layer, bm25.dim, bm25.parameters) == (None, None, None)
    # Every query is the beginning of its document, which words alone find.
    assert bm25.scores["ndcg@10"] > 0.9


def test_models_are_ranked_side_by_side(load_tiny: Callable[[str], LoadedModel], dataset: Dataset) -> None:
    models = [load_tiny("bert"), load_tiny("modernbert")]
    candidates = [Candidate(LayerReader(m), select_hookpoints(m, "1,2")) for m in models]
    board = rank_candidates(candidates, dataset, str(candidates[1].hookpoints[0]))
    assert len(board.rows) == 4
    assert len(board.settings["models"]) == 2
    assert sum(row.delta is None for row in board.rows) == 1


def test_the_same_call_gives_the_same_table(model: LoadedModel, dataset: Dataset) -> None:
    boards = [rank_layers(LayerReader(model), dataset, poolings=("own", "max")) for _ in range(2)]
    assert without_times(boards[0]) == without_times(boards[1])


def test_equal_scores_put_the_cheaper_layer_first(load_tiny: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    # All judged documents are missing from the corpus: every layer scores nothing.
    dataset = load_dataset(str(make_dataset(tmp_path / "x")))
    nothing = replace(dataset, qrels={query: {"gone": 1} for query in dataset.qrels})
    rows = rank_layers(LayerReader(load_tiny("bert")), nothing).rows
    assert [row.layer for row in rows] == [0, 1, 2, 3]


def test_a_single_query_has_no_interval_and_no_test(model: LoadedModel, dataset: Dataset) -> None:
    one = replace(
        dataset,
        queries=Texts(dataset.queries.ids[:1], dataset.queries.texts[:1]),
        qrels={dataset.queries.ids[0]: dataset.qrels[dataset.queries.ids[0]]},
    )
    rows = rank_layers(LayerReader(model), one).rows
    assert {(row.ci95, row.p_value) for row in rows} == {(None, None)}


@pytest.mark.parametrize(("layers", "pooling"), [("4", "own"), ("all", "median"), ("2-1", "own"), ("x", "own")])
def test_wrong_layers_and_poolings_are_wrong_calls(
    model: LoadedModel, dataset: Dataset, layers: str, pooling: str
) -> None:
    with pytest.raises(CallError):
        rank_layers(LayerReader(model), dataset, layers, poolings=[pooling])


def test_key_law_whatever_changes_a_vector_changes_the_key(model: LoadedModel, dataset: Dataset) -> None:
    documents = Texts.gather(dataset.documents)
    other_texts = replace(dataset, documents=Texts(documents.ids, (*documents.texts[:-1], "other")))
    changes: list[tuple[LoadedModel, Dataset]] = [
        (replace(model, state_hashes=("0",)), dataset),
        (replace(model, device=torch.device("cuda")), dataset),
        (replace(model, inputs_hash="0"), dataset),
        (replace(model, settings_hash="0"), dataset),
        (replace(model, head_hash="0"), dataset),
        (replace(model, query_prompt="q"), dataset),
        (replace(model, document_prompt="d"), dataset),
        (replace(model, max_tokens=9), dataset),
        (replace(model, dtype=torch.bfloat16), dataset),
        (model, other_texts),
    ]
    keys = [model_settings(m, d, (0, 0), token_budget=512)["vector_key"] for m, d in [(model, dataset), *changes]]
    keys.append(model_settings(model, dataset, (0, 0), token_budget=1024)["vector_key"])
    assert len(set(keys)) == len(keys)


def test_key_law_the_footer_names_all_of_it(model: LoadedModel, dataset: Dataset) -> None:
    settings = rank_layers(LayerReader(model), dataset).settings
    assert {
        "weights_sha256",
        "config_sha256",
        "tokenizer_sha256",
        "query_prompt",
        "document_prompt",
        "max_tokens",
        "dtype",
        "title_rule",
        "batches",
        "rounding",
        "vector_key",
    } <= set(settings["models"][0])
    assert {"title_rule", "id_rule", "text_sha256"} <= set(settings["dataset"])


def test_published_scores_need_the_same_model_data_and_split(dataset: Dataset) -> None:
    texts = Texts(tuple(map(str, range(5183))), ("",) * 5183)
    queries = Texts(tuple(map(str, range(300))), ("",) * 300)
    scifact = replace(dataset, name="scifact", documents=texts, queries=queries)
    ndcg = Metric("ndcg", 10)
    assert find_published("sentence-transformers/all-MiniLM-L6-v2", scifact, ndcg) == 0.64508
    assert find_published("bm25", scifact, ndcg) == 0.68736
    assert find_published("somebody/else", scifact, ndcg) is None
    assert find_published(None, scifact, ndcg) is None
    assert find_published("bm25", replace(scifact, split="train"), ndcg) is None
    assert find_published("bm25", replace(scifact, name="other"), ndcg) is None
    assert find_published("bm25", dataset, ndcg) is None
    assert find_published("bm25", scifact, Metric("ndcg", 5)) is None


def test_a_baseline_that_is_no_row_is_refused_before_anything_is_encoded(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "sweep_fusions", lambda *_, **__: pytest.fail("texts were encoded"))
    points = select_hookpoints(model, "1-2", ["mean"])
    for missing in (f"{model.source.name}@3:mean", "bm25"):
        with pytest.raises(CallError, match=f"unknown baseline '{missing}': expected one of "):
            rank_candidates([Candidate(LayerReader(model), points)], dataset, missing)


def test_cost_is_a_share_of_the_baselines_operations(model: LoadedModel, dataset: Dataset) -> None:
    board = rank_layers(LayerReader(model), dataset, poolings=["mean", "cls"])
    costs = {(row.layer, row.pooling): row.cost or 0.0 for row in board.rows}
    assert [costs[layer, "mean"] for layer in range(4)] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert all(costs[layer, "cls"] == costs[layer, "mean"] for layer in range(4))
    assert board.settings["cost"].startswith("FLOPs of the matrix products per document of about ")


def test_folders_of_one_architecture_cost_the_same(
    tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    copied = shutil.copytree(tiny_folder("bert"), tmp_path / "a+b")
    cut_to = tmp_path / "cut"
    options = LoadOptions(dtype="float32", device="cpu")
    save(cut(load_model(str(copied), options), 2), cut_to, OutputHead("mean"), check=lambda folder: None)
    readers = [open_reader(str(folder)) for folder in (tiny_folder("bert"), copied, cut_to)]
    candidates = [Candidate(reader, select_hookpoints(reader.model, "last")) for reader in readers]
    board = rank_candidates(candidates, dataset, str(candidates[0].hookpoints[0]))
    costs = {row.hookpoints[0].model: row.cost for row in board.rows}
    assert [costs[reader.model.source.name] for reader in readers] == pytest.approx([1, 1, 2 / 3])
    assert board.cells()
    assert board.notes()
