"""Fused models: the definition, each model run once, saved and loaded by ours and by sentence-transformers."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from tiny_models import PROMPTS, WORDS, count_hooks, make_texts, write_model, write_sentence_transformer

from adaptors.encoders.specs import resolve_specs
from probe.data.dataset import Dataset
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.evaluation.evaluate import evaluate
from probe.experiments.ranking import rank_candidates
from probe.metrics.retrieval import Metric
from probe.metrics.vectors import Embeddings, unit
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.fusing.folder import is_fused, open_fused, save
from surgery.fusing.model import FusedModel, fuse

TEXTS = make_texts(12)
OPTIONS = LoadOptions(dtype="float32", device="cpu")
WEIGHTS = (1.0, 2.0, 5.0)
OTHER_PROMPTS = {"query": f"{WORDS[5]} ", "document": f"{WORDS[6]} {WORDS[7]} "}


@pytest.fixture(scope="module")
def specs(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    bert, other = tiny_folder("bert"), tmp_path_factory.mktemp("models") / "mpnet"
    mpnet = write_sentence_transformer(write_model(other, "mpnet"), "mean", OTHER_PROMPTS)
    return [f"{bert}@1:cls", f"{mpnet}@2:mean", f"{bert}@2:max"]


@pytest.fixture(scope="module")
def fused(specs: list[str]) -> FusedModel:
    return fuse(specs, weights=WEIGHTS, options=OPTIONS)


@pytest.fixture(scope="module")
def folder(fused: FusedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(fused, tmp_path_factory.mktemp("fused") / "model")


def blocks(specs: Sequence[str], side: str) -> list[Embeddings]:
    """The definition's blocks: each hookpoint by itself, scaled to length 1."""
    found = []
    for spec in specs:
        name, _, place = spec.rpartition("@")
        layer, pooling = place.split(":")
        encoder = HookpointEncoder(LayerReader(load_model(name, OPTIONS)), int(layer), pooling)
        found.append(unit(getattr(encoder, f"encode_{side}")(TEXTS)))
    return found


@pytest.mark.parametrize("side", ["query", "document"])
def test_concat_joins_unit_blocks_by_the_roots_of_their_shares(specs: list[str], fused: FusedModel, side: str) -> None:
    expected = np.hstack(
        [np.sqrt(w / sum(WEIGHTS)) * block for w, block in zip(WEIGHTS, blocks(specs, side), strict=True)]
    )
    found = getattr(fused, f"encode_{side}")(TEXTS)
    assert np.abs(found - expected).max() <= 1e-6
    assert found.shape[1] == fused.width
    assert np.linalg.norm(found, axis=1) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(("method", "weights"), [("mean", None), ("weighted", WEIGHTS)])
def test_mean_and_weighted_add_unit_blocks(specs: list[str], method: str, weights: tuple[float, ...] | None) -> None:
    shares = weights or (1.0, 1.0, 1.0)
    expected = unit(sum(w * block for w, block in zip(shares, blocks(specs, "query"), strict=True)))
    assert np.abs(fuse(specs, method, weights, options=OPTIONS).encode_query(TEXTS) - expected).max() <= 1e-6


def test_hookpoints_of_one_model_share_its_forward(fused: FusedModel) -> None:
    rows: list[int] = []
    modules = [reader.loaded.module.get_input_embeddings() for reader in fused.readers]  # type: ignore[operator]
    handles = [m.register_forward_hook(lambda module, args, output: rows.append(len(output))) for m in modules]
    fused.encode_document(TEXTS)
    for handle in handles:
        handle.remove()
    assert sum(rows) == 2 * len(TEXTS)


def test_our_loader_opens_the_folder_alike(fused: FusedModel, folder: Path) -> None:
    assert is_fused(folder)
    again = open_fused(folder, OPTIONS)
    assert np.abs(again.encode_query(TEXTS) - fused.encode_query(TEXTS)).max() <= 1e-6
    assert np.abs(again.encode_document(TEXTS) - fused.encode_document(TEXTS)).max() <= 1e-6
    prompts = [reader.model.query_prompt for reader in again.readers]
    assert prompts == [PROMPTS["query"], OTHER_PROMPTS["query"]]


def test_sentence_transformers_opens_it_where_it_is_trusted_and_only_there(fused: FusedModel, folder: Path) -> None:
    model = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    for side in ("query", "document"):
        theirs = getattr(model, f"encode_{side}")(TEXTS, show_progress_bar=False)
        assert np.abs(theirs - getattr(fused, f"encode_{side}")(TEXTS)).max() <= 1e-5
    assert model.get_embedding_dimension() == fused.width
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(ValueError, match="trust_remote_code"):
        SentenceTransformer(str(folder), device="cpu")


def test_sentence_transformers_saves_it_again(fused: FusedModel, folder: Path, tmp_path: Path) -> None:
    SentenceTransformer(str(folder), trust_remote_code=True, device="cpu").save(str(tmp_path / "again"))
    again = open_fused(tmp_path / "again", OPTIONS)
    assert np.abs(again.encode_query(TEXTS) - fused.encode_query(TEXTS)).max() <= 1e-6


def test_the_information_retrieval_evaluator_takes_it(folder: Path, dataset: Dataset) -> None:
    model = SentenceTransformer(str(folder), trust_remote_code=True, device="cpu")
    queries = dict(zip(dataset.queries.ids, dataset.queries.texts, strict=True))
    relevant = {query: {doc for doc, grade in found.items() if grade > 0} for query, found in dataset.qrels.items()}
    evaluator = InformationRetrievalEvaluator(queries, dict(dataset.documents), relevant, ndcg_at_k=[10])
    theirs = evaluator(model)
    ours = evaluate(open_fused(folder, OPTIONS), dataset, [Metric("ndcg", 10)], name="fused").mean(Metric("ndcg", 10))
    assert theirs["cosine_ndcg@10"] == pytest.approx(ours, abs=1e-3)


def test_a_member_is_an_ordinary_model_without_the_blocks_nobody_reads(folder: Path) -> None:
    for member in ("0_bert", "1_mpnet"):
        assert json.loads((folder / member / "config.json").read_text())["num_hidden_layers"] == 2
        assert SentenceTransformer(str(folder / member), device="cpu").encode(["a"]).shape == (1, 32)


def test_the_embeddings_alone_can_be_a_block(specs: list[str], tmp_path: Path) -> None:
    bert = specs[0].partition("@")[0]
    model = fuse([f"{bert}@0:mean", specs[1]], options=OPTIONS)
    again = open_fused(save(model, tmp_path / "shallow"), OPTIONS)
    assert np.abs(again.encode_query(TEXTS) - model.encode_query(TEXTS)).max() <= 1e-6


@pytest.mark.parametrize("method", ["concat", "weighted"])
def test_rank_takes_the_folder_as_any_model(specs: list[str], dataset: Dataset, tmp_path: Path, method: str) -> None:
    model = fuse(specs, method, WEIGHTS, options=OPTIONS)
    folder = save(model, tmp_path / "model")
    resolved = resolve_specs([str(folder), specs[0]], OPTIONS)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    row = next(row for row in board.rows if row.encoder == str(folder))
    alone = evaluate(model, dataset, [Metric("ndcg", 10)], name="model")
    assert row.scores["ndcg@10"] == pytest.approx(alone.mean(Metric("ndcg", 10)), abs=1e-3)
    assert (row.dim, row.delta, row.layer) == (model.width, None, None)
    assert len(board.rows) == 2


def test_a_fused_model_is_an_encoder_and_its_input_is_left_alone(fused: FusedModel, folder: Path) -> None:
    assert isinstance(fused, Encoder)
    assert [reader.loaded.depth for reader in fused.readers] == [3, 3]
    assert all(count_hooks(reader.loaded.module) == 0 for reader in fused.readers)


def test_parts_joined_by_plus_are_parts(specs: list[str]) -> None:
    assert fuse(["+".join(specs)], options=OPTIONS).fusion.points == fuse(specs, options=OPTIONS).fusion.points


WRONG_FUSIONS = {
    "one hookpoint": (["{bert}"], "concat", None, "at least two different hookpoints"),
    "the same twice": (["{bert}@3:mean", "{bert}"], "concat", None, "without repetition"),
    "widths that differ": (["{bert}", "{wide}"], "mean", None, "one width"),
    "token states": (["{bert}@1:tokens", "{mpnet}@1:tokens"], "concat", None, "vector per token"),
    "no such method": (["{bert}", "{mpnet}"], "sum", None, "concat, mean, weighted"),
    "weights for mean": (["{bert}", "{mpnet}"], "mean", (1.0, 2.0), "use 'weighted'"),
    "weighted without weights": (["{bert}", "{mpnet}"], "weighted", None, "needs weights"),
    "too few weights": (["{bert}", "{mpnet}"], "concat", (1.0,), "expected one each"),
    "a negative weight": (["{bert}", "{mpnet}"], "concat", (1.0, -1.0), "positive"),
    "no number": (["{bert}", "{mpnet}"], "concat", (1.0, float("nan")), "positive"),
    "several layers": (["{bert}@all", "{mpnet}"], "concat", None, "several layers"),
    "a layer that is not there": (["{bert}@9", "{mpnet}"], "concat", None, "out of range"),
}


@pytest.mark.parametrize("case", WRONG_FUSIONS.values(), ids=WRONG_FUSIONS)
def test_what_cannot_be_fused_is_a_wrong_call(
    tiny_folder: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[list[str], str, tuple[float, ...] | None, str],
) -> None:
    parts, method, weights, words = case
    names = {family: str(tiny_folder(family)) for family in ("bert", "mpnet")}
    if "{wide}" in parts:
        names["wide"] = str(write_model(tmp_path_factory.mktemp("wide") / "wide", "bert", hidden_size=64))
    with pytest.raises(CallError, match=words):
        fuse([part.format(**names) for part in parts], method, weights, options=OPTIONS)


DAMAGES = {
    "no JSON": lambda told: "{",
    "another format": lambda told: json.dumps({**told, "format": 2}),
    "a folder outside": lambda told: json.dumps(
        {**told, "blocks": [{**told["blocks"][0], "member": "../elsewhere"}, *told["blocks"][1:]]}
    ),
    "a layer that is not there": lambda told: json.dumps(
        {**told, "blocks": [{**told["blocks"][0], "layer": 7}, *told["blocks"][1:]]}
    ),
    "too few weights": lambda told: json.dumps({**told, "weights": [1.0]}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_folder_is_named(folder: Path, tmp_path: Path, damage: Callable[[dict[str, object]], str]) -> None:
    broken = Path(shutil.copytree(folder, tmp_path / "broken"))
    told = json.loads((broken / "fused.json").read_text())
    (broken / "fused.json").write_text(damage(told))
    with pytest.raises(ModelError, match=r"fused\.json"):
        open_fused(broken, OPTIONS)


def test_a_fused_folder_has_no_layers_and_is_no_part(folder: Path, specs: list[str]) -> None:
    with pytest.raises(ModelError, match="probe rank"):
        load_model(str(folder), OPTIONS)
    for spec in (f"{folder}@1", f"{folder}:mean", f"{folder}+{specs[0]}"):
        with pytest.raises(CallError, match="give the folder alone"):
            resolve_specs([spec], OPTIONS)
