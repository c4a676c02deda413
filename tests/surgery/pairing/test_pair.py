"""Pairs of encoders: plain sentence-transformers gives the vectors of both; what cannot be paired is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import PROMPTS, WIDTH, change_json, make_texts, write_model, write_sentence_transformer
from tiny_routers import modules_of, write_router, write_static
from tiny_towers import write_towers
from tiny_tuning import run_command

import adaptors
import probe
import surgery
from probe.data.training_record import read_learned
from probe.encoding.opening import open_reader
from probe.encoding.paired import PairedEncoder
from probe.errors import CallError, ModelError
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from probe.store.keys import content_ids
from surgery.pairing.agreement import measure_agreement
from surgery.pairing.folder import check_pair_folder, read_agreement

PLAIN = LoadOptions(dtype="float32", device="cpu")
TEXTS = [*make_texts(8), "silver moon over the lake " * 30]
LICENSE = "---\nlicense: cc-by-4.0\n---\n# A model\n"


@pytest.fixture(scope="module")
def folders(
    tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, quick_checks: None
) -> dict[str, Path]:
    """Return encoders to pair: a model, others of its width, and what the commands make of it."""
    root = tmp_path_factory.mktemp("sides")
    model = Path(shutil.copytree(tiny_folder("bert"), root / "model"))
    (model / "README.md").write_text(LICENSE)
    static = write_static(root / "static", model, prompts={"query": "gold ", "document": "salt "})
    small = write_model(root / "small", "bert", num_hidden_layers=1)
    write_sentence_transformer(
        small, "cls", {"query": "wind "}, sizes={"max_seq_length": 12}, extra_modules=["Normalize"]
    )
    data = make_dataset(root / "data")
    usual = ("-d", data, "--no-store", "--out")
    for name, call in {
        "lens": ("surgery", "cut", model, "--after", 2, "--lens", *usual, root / "lens"),
        "fitted": ("surgery", "cut", model, "--after", 0, *usual, root / "fitted"),
        "cut": ("surgery", "cut", model, "--after", 1, "--out", root / "cut"),
        "fused": ("surgery", "fuse", f"{model}@1:mean", f"{model}@2:mean", "--method", "mean", "--out", root / "fused"),
        "network": (
            "adaptors",
            "fit",
            "autoencoder",
            f"{model}@2",
            "--steps",
            2,
            "--dims",
            WIDTH,
            *usual,
            root / "network",
        ),
    }.items():
        app, *args = call
        result = run_command(*args, app=str(app))
        assert result.exit_code == 0, (name, result.stderr)
    bare = write_model(root / "bare", "bert")
    router = write_router(root / "router", {"query": modules_of(small), "document": modules_of(model)})
    wide = write_static(root / "wide", model, width=8)
    dot = Path(shutil.copytree(small, root / "dot"))
    change_json(dot / "config_sentence_transformers.json", similarity_fn_name="dot")
    copied = Path(shutil.copytree(model, root / "copied"))
    made = {"model": model, "static": static, "small": small, "bare": bare, "router": router, "wide": wide, "dot": dot}
    names = ("lens", "fitted", "cut", "fused", "network")
    return {**made, "copied": copied, "data": data, **{name: root / name for name in names}}


COMBINATIONS = [
    ("{static}", "{model}"),
    ("{fitted}", "{model}"),
    ("{cut}", "{model}"),
    ("{lens}", "{model}"),
    ("{small}", "{model}"),
    ("{model}", "{static}"),
    ("{model}@1:mean", "{model}"),
    ("{small}:max", "{model}@2:cls"),
    ("{static}", "{small}"),
    ("{lens}", "{fitted}"),
    ("{bare}", "{static}"),
    ("{static}", "{lens}"),
]


@pytest.mark.parametrize(("queries", "documents"), COMBINATIONS)
def test_plain_sentence_transformers_gives_the_vectors_of_both(
    queries: str, documents: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    given = [spec.format(**folders) for spec in (queries, documents)]
    pair = surgery.pair(*given)
    out = surgery.save(pair, tmp_path / "pair")
    plain = SentenceTransformer(str(out), device="cpu")
    assert type(plain[0]).__name__ == "Router"
    sides = [(given[0], pair.queries, "encode_query"), (given[1], pair.documents, "encode_document")]
    for spec, _, method in sides:
        expected = getattr(probe.load_encoder(spec, PLAIN), method)(TEXTS)
        found = getattr(plain, method)(TEXTS, batch_size=1)
        if ":" in spec:  # a bare pooling is saved with the normalization that its model has
            expected, found = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in (expected, found))
        assert np.abs(found - expected).max() <= 1e-5
    ours = adaptors.load_encoder(str(out), PLAIN)
    assert isinstance(ours, PairedEncoder)
    assert np.abs(ours.encode_query(TEXTS) - plain.encode_query(TEXTS, batch_size=1)).max() <= 1e-5
    assert np.abs(ours.encode_document(TEXTS) - plain.encode_document(TEXTS, batch_size=1)).max() <= 1e-5


def test_it_opens_in_a_fresh_process_with_equal_vectors(folders: dict[str, Path], tmp_path: Path) -> None:
    pair = surgery.pair(folders["static"], folders["model"])
    out = surgery.save(pair, tmp_path / "pair", check=lambda folder: check_pair_folder(folder, pair, fresh=True))
    check_pair_folder(out, pair, fresh=True)


def test_a_folder_with_other_vectors_is_refused_on_either_side(folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders["static"], folders["model"]), tmp_path / "pair")
    for other in (("small", "model"), ("static", "small")):
        with pytest.raises(ModelError, match="differ from those of the model in memory"):
            check_pair_folder(out, surgery.pair(*(folders[name] for name in other)))


def test_it_is_written_wholly_or_not_at_all(folders: dict[str, Path], tmp_path: Path) -> None:
    pair = surgery.pair(folders["static"], folders["model"])

    def fail(folder: Path) -> None:
        raise ModelError("no")

    with pytest.raises(ModelError, match=r"^no$"):
        surgery.save(pair, tmp_path / "pair", check=fail)
    assert os.listdir(tmp_path) == []
    surgery.save(pair, tmp_path / "pair")
    with pytest.raises(CallError, match="exists"):
        surgery.save(pair, tmp_path / "pair")
    surgery.save(pair, tmp_path / "pair", force=True)


def test_each_route_has_its_prompt_and_its_length(folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders["small"], folders["model"]), tmp_path / "pair")
    plain = SentenceTransformer(str(out), device="cpu")
    assert plain.prompts == {"query": "wind ", "document": PROMPTS["document"]}
    routes: Any = plain[0]
    assert routes.default_route == "document"
    assert [routes.sub_modules[side][0].max_seq_length for side in ("query", "document")] == [12, 66]
    assert np.allclose(plain.encode(TEXTS, prompt_name="document"), plain.encode_document(TEXTS), atol=1e-6)
    assert plain.similarity_fn_name == "cosine"


def test_its_layout_is_that_of_sentence_transformers(folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders["static"], folders["lens"]), tmp_path / "pair")
    theirs = tmp_path / "theirs"
    SentenceTransformer(str(out), device="cpu").save(str(theirs), create_model_card=False)
    ours, saved = (json.loads((folder / "router_config.json").read_text()) for folder in (out, theirs))
    assert ours["structure"] == saved["structure"]
    assert ours["structure"]["query"] == ["query_0_StaticEmbedding", "query_1_Normalize"]
    assert {path.name for path in out.iterdir() if path.is_dir()} == set(ours["types"])
    assert {path.name for path in out.iterdir() if path.is_file()} == {
        *("modules.json", "router_config.json", "config_sentence_transformers.json"),
        *("surgery.json", "learned.json", "README.md"),
    }


def test_its_card_says_what_each_route_is(folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders["cut"], folders["model"]), tmp_path / "pair")
    card = (out / "README.md").read_text()
    megabytes = sum(path.stat().st_size for path in out.rglob("*.safetensors")) / 1e6
    assert f"Together {megabytes:.1f} MB: each route has its own copy" in card
    assert "# model (blocks 1 of 3) for queries and model for documents" in card
    assert "| query | `model` (blocks 1 of 3) | Transformer, Pooling |" in card
    assert "| document | `model` | Transformer, Pooling |" in card
    assert "'query: ' | cc-by-4.0 |" in card
    assert f"{read_agreement(out)}" in card
    assert "license: cc-by-4.0" in card
    assert str(folders["model"].parent) not in card
    facts = json.loads((out / "surgery.json").read_text())
    assert set(facts["paired"]) == {"query", "document"}
    static = surgery.save(surgery.pair(folders["fitted"], f"{folders['model']}@2"), tmp_path / "static")
    assert (
        "# model (static) for queries and model (blocks 1, 2 of 3) for documents" in (static / "README.md").read_text()
    )


def test_a_license_of_one_side_only_is_none_of_the_pair(folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders["static"], folders["model"]), tmp_path / "pair")
    head = (out / "README.md").read_text().split("---\n")[1]
    assert "license" not in head


@pytest.mark.parametrize("side", ["fitted", "lens"])
def test_what_a_side_was_fitted_to_is_remembered(side: str, folders: dict[str, Path], tmp_path: Path) -> None:
    out = surgery.save(surgery.pair(folders[side], folders["model"]), tmp_path / "pair")
    assert [name for name, _ in read_learned(out).seen] == ["data"]
    assert "they were fitted to the texts of data without labels." in (out / "README.md").read_text()
    board = probe.rank([out], load_dataset(str(folders["data"])), options=RunOptions(load=PLAIN))
    assert board.rows[0].transductive


def test_a_route_shares_its_cached_vectors_with_the_encoder_it_was_made_of(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    out = surgery.save(surgery.pair(folders["cut"], folders["model"]), tmp_path / "pair")
    for name, side in (("cut", "query"), ("model", "document")):
        models = [open_reader(spec, PLAIN).model for spec in (str(folders[name]), f"{out}@{side}")]
        role = models[0].as_query if side == "query" else models[0].as_document
        points = [(layer, pooling) for layer in range(models[0].depth + 1) for pooling in ("mean", "own")]
        assert content_ids(models[0], role, points, token_budget=64) == content_ids(
            models[1], role, points, token_budget=64
        )


def test_rounded_weights_are_loaded_in_float32(folders: dict[str, Path], tmp_path: Path) -> None:
    pair = surgery.pair(folders["static"], folders["model"])
    sizes = {}
    for dtype in (None, "bfloat16"):
        out = surgery.save(pair, tmp_path / str(dtype), weights_dtype=dtype)
        sizes[dtype] = sum(path.stat().st_size for path in out.rglob("*.safetensors"))
    assert sizes["bfloat16"] < 0.7 * sizes[None]
    plain = SentenceTransformer(str(out), device="cpu")
    assert {str(parameter.dtype) for parameter in plain.parameters()} == {"torch.float32"}
    assert "Weights in bfloat16:" in (out / "README.md").read_text()
    with pytest.raises(CallError, match="weights_dtype 'int3'"):
        surgery.save(pair, tmp_path / "wrong", weights_dtype="int3")


def test_models_in_memory_are_paired_too(folders: dict[str, Path], tmp_path: Path) -> None:
    short = surgery.cut(folders["model"], 2)
    out = surgery.save(surgery.pair(short, SentenceTransformer(str(folders["small"]), device="cpu")), tmp_path / "pair")
    plain = SentenceTransformer(str(out), device="cpu")
    small = SentenceTransformer(str(folders["small"]), device="cpu")
    assert np.abs(plain.encode_document(TEXTS) - small.encode_document(TEXTS)).max() <= 1e-5


def test_unrelated_spaces_are_noticed(folders: dict[str, Path]) -> None:
    same = measure_agreement(surgery.pair(folders["lens"], folders["model"]))
    apart = measure_agreement(surgery.pair(folders["static"], folders["model"]))
    assert (same.texts, apart.is_plausible) == (8, False)
    assert str(apart) == f"{apart.found} of 8 texts are nearest to themselves across the two routes (1 by chance)"


REFUSED = {
    "a fusion": ("{model}@1+{model}@2", "{model}", "is a fusion: expected one encoder of plain"),
    "a fused folder": ("{fused}", "{model}", "needs classes of encoder-surgery: expected one encoder of plain"),
    "a network": ("{network}", "{model}", "has a module of the class adaptors.AdaptorModule: expected one encoder"),
    "a router": ("{static}", "{router}", "is a router: expected one encoder of plain"),
    "a route": ("{router}@query", "{model}", "is a route of a router: expected one encoder of plain"),
    "tokens": ("{static}", "{model}@2:tokens", "has one vector per token: expected one encoder of plain"),
    "several layers": ("{model}@1,2", "{model}", "has 2 layers: expected one"),
    "the embeddings": ("{model}@0:mean", "{model}", "is the embeddings only, not an encoder: use a static cut"),
    "other dimensions": ("{wide}", "{model}", "has 8 dimensions and '.*' 32: expected one space for both: map one"),
    "other similarity": ("{dot}", "{model}", "is compared by dot and '.*' by cosine: expected one similarity"),
    "the same": ("{model}", "{model}@3", "both sides are '.*': expected two encoders"),
    "the same in another folder": ("{copied}", "{model}", "both sides are"),
    "nothing": ("./nowhere", "{model}", "folder './nowhere' not found"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_paired_is_refused_in_words(kind: str, folders: dict[str, Path]) -> None:
    queries, documents, words = REFUSED[kind]
    with pytest.raises(CallError, match=words) as raised:
        surgery.pair(queries.format(**folders), documents.format(**folders))
    assert len(str(raised.value).splitlines()) == 1


def test_a_tower_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    towers = write_towers(tmp_path / "clip")
    with pytest.raises(CallError, match="is one tower of two"):
        surgery.pair(f"{towers}@text", folders["model"])


def test_a_route_is_not_cut(folders: dict[str, Path]) -> None:
    with pytest.raises(CallError, match="is one route of a router: change the encoder that it was made of"):
        surgery.cut(f"{folders['router']}@document", 1)
