"""Token hookpoints ranked from end to end: as sentence-transformers scores them, one pass, the same cold and warm."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_data import without_times
from tiny_models import DEPTH, PROMPTS, WIDTH, write_model, write_sentence_transformer, write_tokenizer

from adaptors.encoders.specs import resolve_specs
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding import chunk_states as states_module
from probe.encoding.encoders import HookpointEncoder, TokenEncoder
from probe.encoding.maxsim import maxsim
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric, RunScorer
from probe.metrics.run_fusion import fuse_runs
from probe.metrics.top_k import Run
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard, Row
from probe.store.chunk_file import layer_poolings_in
from probe.store.store import Store
from surgery.cutting.cut import cut
from surgery.saving.save import save

CHUNK = 7
NDCG = Metric("ndcg", 10)
FLOAT32 = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "CHUNK", CHUNK)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """The runs that are scored from here on, one per encoder."""
    seen: list[Run] = []
    original = RunScorer.score
    monkeypatch.setattr(RunScorer, "score", lambda self, run: (seen.append(run), original(self, run))[1])
    return seen


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def points_of(model: LoadedModel, *places: str) -> tuple[Hookpoint, ...]:
    return tuple(replace(Hookpoint.parse(f"m@{place}"), model=model.source.name) for place in places)


def rank_places(
    reader: LayerReader, dataset: Dataset, store: Store | None = None, places: Sequence[str] = ("3:mean", "3:tokens")
) -> Leaderboard:
    named = points_of(reader.model, *places)  # type: ignore[arg-type]
    return rank_candidates([Candidate(reader, named)], dataset, str(named[0]), options=RunOptions(store=store))


def token_row(board: Leaderboard) -> Row:
    return next(row for row in board.rows if row.pooling == "tokens")


def reference(model: LoadedModel, dataset: Dataset, layer: int) -> Run:
    """Return all scores, from token states as transformers gives them, text by text, in loops over float64."""

    def read(text: str) -> Embeddings:
        tokens = model.tokenizer(text, truncation=True, max_length=model.max_tokens, return_tensors="pt")
        tokens.pop("token_type_ids", None)
        with torch.no_grad():
            states = model.module(**tokens, output_hidden_states=True).hidden_states[layer][0]
        return states.double().numpy()

    documents = {name: read(model.document_prompt + text) for name, text in dataset.documents}
    scores: Run = {}
    for query, text in dataset.queries:
        scores[query] = {}
        asked = read(model.query_prompt + text)
        for name, found in documents.items():
            cosines = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in found] for a in asked]
            scores[query][name] = float(sum(max(row) for row in cosines))
    return scores


@pytest.mark.parametrize("layer", [0, 2, 3])
def test_a_row_ranks_as_loops_over_the_tokens_of_transformers_do(
    layer: int, model: LoadedModel, dataset: Dataset, runs: list[Run]
) -> None:
    board = rank_places(LayerReader(model, token_budget=60), dataset, places=("3:mean", f"{layer}:tokens"))
    wanted = reference(model, dataset, layer)
    for query, found in runs[1].items():
        assert found == pytest.approx(wanted[query], abs=1e-5)
        assert list(found) == sorted(found, key=lambda name: (-found[name], name))
    row = token_row(board)
    assert row.encoder == f"{model.source.name}@{layer}:tokens"
    assert (row.layer, row.dim, row.collapsed) == (layer, WIDTH, False)
    assert row.parameters == model.parameters[layer]
    assert row.ms_per_text is not None
    assert row.ms_per_text > 0
    assert row.p_value is not None
    assert row.ci95 is not None


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert", "qwen3"])
def test_tokens_and_scores_are_those_of_the_cut_model_as_a_multi_vector_encoder(
    family: str, load_tiny: Callable[[str], LoadedModel], dataset: Dataset, tmp_path: Path
) -> None:
    from sentence_transformers import MultiVectorEncoder
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    model = load_tiny(family)
    folder = save(cut(model, 2), tmp_path / "cut")
    modules = [Transformer(str(folder)), MultiVectorMask(), Normalize(module_input_name="token_embeddings")]
    theirs = MultiVectorEncoder(modules=modules, device="cpu", prompts=dict(PROMPTS))
    ours = TokenEncoder(LayerReader(model, token_budget=60), 2)
    documents, queries = list(dataset.documents.texts), list(dataset.queries.texts)  # type: ignore[attr-defined]
    found, wanted = ours.encode_document(documents), theirs.encode_document(documents)
    assert [text.shape for text in found] == [tuple(text.shape) for text in wanted]
    assert all(np.abs(mine - other.numpy()).max() < 1e-5 for mine, other in zip(found, wanted, strict=True))
    scores = theirs.similarity(theirs.encode_query(queries), wanted).numpy()
    assert maxsim(ours.encode_query(queries), found) == pytest.approx(scores, abs=1e-4)
    alone = evaluate(theirs, dataset, [NDCG], name="theirs")
    board = rank_places(LayerReader(model), dataset, places=("2:mean", "2:tokens"))
    assert alone.mean(NDCG) == pytest.approx(token_row(board).scores["ndcg@10"], abs=1e-9)


def test_every_text_runs_once_for_tokens_and_vectors_of_several_layers(model: LoadedModel, dataset: Dataset) -> None:
    rows: list[int] = []
    handle = model.module.get_input_embeddings().register_forward_hook(lambda m, args, out: rows.append(len(out)))
    try:
        rank_places(LayerReader(model), dataset, places=("3:mean", "3:tokens", "1:tokens", "2:cls"))
    finally:
        handle.remove()
    assert sum(rows) == len(dataset.documents) + len(dataset.queries)


def test_cold_warm_and_without_a_store_give_the_same_scores(
    model: LoadedModel, dataset: Dataset, store: Store, runs: list[Run]
) -> None:
    boards = [rank_places(LayerReader(model), dataset, kept) for kept in (None, store)]
    # A profile without its model: nothing may be loaded.
    boards.append(rank_places(LayerReader(model, load=refuse), dataset, store))
    assert runs[0:2] == runs[2:4] == runs[4:6]
    assert [without_times(board) for board in boards[1:]] == [without_times(boards[0])] * 2
    assert all(row.ms_per_text is None for row in boards[2].rows)
    assert [len(run) for run in runs] == [len(dataset.queries)] * 6


def refuse() -> LoadedModel:
    raise AssertionError("the model is loaded")


def test_the_order_in_which_places_are_first_read_changes_no_score(
    model: LoadedModel, dataset: Dataset, store: Store, runs: list[Run]
) -> None:
    rank_places(LayerReader(model), dataset, None, ("3:mean", "2:tokens", "1:tokens"))
    rank_places(LayerReader(model), dataset, store, ("3:mean",))
    rank_places(LayerReader(model), dataset, store, ("3:mean", "1:tokens"))
    rank_places(LayerReader(model), dataset, store, ("3:mean", "2:tokens", "1:tokens"))
    assert runs[-3:] == runs[:3]


def test_the_store_keeps_scores_of_documents_and_no_tokens_of_them(
    model: LoadedModel, dataset: Dataset, store: Store
) -> None:
    rank_places(LayerReader(model), dataset, store)
    shelves = [
        {pooling.partition("-")[0] for path in folder.glob("*.safetensors") for _, pooling in layer_poolings_in(path)}
        for folder in (store.folder / "shelves").iterdir()
    ]
    assert sorted(map(sorted, shelves)) == [["maxsim", "mean"], ["mean", "tokens"]]


def other_prompt(model: LoadedModel, dataset: Dataset) -> tuple[LoadedModel, Dataset]:
    return replace(model, query_prompt="acid air "), dataset


def other_queries(model: LoadedModel, dataset: Dataset) -> tuple[LoadedModel, Dataset]:
    texts = tuple(text + " stone" for text in dataset.queries.texts)
    return model, replace(dataset, queries=Texts(dataset.queries.ids, texts))


def fewer_tokens(model: LoadedModel, dataset: Dataset) -> tuple[LoadedModel, Dataset]:
    return load_model(str(model.source.folder), replace(model.options, max_tokens=9)), dataset


@pytest.mark.parametrize("change", [other_prompt, other_queries, fewer_tokens])
def test_what_changes_the_queries_does_not_find_their_old_scores(
    change: Callable[..., tuple[LoadedModel, Dataset]],
    model: LoadedModel,
    dataset: Dataset,
    store: Store,
    runs: list[Run],
) -> None:
    rank_places(LayerReader(model), dataset, store)
    changed, data = change(model, dataset)
    for kept in (store, None):
        rank_places(LayerReader(changed), data, kept)
    assert runs[3] == runs[5] != runs[1]


def test_a_damaged_file_of_scores_is_named_and_redone(
    model: LoadedModel, dataset: Dataset, store: Store, runs: list[Run], caplog: pytest.LogCaptureFixture
) -> None:
    rank_places(LayerReader(model), dataset, store)
    holding = [
        path
        for path in store.folder.rglob("*.safetensors")
        if any(pooling.startswith("maxsim") for _, pooling in layer_poolings_in(path))
    ]
    data = bytearray(holding[1].read_bytes())
    data[-3] ^= 255
    holding[1].write_bytes(data)
    rank_places(LayerReader(model), dataset, store)
    assert runs[2:] == runs[:2]
    assert holding[1].name in caplog.text


def test_documents_that_are_all_alike_are_a_collapse(model: LoadedModel, dataset: Dataset) -> None:
    same = Texts(dataset.documents.ids, ("acid air stone",) * len(dataset.documents))  # type: ignore[attr-defined]
    rows = rank_places(LayerReader(model), replace(dataset, documents=same)).rows
    assert [row.collapsed for row in rows] == [True, True]
    assert all(row.scores["ndcg@10"] < 1 for row in rows)


@pytest.fixture
def bare(tmp_path: Path) -> LoadedModel:
    """A model whose tokenizer puts no special tokens around a text, so that an empty one has no token at all."""
    folder = write_tokenizer(write_model(tmp_path / "bare"), wrap=False)
    return load_model(str(write_sentence_transformer(folder)), FLOAT32)


def test_a_document_without_tokens_comes_last_and_a_query_without_tokens_finds_nothing(
    bare: LoadedModel, dataset: Dataset, runs: list[Run]
) -> None:
    documents = Texts(dataset.documents.ids, ("", *dataset.documents.texts[1:]))  # type: ignore[attr-defined]
    queries = Texts(dataset.queries.ids, ("", *dataset.queries.texts[1:]))
    rank_places(LayerReader(bare), replace(dataset, documents=documents, queries=queries))
    asked = runs[1]
    assert set(asked[queries.ids[0]].values()) == {0.0}
    assert list(asked[queries.ids[0]]) == sorted(documents.ids, reverse=True)
    for query, text in list(queries)[1:]:
        assert list(asked[query])[-1] == documents.ids[0]
        assert asked[query][documents.ids[0]] == -len(text.split())


def test_probe_layers_ranks_the_tokens_of_every_layer_beside_the_full_model(
    model: LoadedModel, dataset: Dataset
) -> None:
    board = rank_layers(LayerReader(model), dataset, poolings=["tokens"])
    name = model.source.name
    assert {row.encoder for row in board.rows} == {f"{name}@3:mean", *(f"{name}@{k}:tokens" for k in range(DEPTH + 1))}
    assert board.settings["baseline"] == f"{name}@3:mean"
    assert "MaxSim" in board.settings["late_interaction"]
    assert "late interaction: MaxSim" in board.to_markdown()
    assert rank_layers(LayerReader(model), dataset, layers="3").settings["late_interaction"] is None


def test_a_token_encoder_alone_scores_as_its_row(model: LoadedModel, dataset: Dataset) -> None:
    alone = evaluate(TokenEncoder(LayerReader(model), 3), dataset, [NDCG], name="alone")
    row = token_row(rank_places(LayerReader(model), dataset))
    assert alone.mean(NDCG) == pytest.approx(row.scores["ndcg@10"], abs=1e-9)
    assert (alone.dim, alone.collapsed) == (WIDTH, False)


def test_rankings_of_tokens_are_fused_with_those_of_vectors(
    tiny_folder: Callable[[str], Path], dataset: Dataset, runs: list[Run]
) -> None:
    name = str(tiny_folder("bert"))
    specs = [f"{name}@3:mean", f"{name}@2:tokens", f"{name}@3:mean+{name}@2:tokens"]
    resolved = resolve_specs(specs, FLOAT32, run_rules=["rrf", "combsum"], tokens=True)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    both = ", ".join(specs[:2])
    assert {row.encoder for row in board.rows} == {*specs[:2], f"rrf({both})", f"combsum({both})"}
    assert runs[2:] == [fuse_runs(runs[:2], rule) for rule in ("rrf", "combsum")]


@pytest.mark.parametrize(
    ("specs", "rules", "message"),
    [
        (["{m}@3:tokens+{m}@3:mean"], [], "one vector per token"),
        (["{m}@3:tokens+{m}@3:mean"], ["rrf"], "cannot be the baseline"),
        (["{m}@3:mean", "{m}@3:tokens+{m}@3:tokens"], ["rrf"], "with itself"),
        (["{m}@3:mean", "{m}@3:tokens"], ["rrf"], "need a fusion"),
        (["{m}@9:tokens"], [], "out of range"),
    ],
)
def test_tokens_cannot_be_joined_into_vectors(
    specs: list[str], rules: list[str], message: str, tiny_folder: Callable[[str], Path]
) -> None:
    with pytest.raises(CallError, match=message):
        resolve_specs([spec.format(m=tiny_folder("bert")) for spec in specs], FLOAT32, run_rules=rules, tokens=True)


def test_tokens_search_no_index_that_another_encoder_built(model: LoadedModel) -> None:
    sides = [Fusion((point,)) for point in points_of(model, "3:tokens", "3:mean")]
    with pytest.raises(CallError, match="one per text on both sides"):
        Asymmetric(*sides)


def test_an_encoder_of_vectors_has_no_tokens(model: LoadedModel) -> None:
    with pytest.raises(CallError, match="one per text"):
        HookpointEncoder(LayerReader(model), 3, "tokens")


def test_a_state_that_is_not_finite_is_refused(load_tiny: Callable[[str], LoadedModel], dataset: Dataset) -> None:
    model: Any = load_tiny("electra")
    weights = next(iter(model.stack.blocks[2].parameters()))
    kept = weights.data.clone()
    try:
        weights.data.fill_(float("nan"))
        with pytest.raises(Exception, match="not finite"):
            rank_places(LayerReader(model), dataset, places=("1:mean", "3:tokens"))
    finally:
        weights.data.copy_(kept)
