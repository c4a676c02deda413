"""Encoders without layers: ranked as they are, refused where layers are asked for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Router
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding
from tiny_models import WIDTH, make_texts

from probe import load_encoder, load_model, rank, rank_layers
from probe.data.dataset import Dataset
from probe.errors import CallError, ModelError
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.store.store import Store

PLAIN = LoadOptions(dtype="float32", device="cpu")
TEXTS = make_texts(5)


@pytest.fixture(params=["static", "router"])
def saved(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A static encoder, and a router with one route for both sides."""
    first = SentenceTransformer(str(tiny_folder("bert")), device="cpu")[0]
    static = StaticEmbedding(first.tokenizer, embedding_dim=WIDTH)
    router = Router({"text": [first, Pooling(WIDTH)], "image": [static]})
    modules = [static, Normalize()] if request.param == "static" else [router, Normalize()]
    SentenceTransformer(modules=modules, device="cpu", prompts={"query": "acid "}).save(str(tmp_path / "model"))
    return tmp_path / "model"


def test_each_side_is_what_sentence_transformers_gives(saved: Path) -> None:
    model = SentenceTransformer(str(saved), device="cpu")
    encoder = load_encoder(str(saved), PLAIN)
    assert np.abs(encoder.encode_query(TEXTS) - model.encode_query(TEXTS)).max() <= 1e-5
    assert np.abs(encoder.encode_document(TEXTS) - model.encode_document(TEXTS)).max() <= 1e-5


def test_it_is_a_row_of_a_table(saved: Path, tiny_folder: Callable[[str], Path], dataset: Dataset) -> None:
    board = rank([str(saved), str(tiny_folder("bert"))], dataset, options=RunOptions(load=PLAIN))
    assert {row.encoder.partition("@")[0] for row in board.rows} == {str(saved), str(tiny_folder("bert"))}


def test_layers_and_poolings_are_refused_by_what_it_is(saved: Path, dataset: Dataset) -> None:
    with pytest.raises(CallError, match="without layers"):
        rank_layers(str(saved), dataset, options=RunOptions(load=PLAIN))
    with pytest.raises(CallError, match="without layers"):
        load_encoder(f"{saved}:mean", PLAIN)
    with pytest.raises(ModelError, match="without layers"):
        load_model(str(saved), PLAIN)


def test_a_warm_run_loads_nothing(
    saved: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(load=PLAIN, store=Store(str(tmp_path / "store")))
    first = rank([str(saved)], dataset, options=options)

    def refuse(*args: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr("probe.models.pipeline.load_pipeline", refuse)
    again = rank([str(saved)], dataset, options=options)
    assert [row.scores for row in again.rows] == [row.scores for row in first.rows]
