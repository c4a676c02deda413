"""Routers of anybody's making: each side is its route, down to its layers, its row and its key in the store."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling
from tiny_models import PROMPTS, WIDTH, change_json, make_texts, write_model, write_sentence_transformer
from tiny_routers import make_static, modules_of, write_router
from torch import nn

import adaptors
import probe
from probe import Metric, evaluate, load_encoder, rank, rank_layers
from probe.data.dataset import Dataset
from probe.encoding.opening import open_model, open_reader
from probe.encoding.paired import PairedEncoder
from probe.errors import CallError, ModelError
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.experiments.specs import resolve_sides, resolve_specs
from probe.models.options import LoadOptions
from probe.store.keys import content_ids, shelf_parts
from probe.store.store import Store

PLAIN = LoadOptions(dtype="float32", device="cpu")
TEXTS = ["", "gold", *make_texts(6), "silver moon over the lake " * 30]


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("bert")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one block, with the CLS token as its vector and a shorter input."""
    folder = write_model(tmp_path_factory.mktemp("small") / "small", "bert", num_hidden_layers=1)
    return write_sentence_transformer(folder, "cls", sizes={"max_seq_length": 12})


@pytest.fixture(scope="module")
def router(bert: Path, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    routes = {"query": modules_of(small), "document": modules_of(bert)}
    return write_router(tmp_path_factory.mktemp("router") / "router", routes, Normalize(), prompts=PROMPTS)


FORMS = [
    *("static queries", "two statics", "one transformer", "heads", "dot and truncation", "prompts left out"),
    *("documents first", "mapped", "by modality"),
]


def write_form(form: str, folder: Path, bert: Path, small: Path) -> Path:
    first, second = modules_of(small), modules_of(bert)
    tokenizer: Any = first[0].tokenizer
    static, other = (make_static(tokenizer, seed) for seed in (1, 2))
    heads = [Dense(WIDTH, 8, activation_function=activation) for activation in (nn.Identity(), nn.Tanh())]
    routes: dict[str, Any] = {
        "static queries": {"query": [static], "document": second},
        "two statics": {"query": [static], "document": [other]},
        "one transformer": {"query": [second[0], Pooling(WIDTH, "cls")], "document": second},
        "heads": {"query": [*first, heads[0]], "document": [*second, heads[1]]},
        "dot and truncation": {"query": first, "document": second},
        "prompts left out": {"query": [first[0], Pooling(WIDTH, "mean", include_prompt=False)], "document": second},
        "documents first": {"document": second, "query": [static]},
        "mapped": {"slow": second, "fast": [static]},
        "by modality": {"query": [static], "text": second},
    }
    after = [Normalize()] if form in ("static queries", "heads") else []
    options: dict[str, Any] = {"prompts": {"query": "cold wind ", "document": "salt "}}
    if form == "dot and truncation":
        options |= {"similarity_fn_name": "dot", "truncate_dim": 5}
    if form == "mapped":
        options |= {"mappings": {("query", None): "fast", ("document", "text"): "slow"}}
    return write_router(folder, routes[form], *after, **options)


def one_by_one(encode: Callable[..., np.ndarray]) -> np.ndarray:
    return np.stack([encode([text], show_progress_bar=False)[0] for text in TEXTS])


@pytest.mark.parametrize("form", FORMS)
def test_each_side_is_what_sentence_transformers_gives(form: str, bert: Path, small: Path, tmp_path: Path) -> None:
    folder = write_form(form, tmp_path / "router", bert, small)
    theirs = SentenceTransformer(str(folder), device="cpu")
    ours = load_encoder(folder, PLAIN)
    assert isinstance(ours, PairedEncoder)
    assert np.abs(ours.encode_query(TEXTS) - one_by_one(theirs.encode_query)).max() <= 1e-5
    assert np.abs(ours.encode_document(TEXTS) - one_by_one(theirs.encode_document)).max() <= 1e-5
    assert ours.similarity_fn_name == theirs.similarity_fn_name


def test_routes_of_other_tasks_are_read_whole_or_refused(bert: Path, small: Path, tmp_path: Path) -> None:
    shared = write_router(tmp_path / "shared", {"text": modules_of(bert), "image": modules_of(small)})
    theirs = SentenceTransformer(str(shared), device="cpu")
    assert np.abs(load_encoder(shared, PLAIN).encode_query(TEXTS) - one_by_one(theirs.encode_query)).max() <= 1e-5
    other = write_router(tmp_path / "other", {"query": modules_of(bert), "answer": modules_of(small)})
    with pytest.raises(ModelError, match=r"has no vectors of queries and documents: .* No route found .* 'document'"):
        load_encoder(other, PLAIN)
    with pytest.raises(CallError, match="a route for queries and one for documents: remove '@query'"):
        load_encoder(f"{other}@query", PLAIN)
    with pytest.raises(CallError, match="is not a router"):
        load_encoder(f"{bert}@query", PLAIN)


def test_each_way_to_open_one_gives_both_routes(router: Path) -> None:
    expected = SentenceTransformer(str(router), device="cpu").encode_query(["gold"])
    for opened in (
        load_encoder(str(router), PLAIN),
        adaptors.load_encoder(router, PLAIN),
        open_model(str(router), PLAIN),
    ):
        assert isinstance(opened, PairedEncoder)
        assert np.abs(opened.encode_query(["gold"]) - expected).max() <= 1e-5
        assert load_encoder(opened) is opened
    assert (opened.queries.depth, opened.documents.depth) == (1, 3)
    assert opened.queries.reader.model.max_tokens == 12


def test_routes_have_layers(router: Path, bert: Path) -> None:
    ours = load_encoder(f"{router}@document.2:mean", PLAIN)
    assert str(ours.hookpoint) == f"{router}@document.2:mean"
    same = load_encoder(f"{bert}@2:mean", PLAIN)
    assert np.abs(ours.encode_document(TEXTS) - same.encode_document(TEXTS)).max() <= 1e-6
    whole = load_encoder(f"{router}@document", PLAIN)
    expected = SentenceTransformer(str(router), device="cpu").encode_document(TEXTS)
    assert np.abs(whole.encode_document(TEXTS) - expected).max() <= 1e-5


def test_a_table_of_a_route_s_layers(router: Path, dataset: Dataset) -> None:
    board = rank_layers(f"{router}@document", dataset, options=RunOptions(load=PLAIN))
    assert {row.layer for row in board.rows} == {0, 1, 2, 3}
    assert all(row.encoder.startswith(f"{router}@document.") for row in board.rows)


def test_layers_of_the_whole_are_refused_with_the_way_out(router: Path, dataset: Dataset) -> None:
    with pytest.raises(CallError, match=f"or name one of its routes, {router}@query or {router}@document"):
        rank_layers(str(router), dataset, options=RunOptions(load=PLAIN))
    with pytest.raises(CallError, match=rf"name a route, such as {router}@query:mean"):
        load_encoder(f"{router}:mean", PLAIN)
    with pytest.raises(CallError, match=rf"name a route, such as {router}@query.1"):
        rank([f"{router}@1"], dataset, options=RunOptions(load=PLAIN))
    with pytest.raises(CallError, match=f"fuse one of its routes, such as {router}@document"):
        rank([f"{router}+{router}@query"], dataset, options=RunOptions(load=PLAIN))
    with pytest.raises(ModelError, match=f"name one of its routes, such as {router}@query"):
        probe.load_model(str(router), PLAIN)


def test_its_row_is_that_of_the_pair(router: Path, dataset: Dataset) -> None:
    whole = rank([str(router)], dataset, options=RunOptions(load=PLAIN))
    resolved = resolve_sides(f"{router}@query", f"{router}@document", PLAIN)
    sides = rank_candidates(
        resolved.candidates, dataset, str(resolved.baseline), options=RunOptions(load=PLAIN), fusions=resolved.fusions
    )
    (row,) = whole.rows
    (pair,) = [other for other in sides.rows if " > " in other.encoder]
    assert row.encoder == str(router)
    assert (row.scores, row.dim, row.cost) == (pair.scores, pair.dim, 1.0)
    named = rank({"mine": router, "opened": load_encoder(router, PLAIN)}, dataset, options=RunOptions(load=PLAIN))
    assert {one.encoder for one in named.rows} == {"mine", "opened"}
    assert {tuple(one.scores.values()) for one in named.rows} == {tuple(row.scores.values())}


def test_one_side_of_a_router_may_meet_another_encoder(router: Path, bert: Path, dataset: Dataset) -> None:
    resolved = resolve_sides(str(router), f"{bert}@2:mean", PLAIN)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    assert f"{router} > {bert}@2:mean" in {row.encoder for row in board.rows}


def keys(folder: Path) -> list[str]:
    """Return all keys of both sides' vectors."""
    pair = open_model(str(folder), PLAIN)
    assert isinstance(pair, PairedEncoder)
    models = [reader.model for reader in pair.readers]
    roles = [models[0].as_query, models[1].as_document]
    found = []
    for model, role in zip(models, roles, strict=True):
        ids = content_ids(model, role, [(model.depth, "own")], token_budget=64)
        parts = shelf_parts(model, role, "texts", token_budget=64)
        found.append(json.dumps([parts, list(ids.values())], sort_keys=True))
    return found


def scale_weights(path: Path) -> None:
    save_file({name: 1.5 * tensor for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


CHANGES: dict[str, tuple[Callable[[Path], object], tuple[bool, bool]]] = {
    "query weights": (lambda f: scale_weights(f / "query_0_Transformer" / "model.safetensors"), (True, False)),
    "document weights": (lambda f: scale_weights(f / "document_0_Transformer" / "model.safetensors"), (False, True)),
    "query pooling": (lambda f: change_json(f / "query_1_Pooling" / "config.json", pooling_mode="max"), (True, False)),
    "query length": (
        lambda f: change_json(f / "query_0_Transformer" / "sentence_bert_config.json", max_seq_length=9),
        (True, False),
    ),
    "query tokens": (
        lambda f: change_json(f / "query_0_Transformer" / "tokenizer_config.json", padding_side="left"),
        (True, False),
    ),
    "query prompt": (
        lambda f: change_json(f / "config_sentence_transformers.json", prompts={**PROMPTS, "query": "gold "}),
        (True, False),
    ),
    "dimensions": (lambda f: change_json(f / "config_sentence_transformers.json", truncate_dim=4), (True, True)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_the_vectors_of_a_route_is_in_its_key(router: Path, tmp_path: Path, change: str) -> None:
    copied = Path(shutil.copytree(router, tmp_path / "router"))
    before = keys(copied)
    assert before == keys(router)
    make, expected = CHANGES[change]
    make(copied)
    assert tuple(old != new for old, new in zip(before, keys(copied), strict=True)) == expected


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_static_route_has_its_table_and_its_tokenizer_in_its_key(
    file: str, bert: Path, small: Path, tmp_path: Path
) -> None:
    folder = write_form("static queries", tmp_path / "router", bert, small)
    before, path = keys(folder), folder / "query_0_StaticEmbedding" / file
    if file == "tokenizer.json":
        change_json(path, normalizer={"type": "Lowercase"})
    else:
        save_file({name: 1.5 * tensor for name, tensor in load_file(path).items()}, path)
    assert [old != new for old, new in zip(before, keys(folder), strict=True)] == [True, False]


def test_routes_of_one_table_have_keys_of_their_own(bert: Path, tmp_path: Path) -> None:
    tokenizer: Any = modules_of(bert)[0].tokenizer
    static = make_static(tokenizer)
    folder = write_router(tmp_path / "router", {"query": [static, Normalize()], "document": [static]})
    models = [open_reader(f"{folder}@{side}", PLAIN).model for side in ("query", "document")]
    assert models[0].weights_hash == models[1].weights_hash
    parts = [shelf_parts(model, model.as_document, "texts", token_budget=64) for model in models]
    assert parts[0] != parts[1]


@pytest.mark.parametrize("similarity", ["own", "dot", "euclidean"])
def test_it_is_ranked_by_its_own_similarity_or_the_one_that_is_asked_for(
    router: Path, dataset: Dataset, tmp_path: Path, similarity: str
) -> None:
    copied = Path(shutil.copytree(router, tmp_path / "router"))
    change_json(copied / "config_sentence_transformers.json", similarity_fn_name="dot")
    board = rank([copied], dataset, options=RunOptions(load=PLAIN, similarity=similarity))
    metric = Metric("ndcg", 10)
    asked = "dot" if similarity == "own" else similarity
    expected = evaluate(SentenceTransformer(str(copied), device="cpu"), dataset, [metric], similarity=asked)
    assert board.rows[0].scores["ndcg@10"] == pytest.approx(expected.mean(metric), abs=1e-6)


def test_swapped_routes_swap_the_vectors(bert: Path, small: Path, tmp_path: Path) -> None:
    folder = write_form("two statics", tmp_path / "router", bert, small)
    store = Store(str(tmp_path / "store"))
    path = folder / "router_config.json"
    said = json.loads(path.read_text())
    bare = replace(PLAIN, query_prompt="", document_prompt="")
    first = open_model(str(folder), bare, store)
    change_json(path, structure={"query": said["structure"]["document"], "document": said["structure"]["query"]})
    second = open_model(str(folder), bare, store)
    assert isinstance(first, PairedEncoder)
    assert isinstance(second, PairedEncoder)
    assert np.allclose(first.encode_query(["gold"]), second.encode_document(["gold"]))
    assert first.queries.reader.model.state_hashes != second.queries.reader.model.state_hashes
    assert first.queries.reader.model.state_hashes != first.documents.reader.model.state_hashes


def test_a_warm_run_loads_nothing(
    router: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = RunOptions(load=PLAIN, store=Store(str(tmp_path / "store")))
    first = rank([str(router)], dataset, options=options)

    def refuse(*args: object) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr("probe.models.pipeline.load_pipeline", refuse)
    again = rank([str(router)], dataset, options=options)
    assert [row.scores for row in again.rows] == [row.scores for row in first.rows]


def test_weights_that_are_missing_from_a_route_are_not_random(router: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(router, tmp_path / "router"))
    path = copied / "document_0_Transformer" / "model.safetensors"
    tensors = load_file(path)
    save_file({name: tensor for name, tensor in tensors.items() if "layer.2." not in name}, path)
    with pytest.raises(ModelError, match="lacks weights"):
        load_encoder(copied, PLAIN)


def test_a_route_that_does_not_give_the_router_s_vectors_is_refused(
    router: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Pooling.forward
    calls = iter(range(1000))
    monkeypatch.setattr(Pooling, "forward", lambda self, features: _shifted(forward(self, features), next(calls)))
    with pytest.raises(ModelError, match="its vectors differ from the router's"):
        load_encoder(router, PLAIN)


def _shifted(features: dict[str, object], by: int) -> dict[str, object]:
    vectors = features["sentence_embedding"].clone()  # type: ignore[attr-defined]
    vectors[:, 0] += by
    return {**features, "sentence_embedding": vectors}


def test_an_adaptor_is_not_fitted_to_a_router_but_to_a_route(router: Path, dataset: Dataset) -> None:
    with pytest.raises(CallError, match="expected a single hookpoint or fusion to adapt"):
        adaptors.fit("pca", str(router), dataset, dims=4, options=RunOptions(load=PLAIN))
    fitted = adaptors.fit("pca", f"{router}@document", dataset, dims=4, options=RunOptions(load=PLAIN))
    assert fitted.encoder.dim == 4


def test_a_spec_of_a_router_is_one_encoder(router: Path) -> None:
    resolved = resolve_specs([str(router)], PLAIN)
    assert [str(encoder) for encoder in resolved.fusions] == [str(router)]
    assert [candidate.hookpoints for candidate in resolved.candidates] == [(), ()]
