"""A saved static cut: plain sentence-transformers, equal vectors in a fresh process, facts, an asymmetric search."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import PROMPTS, make_texts, make_tiny, write_sentence_transformer
from tiny_tokenizers import count_tokens, write_make

import adaptors
from adaptors import StaticModel, fit_static, heal, load_encoder, save_static
from adaptors.encoders.specs import resolve_sides
from adaptors.static.save import check_static_folder
from probe.errors import CallError, ModelError
from probe.experiments.ranking import rank_candidates
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.vectors import unit
from probe.models.loaded import LoadedModel
from probe.sources.loading import load_dataset

TEXTS = make_texts(60)
NDCG = Metric("ndcg", 10)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


@pytest.fixture(scope="module")
def made(tiny_folder: Callable[[str], Path], data: str) -> StaticModel:
    return fit_static(str(tiny_folder("bert")), data)


@pytest.fixture(scope="module")
def folder(made: StaticModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_static(made, tmp_path_factory.mktemp("saved") / "static")


def test_it_opens_in_a_fresh_process_with_equal_vectors(made: StaticModel, folder: Path, quick_checks: None) -> None:
    check_static_folder(folder, made, fresh=True)


def test_a_folder_with_other_vectors_is_refused(made: StaticModel, folder: Path, model: LoadedModel) -> None:
    other = fit_static(model, {"mine": TEXTS})
    with pytest.raises(ModelError, match="differ from those of the model in memory"):
        check_static_folder(folder, other)


def test_its_settings_are_the_original_s(folder: Path) -> None:
    opened = SentenceTransformer(str(folder), device="cpu")
    assert [type(module).__name__ for module in opened] == ["StaticEmbedding", "Normalize"]
    assert opened.prompts == PROMPTS
    assert opened.similarity_fn_name == "cosine"
    facts = json.loads((folder / "surgery.json").read_text())["static"]
    assert (facts["texts"], facts["data"], facts["held_out"]) == (40, ["tiny"], 4)
    assert facts["unseen"]["cosine"] < 1
    assert "40 texts of tiny" in (folder / "README.md").read_text()


def test_it_exists_already_and_is_replaced_by_force(made: StaticModel, folder: Path) -> None:
    with pytest.raises(CallError, match="exists: choose another --out"):
        save_static(made, folder)
    assert save_static(made, folder, force=True) == folder


def test_it_is_ranked_as_transductive_and_in_an_asymmetric_search(
    folder: Path, data: str, tiny_folder: Callable[[str], Path]
) -> None:
    full = str(tiny_folder("bert"))
    board = adaptors.rank([full, str(folder)], data)
    row = next(row for row in board.rows if row.encoder.startswith(str(folder)))
    assert (row.transductive, row.labels) == (True, "none")


def test_its_queries_search_an_index_of_the_full_model(
    folder: Path, data: str, tiny_folder: Callable[[str], Path]
) -> None:
    full = str(tiny_folder("bert"))
    sides, dataset = resolve_sides(str(folder), full), load_dataset(data)
    board = rank_candidates(sides.candidates, dataset, str(sides.baseline), fusions=sides.fusions)
    (pair,) = [row for row in board.rows if ">" in row.encoder]
    static, original = SentenceTransformer(str(folder), device="cpu"), load_encoder(full)
    queries, documents = static.encode_query(list(dataset.queries.texts)), [text for _, text in dataset.documents]
    scores = queries @ unit(original.encode_document(documents)).T
    ids = [name for name, _ in dataset.documents]
    run = {
        query: dict(zip(ids, map(float, row), strict=True))
        for query, row in zip(dataset.queries.ids, scores, strict=True)
    }
    expected = score_run(run, dataset.qrels, [NDCG])[NDCG].mean()
    assert pair.scores["ndcg@10"] == pytest.approx(expected, abs=1e-3)


def test_the_lower_case_of_the_original_is_kept(tmp_path: Path) -> None:
    make_tiny("bert", vocab_size=count_tokens("bert-cased"), max_position_embeddings=600).save_pretrained(
        tmp_path / "m"
    )
    original = write_sentence_transformer(
        write_make(tmp_path / "m", "bert-cased"), "mean", PROMPTS, sizes={"do_lower_case": True}
    )
    saved = save_static(fit_static(str(original), {"mine": TEXTS}), tmp_path / "static")
    opened = SentenceTransformer(str(saved), device="cpu")
    assert np.array_equal(*opened.encode(["MOON river", "moon RIVER"]))


def test_it_is_not_healed(folder: Path) -> None:
    with pytest.raises(CallError, match="starts with a StaticEmbedding, without blocks to train"):
        heal(str(folder), {"mine": TEXTS}, steps=1)
