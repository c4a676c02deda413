"""A whole search on a tiny model: what is saved, what its card says, and what is not saved."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from slim_results import make_slim
from tiny_data import make_dataset, write_lines
from tiny_families import write_family
from tiny_models import PROMPTS, change_json, write_sentence_transformer
from typer.testing import CliRunner, Result

import cli
from adaptors import rank
from adaptors.candidates.candidate import Candidate
from adaptors.fitting.data import select_fit_data
from adaptors.slimming import search as search_module
from adaptors.slimming import slim as slim_module
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.options import SlimOptions
from adaptors.slimming.slim import slim, work_folder
from probe.errors import CallError, ModelError
from probe.report.page import render_report
from probe.results.load import read_result
from probe.results.slim import SlimResult
from probe.sources.loading import load_dataset

DOCUMENTS, QUERIES = 160, 50


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, quick_checks: None) -> None:
    """Let a training take a moment, and check the saved folder in a fork."""
    monkeypatch.setattr(search_module, "_FEWEST_SECONDS", 0.2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("slim") / "tiny", documents=DOCUMENTS, queries=QUERIES)


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.surgery_app, ["slim", *map(str, args), "--no-store", "--minutes", "0.01"])


@pytest.fixture(scope="module")
def saved(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory, quick_checks: None
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("out") / "small"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "_FEWEST_SECONDS", 0.2)
        return out, run(tiny_folder("bert"), "-d", data, "--keep", "0.02", "--out", out, "--format", "json")


def test_a_goal_that_is_met_gives_a_folder_that_anybody_loads(saved: tuple[Path, Result]) -> None:
    out, result = saved
    assert result.exit_code == 0, result.stderr
    shown = json.loads(result.stdout)
    assert shown["met"]
    assert shown["folder"] == str(out)
    assert not work_folder(out).exists()
    model = SentenceTransformer(str(out), device="cpu")
    assert model.prompts["query"] == PROMPTS["query"]
    assert np.isfinite(model.encode_query(["apple bird"])).all()


def test_the_table_has_the_full_model_all_candidates_and_one_best(saved: tuple[Path, Result]) -> None:
    rows = json.loads(saved[1].stdout)["rows"]
    assert [row["blocks"] for row in rows] == [3, 2, 0]
    assert [row["role"] for row in rows].count("best") == 1
    assert [bool(row["scores"]) for row in rows] == [row["role"] != "candidate" for row in rows]
    assert all(row["ms_per_query"] > 0 and row["megabytes"] > 0 for row in rows)
    (best,) = (row for row in rows if row["role"] == "best")
    assert best["p_value"] < 0.05


def test_its_json_is_read_back_with_queries_before_and_after(saved: tuple[Path, Result], tmp_path: Path) -> None:
    file = tmp_path / "slim.json"
    file.write_text(saved[1].stdout)
    result = read_result(file)
    assert isinstance(result, SlimResult)
    assert result.to_json() == saved[1].stdout
    assert set(result.settings) == set(make_slim().settings)
    assert result.examples is not None
    before, after = result.full.scores, result.best.scores
    assert {one.chosen for one in result.examples.queries} <= {"lost", "gained"}
    assert [len(one.findings) for one in result.examples.queries] == [2] * len(result.examples.queries)
    assert bool(result.examples.queries) is (before != after)
    assert "Queries that lost most" in render_report([(file, result)])


def test_the_card_says_what_was_tried_and_seen(saved: tuple[Path, Result], tiny_folder: Callable[[str], Path]) -> None:
    card = (saved[0] / "README.md").read_text()
    assert "The goal is shown to be met by" in card
    assert "| static |" in card
    assert "No score was measured" not in card
    assert "The texts of tiny were seen in the training" in card
    facts = json.loads((saved[0] / "surgery.json").read_text())
    assert facts["from"] == str(tiny_folder("bert").resolve())
    assert facts["slim"]["met"]


def test_a_goal_that_is_not_shown_to_be_met_saves_nothing_until_forced(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "small"
    args = (tiny_folder("bert"), "-d", data, "--keep", "0.9999", "--out", out)
    result = run(*args)
    assert result.exit_code == 1
    assert "--force saves it, without a new search" in result.stderr
    assert "not shown to be met" in result.stdout
    assert not out.exists()
    assert work_folder(out).is_dir()

    def fail(*args: Any, **named: Any) -> None:
        raise AssertionError("nothing is trained again")

    monkeypatch.setattr(search_module.Search, "_train", fail)
    forced = run(*args, "--force")
    assert forced.exit_code == 1, forced.stderr
    assert out.exists(), forced.stderr
    assert "not shown to be met" in (out / "README.md").read_text()
    assert not json.loads((out / "surgery.json").read_text())["slim"]["met"]
    assert not work_folder(out).exists()


def test_an_interruption_says_where_the_finished_steps_are(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(search_module.Search, "_train", interrupt)
    out = tmp_path / "small"
    result = run(tiny_folder("bert"), "-d", data, "--out", out)
    assert result.exit_code == 130
    last = result.stderr.splitlines()[-1]
    assert last == f"error: interrupted: finished steps are in {work_folder(out)}; the same command continues"


def test_size_dimension_and_dtype_together(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slim_module, "FEWEST_TOKENS", 10)
    model = write_sentence_transformer(write_family(tmp_path / "bert", "bert"), prompts=PROMPTS)
    change_json(model / "1_Pooling" / "config.json", embedding_dimension=16)
    whole = sum(path.stat().st_size for path in model.rglob("*.safetensors")) / 1e6
    limit = 0.35 * whole
    options = SlimOptions(minutes=0.01, dims=8, weights_dtype="float16", force=True)
    result = slim(model, str(data), SlimGoal(max_mb=limit), out=tmp_path / "small", options=options)
    best = result.best
    assert best.megabytes == pytest.approx(
        sum(path.stat().st_size for path in (tmp_path / "small").rglob("*.safetensors")) / 1e6
    )
    loaded = SentenceTransformer(str(tmp_path / "small"), device="cpu")
    assert loaded.get_embedding_dimension() == best.dim == 8
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert loaded.encode(["apple"]).dtype == np.float32
    assert best.p_value is None
    card = (tmp_path / "small" / "README.md").read_text()
    assert "float16" in card
    assert "first 8 principal axes" in card or "projected to 8 of 16" in card


def test_a_trimmed_static_model_says_how_many_tokens_it_has(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_module, "FEWEST_TOKENS", 10)
    model = write_sentence_transformer(write_family(tmp_path / "bert", "bert"), prompts=PROMPTS)
    change_json(model / "1_Pooling" / "config.json", embedding_dimension=16)
    tokens = len(SentenceTransformer(str(model), device="cpu").tokenizer) - 5
    monkeypatch.setattr(slim_module, "list_candidates", lambda *args, **named: (Candidate(0, tokens),))
    result = slim(model, str(data), SlimGoal(max_mb=1), out=tmp_path / "small", options=SlimOptions(minutes=0.01))
    loaded = SentenceTransformer(str(tmp_path / "small"), device="cpu")
    (table,) = loaded[0].parameters()
    assert len(table) <= tokens
    assert result.best.tokens == tokens
    card = (tmp_path / "small" / "README.md").read_text()
    assert f"trimmed from {tokens + 5} to {len(table)} tokens" in card
    facts = json.loads((tmp_path / "small" / "surgery.json").read_text())
    assert facts["from"] == str(model.resolve())


def test_the_rounded_weights_of_a_trained_candidate_are_those_that_are_tested(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_module, "list_candidates", lambda *args, **named: (Candidate(2),))
    options = SlimOptions(minutes=0.01, dims=8, weights_dtype="float16", force=True, bias=False)
    result = slim(tiny_folder("bert"), str(data), SlimGoal(keep=0.02), out=tmp_path / "small", options=options)
    assert (result.best.blocks, result.best.dim) == (2, 8)
    assert result.full.megabytes == (tiny_folder("bert") / "model.safetensors").stat().st_size / 1e6
    again = rank([str(tiny_folder("bert")), str(tmp_path / "small")], str(data))
    scores = {row.dim: row.scores for row in again.rows if row.delta is not None}
    assert [*scores.values()] == [result.best.scores]
    card = (tmp_path / "small" / "README.md").read_text()
    assert "float16" in card
    # Without a bias, nothing is normalized before the map.
    assert "Its linear map on top has no bias." in card
    modules = list(SentenceTransformer(str(tmp_path / "small"), device="cpu"))
    assert [type(module).__name__ for module in modules] == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert modules[2].linear.bias is None


@pytest.fixture(scope="module")
def with_train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with 30 test queries and 90 training queries."""
    folder = make_dataset(tmp_path_factory.mktemp("slim") / "judged", documents=DOCUMENTS, queries=120)
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()
    write_lines(folder / "qrels" / "train.tsv", [lines[0], *lines[61:]])
    write_lines(folder / "qrels" / "test.tsv", lines[:61])
    return folder


@pytest.mark.parametrize("blocks", [0, 2])
def test_a_map_trained_on_labels_is_part_of_the_folder_and_recorded_everywhere(
    tiny_folder: Callable[[str], Path],
    with_train: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    blocks: int,
) -> None:
    monkeypatch.setattr(slim_module, "list_candidates", lambda *args, **named: (Candidate(blocks),))
    monkeypatch.setattr("adaptors.slimming.labels._compare", lambda *args: {"used": True, "share": 1.04})
    out = tmp_path / "small"
    args = (tiny_folder("bert"), "-d", with_train, "--labels", "train", "--keep", "0.02", "--out", out)
    result = run(*args, "--dims", 6, "--force", "--format", "json")
    assert out.is_dir(), result.stderr
    shown = json.loads(result.stdout)
    assert shown["settings"]["labels"] == "train"
    assert any("the same map has an estimate of 104.0%" in remark for remark in shown["settings"]["remarks"])
    card = (out / "README.md").read_text()
    assert "then got a map trained on relevance labels of train" in card
    assert "queries embedded here can search documents embedded there" not in card
    assert "(and on relevance labels of train)" in card
    last = json.loads((out / "surgery.json").read_text())["steps"][-1]
    assert last == {"did": "linear map", "data": ["judged"], "labels": "train"}
    (row,) = (row for row in rank([str(tiny_folder("bert")), str(out)], str(with_train)).rows if row.delta is not None)
    assert (row.labels, row.transductive) == ("train", True)
    (best,) = (row for row in shown["rows"] if row["role"] == "best")
    assert row.scores == best["scores"]
    assert row.dim == best["dim"] == 6


def test_without_being_asked_labels_are_not_used_but_named(
    tiny_folder: Callable[[str], Path], with_train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.slimming.slim.choose_map", None)
    monkeypatch.setattr(slim_module, "list_candidates", lambda *args, **named: (Candidate(2),))
    result = run(tiny_folder("bert"), "-d", with_train, "--keep", "0.9999", "--out", tmp_path / "small")
    assert result.exit_code == 1
    assert "the relevance labels of train were not trained on: --labels train does" in result.stderr


def test_labels_of_texts_that_were_selected_without_are_refused(with_train: Path) -> None:
    texts = select_fit_data(str(with_train), load_dataset(str(with_train)), "none")
    with pytest.raises(CallError, match="labels 'train': the texts were selected without"):
        slim("minilm", texts, labels="train")


def test_a_model_without_a_static_cut_is_slimmed_all_the_same(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(reader: object) -> None:
        raise ModelError("its tokenizer is written in Python")

    monkeypatch.setattr(slim_module, "open_tokenizer", refuse)
    options = SlimOptions(minutes=0.01, force=True)
    result = slim(tiny_folder("bert"), str(data), SlimGoal(keep=0.02), out=tmp_path / "small", options=options)
    assert [row.blocks for row in result.rows] == [3, 2]


def test_as_few_tokens_as_a_vocabulary_cannot_have_are_refused_before_any_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slim_module, "FEWEST_TOKENS", 1)
    monkeypatch.setattr(search_module.Search, "run", None)
    model = write_sentence_transformer(write_family(tmp_path / "bert", "bert"), prompts=PROMPTS)
    change_json(model / "1_Pooling" / "config.json", embedding_dimension=16)
    with pytest.raises(CallError, match="no candidate meets the goal"):
        slim(model, str(data), SlimGoal(max_mb=0.0005), out=tmp_path / "small")
    assert not work_folder(tmp_path / "small").exists()


def test_what_no_candidate_reaches_is_refused_before_any_training(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_module.Search, "run", None)
    result = run(tiny_folder("bert"), "-d", data, "--max-mb", "0.00001", "--out", tmp_path / "small")
    assert result.exit_code == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: no candidate meets the goal")
    assert "the smallest has" in last


def test_an_existing_folder_is_refused_first(tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    with pytest.raises(CallError, match="exists"):
        slim(tiny_folder("bert"), str(data), out=tmp_path / "small")
