"""Weights stored in half precision: half the folder, float32 wherever it is loaded, and the difference measured."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fresh_forks import FreshForks
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, StaticEmbedding
from tiny_families import write_family
from tiny_models import WORDS, change_json, make_texts
from tiny_towers import write_towers
from tokenizers import Tokenizer

import surgery
from probe.encoding.opening import open_reader
from probe.errors import CallError, ModelError
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.saving.fresh_process import check_saved, compare
from surgery.saving.heads import DenseLayer, OutputHead, TopModule, read_dense, write_dense
from surgery.saving.weights import VectorChange, describe_weights, stored_dtypes

HALVES = ("float16", "bfloat16")
TEXTS = make_texts(12)
OPTIONS = LoadOptions(dtype="float32", device="cpu")
# Far more than rounding does to values of about 1, far less than a wrong block does.
CLOSE = {"float16": 5e-3, "bfloat16": 5e-2}

DTYPES_CHILD = """
import sys
from sentence_transformers import SentenceTransformer

model = SentenceTransformer(sys.argv[1], device="cpu")
print({str(tensor.dtype) for tensor in model.state_dict().values() if tensor.is_floating_point()})
print(model.encode(["milk moon"]).dtype)
"""


def add_dense(folder: Path) -> None:
    weight = np.random.default_rng(0).normal(size=(32, 16)).astype(np.float32)
    write_dense(DenseLayer(weight, weight[0]), folder)


LENS = OutputHead("mean", top=(TopModule("Dense", add_dense),))


def dtypes_of(folder: Path) -> set[str]:
    return set(stored_dtypes(folder.rglob("*.safetensors")))


def size_of(folder: Path) -> int:
    return sum(tensor.nbytes for path in folder.rglob("*.safetensors") for tensor in load_file(path).values())


def loaded_in(folder: Path, trust: bool = False) -> tuple[SentenceTransformer, set[torch.dtype]]:
    model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=trust)
    return model, {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()}


def facts_of(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "surgery.json").read_text())["weights"])


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("head", [None, LENS], ids=["plain", "lens"])
def test_half_the_folder_is_loaded_in_float32(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path, dtype: str, head: OutputHead | None
) -> None:
    cut = surgery.cut(load_tiny("bert"), 2)
    check = head and (lambda folder: None)  # the model in memory has no lens
    exact = surgery.save(cut, tmp_path / "exact", head, check=check)
    folder = surgery.save(cut, tmp_path / "half", head, check=check, weights_dtype=dtype)
    assert dtypes_of(folder) == {dtype}
    assert size_of(exact) - 8 * 66 <= 2 * size_of(folder) <= size_of(exact) + 8 * 66  # positions may be integers
    model, found = loaded_in(folder)
    assert found == {torch.float32}
    vectors = model.encode(TEXTS, batch_size=1)
    expected = loaded_in(exact)[0].encode(TEXTS, batch_size=1)
    assert vectors.dtype == np.float32
    assert 0 < np.abs(vectors - expected).max() < CLOSE[dtype] * np.abs(expected).max()


def test_without_a_dtype_nothing_is_rounded_or_recorded(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    folder = surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "cut")
    assert dtypes_of(folder) == {"float32"}
    assert "weights" not in json.loads((folder / "surgery.json").read_text())
    assert "Weights in " not in (folder / "README.md").read_text()
    assert describe_weights(folder) == ""


def test_the_measured_difference_is_in_the_record_and_on_the_card(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    folder = surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "half", weights_dtype="float16")
    facts = facts_of(folder)
    assert facts["dtype"] == "float16"
    assert facts["bytes"] == (folder / "model.safetensors").stat().st_size < facts["bytes_before"]
    assert facts["inputs"] == 16
    assert 0.999 < facts["min_cosine"] < 1
    assert 0 < facts["max_difference"] < 0.01
    line = describe_weights(folder)
    shown = float(line.partition("at least ")[2].split()[0])
    assert facts["min_cosine"] - 1e-6 < shown <= facts["min_cosine"]
    card = (folder / "README.md").read_text()
    assert line[1:] in card
    assert card.index(line[1:]) < card.index("Made with encoder-surgery")


@pytest.mark.parametrize("dtype", HALVES)
def test_the_own_loader_gives_the_same_vectors_under_another_key(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path, dtype: str
) -> None:
    cut = surgery.cut(load_tiny("bert"), 2)
    exact = load_model(surgery.save(cut, tmp_path / "exact"), OPTIONS)
    folder = surgery.save(cut, tmp_path / "half", weights_dtype=dtype)
    reader = open_reader(str(folder), OPTIONS)
    assert reader.model.weights_hash != exact.weights_hash
    assert set(reader.model.state_hashes).isdisjoint(exact.state_hashes)
    mine = reader.read(TEXTS, reader.model.as_query, [(2, "own")]).vectors[(2, "own")]
    np.testing.assert_allclose(mine, loaded_in(folder)[0].encode_query(TEXTS, batch_size=1), atol=1e-5)


def test_a_cut_of_the_folder_is_exact(load_tiny: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    half = surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "half", weights_dtype="bfloat16")
    again = surgery.save(surgery.cut(str(half), 2), tmp_path / "again")
    assert dtypes_of(again) == {"bfloat16"}
    assert "weights" not in json.loads((again / "surgery.json").read_text())
    wide = surgery.save(surgery.cut(str(half), 2), tmp_path / "wide", weights_dtype="float32")
    assert dtypes_of(wide) == {"float32"}
    assert facts_of(wide)["max_difference"] <= 1e-5
    expected, found = (loaded_in(one)[0].encode(TEXTS, batch_size=1) for one in (half, wide))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def write_static(folder: Path) -> Path:
    """Write static embeddings with a linear map after them."""
    tokenizer = Tokenizer.from_file(str(write_family(folder / "tokens", "bert") / "tokenizer.json"))
    table = torch.randn(tokenizer.get_vocab_size(), 16, generator=torch.Generator().manual_seed(3))
    top = [Dense(16, 8, activation_function=torch.nn.Identity()), Normalize()]
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table), *top])
    model.save_pretrained(str(folder / "static"), create_model_card=False)
    return folder / "static"


@pytest.mark.parametrize("dtype", HALVES)
def test_static_embeddings_are_loaded_in_float32(tmp_path: Path, dtype: str) -> None:
    static = write_static(tmp_path)
    trimmed = surgery.trim(str(static), {"mine": [" ".join(WORDS[3:40])]})
    exact = surgery.save(trimmed, tmp_path / "exact")
    folder = surgery.save(trimmed, tmp_path / "half", weights_dtype=dtype)
    assert dtypes_of(folder) == {dtype}
    assert size_of(folder) < 0.6 * size_of(exact)
    model, found = loaded_in(folder)
    assert found == {torch.float32}
    texts = [" ".join(WORDS[start : start + 4]) for start in range(3, 36, 3)]
    vectors = model.encode(texts)
    assert vectors.dtype == np.float32
    assert 0 < np.abs(vectors - loaded_in(exact)[0].encode(texts)).max() < CLOSE[dtype]
    mine = open_reader(str(folder), OPTIONS)
    read = mine.read(texts, mine.model.as_query, [(0, "own")]).vectors[(0, "own")]
    np.testing.assert_allclose(read, vectors, atol=1e-6)
    again = surgery.trim(str(folder), {"mine": [" ".join(WORDS[3:20])]})
    assert again.facts.tokens.after < trimmed.facts.tokens.after


@pytest.mark.usefixtures("quick_checks")
def test_fused_models_and_towers_are_loaded_in_float32(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    fused = surgery.fuse([f"{tiny_folder('bert')}@2:mean", f"{tiny_folder('mpnet')}@1:cls"], options=OPTIONS)
    folder = surgery.save(fused, tmp_path / "fused", weights_dtype="float16")
    towers = load_model(f"{write_towers(tmp_path / 'clip', 'clip')}@text", OPTIONS)
    pair = surgery.save(surgery.cut(towers, 1), tmp_path / "pair", weights_dtype="float16")
    for one in (folder, pair):
        assert dtypes_of(one) == {"float16"}
        assert loaded_in(one, trust=True)[1] == {torch.float32}
        assert 0.99 < facts_of(one)["min_cosine"] < 1


@pytest.mark.usefixtures("quick_checks")
def test_a_fresh_process_loads_it_in_float32(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path, fresh_forks: FreshForks
) -> None:
    cut = surgery.cut(load_tiny("bert"), 2)
    head = OutputHead("mean")

    def check(made: Path) -> VectorChange:
        command = [sys.executable, "-c", DTYPES_CHILD, str(made)]
        done = fresh_forks.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split("\n")[:2] == ["{'torch.float32'}", "float32"]
        return check_saved(made, cut, head)

    folder = surgery.save(cut, tmp_path / "half", head, check=check, weights_dtype="float16")
    assert facts_of(folder)["min_cosine"] > 0.999


def write_changed(folder: Path, source: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> Path:
    """Copy a model with one tensor changed."""
    shutil.copytree(source, folder)
    tensors = load_file(folder / "model.safetensors")
    name = "encoder.layer.0.attention.self.key.bias"
    save_file(tensors | {name: change(tensors[name])}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensor: tensor.fill_(7e4), "values up to 7e[+]04, and float16 ends at 65504"),
        (lambda t: t * 1e-7, "few digits"),
    ],
    ids=["too large", "too small"],
)
def test_what_float16_cannot_hold_is_refused_and_bfloat16_holds_it(
    tiny_folder: Callable[[str], Path], tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor], said: str
) -> None:
    cut = surgery.cut(str(write_changed(tmp_path / "source", tiny_folder("bert"), change)), 2)
    with pytest.raises(ModelError, match=rf"key\.bias.*{said}.*bfloat16"):
        surgery.save(cut, tmp_path / "half", weights_dtype="float16")
    assert not (tmp_path / "half").exists()
    assert dtypes_of(surgery.save(cut, tmp_path / "half", weights_dtype="bfloat16")) == {"bfloat16"}


def test_vectors_that_are_not_merely_rounded_are_refused(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    folder = surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "half", weights_dtype="float16")
    rng = np.random.default_rng(0)
    # As in an anisotropic model: the cosine of any two vectors is nearly 1.
    before = rng.normal(size=(16, 8)).astype(np.float32) + 100
    other = rng.normal(size=(16, 8)).astype(np.float32) + 100
    assert VectorChange.between(before, other).cosine > 0.99
    with pytest.raises(ModelError, match="rounding the weights moves the vectors too far"):
        compare(before, other, folder=folder)
    assert compare(before, before + 1e-3, folder=folder).difference == pytest.approx(1e-3, rel=0.01)
    with pytest.raises(ModelError, match=r"vectors are \(16, 4\), not \(16, 8\)"):
        compare(before, before[:, :4], folder=folder)


def test_equal_vectors_of_all_inputs_have_no_spread_to_lose() -> None:
    same = np.ones((4, 3), np.float32)
    assert VectorChange.between(same, same + np.float32(1e-4)).spread == 1


def test_an_unknown_dtype_is_a_wrong_call(load_tiny: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    with pytest.raises(CallError, match="weights_dtype 'float15': did you mean float16 or"):
        surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "half", weights_dtype="float15")


@pytest.mark.parametrize("dtype", HALVES)
def test_a_linear_map_is_read_in_float32(tmp_path: Path, dtype: str) -> None:
    add_dense(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({n: t.to(getattr(torch, dtype)) for n, t in tensors.items()}, tmp_path / "model.safetensors")
    dense = read_dense(tmp_path)
    assert (dense.weight.dtype, dense.bias.dtype) == (np.float32, np.float32)


def test_a_config_without_a_dtype_says_float32_afterwards(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    from surgery.saving.weights import store_weights

    folder = write_changed(tmp_path / "model", tiny_folder("bert"), lambda tensor: tensor)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "dtype"}))
    store_weights(folder, "float16")
    assert loaded_in(folder)[1] == {torch.float32}
    change_json(folder / "config.json", dtype="float16")
    assert loaded_in(folder)[1] == {torch.float16}  # or the test above would show nothing
