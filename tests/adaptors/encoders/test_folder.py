"""Saved adaptors are models: plain on one hookpoint, ours on several; each only with what it was fitted to."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import make_texts
from typer.testing import CliRunner, Result

import cli
from adaptors.encoders.adapted import AdaptedModel
from adaptors.encoders.description import is_adapted
from adaptors.encoders.folder import open_adapted
from adaptors.fitting.fit import fit
from adaptors.fitting.options import TrainOptions
from adaptors.modules.linear import Projection
from probe.errors import CallError, ModelError
from probe.models.options import LoadOptions
from surgery.fusing.model import FusedModel

pytestmark = pytest.mark.usefixtures("quick_checks")

TEXTS = make_texts(6)
OPTIONS = LoadOptions(dtype="float32", device="cpu")


def run(app: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def lensed(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cut with its lens, checked in a fresh process by the command that made it."""
    out = tmp_path_factory.mktemp("lens") / "lensed"
    made = run("surgery", "cut", "-m", tiny_folder("bert"), "--after", 2, "--lens", "-d", data, "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == str(out)
    return out


@pytest.fixture(scope="module")
def fused(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fusion with a spectral map."""
    out = tmp_path_factory.mktemp("spectral") / "fused"
    spec = f"{tiny_folder('bert')}@3:mean+{tiny_folder('mpnet')}@1:cls"
    made = run("adaptors", "fit", "spectral", "-m", spec, "-d", data, "--dims", "16,8", "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert "fresh process" in made.stderr
    return out


def test_a_cut_with_its_lens_is_plain_sentence_transformers(lensed: Path) -> None:
    model = SentenceTransformer(str(lensed), device="cpu")
    names = [type(module).__name__ for module in model]
    assert names == ["Transformer", "Pooling", "Normalize", "Dense", "Normalize"]
    vectors = model.encode(TEXTS, show_progress_bar=False)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    card = (lensed / "README.md").read_text()
    assert "`lens`" in card
    assert "Nothing was trained" not in card
    assert "## Retrieval" in card


@pytest.fixture(scope="module")
def bare(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cut with a lens without a bias."""
    out = tmp_path_factory.mktemp("bare") / "bare"
    options = ["--after", 2, "--lens", "--no-bias", "-d", data, "--no-store", "-o", out]
    made = run("surgery", "cut", "-m", tiny_folder("bert"), *options)
    assert made.exit_code == 0, made.stderr
    assert "labels none: fitted without a bias" in made.stderr
    return out


def modules_of(folder: Path) -> list[str]:
    return [type(module).__name__ for module in SentenceTransformer(str(folder), device="cpu")]


def test_a_lens_without_a_bias_is_what_servers_with_few_modules_read(bare: Path, lensed: Path) -> None:
    assert modules_of(bare) == ["Transformer", "Pooling", "Dense", "Normalize"]
    config = json.loads((bare / "2_Dense" / "config.json").read_text())
    assert (config["bias"], config["activation_function"]) == (False, "torch.nn.modules.linear.Identity")
    assert "a linear map without a bias" in (bare / "README.md").read_text()
    assert "without a bias" not in (lensed / "README.md").read_text()
    vectors = SentenceTransformer(str(bare), device="cpu").encode_document(TEXTS, batch_size=1)
    opened = open_adapted(bare, OPTIONS)
    assert isinstance(opened.encoder.module, Projection)
    assert not opened.encoder.module.bias.any()
    mine = AdaptedModel(FusedModel(opened.readers, opened.encoder.fusion), opened.encoder).encode_document(TEXTS)
    np.testing.assert_allclose(mine, vectors, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("pca", [], ["Dense"]),
        ("distil", [], ["Normalize", "Dense"]),
        ("distil", ["--no-bias"], ["Dense"]),
        # Taught to rank, it would be PCA on texts as few as these.
        ("linear", ["--steps", 2, "--loss", "similarity"], ["Normalize", "LayerNorm", "Dense"]),
    ],
)
def test_vectors_are_normalized_before_a_map_only_if_it_has_a_bias(
    tiny_folder: Callable[[str], Path],
    data: Path,
    tmp_path: Path,
    kind: str,
    options: list[object],
    expected: list[str],
) -> None:
    out = tmp_path / "out"
    made = run("adaptors", "fit", kind, f"{tiny_folder('bert')}@2", *options, "-d", data, "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert modules_of(out) == ["Transformer", "Pooling", *expected, "Normalize"]


def test_a_kind_whose_bias_cannot_be_left_out_is_refused(tiny_folder: Callable[[str], Path], data: Path) -> None:
    with pytest.raises(CallError, match=r"'pca' has no bias that can be left out: .* choose one of lens, distil"):
        fit("pca", f"{tiny_folder('bert')}@2", data, training=TrainOptions(bias=False))


@pytest.mark.parametrize("name", ["lensed", "bare", "fused"])
def test_rank_scores_the_folder_as_the_fit_said(name: str, data: Path, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(name)
    ranked = run("probe", "rank", folder, "-d", data, "--no-store", "--format", "json")
    assert ranked.exit_code == 0, ranked.stderr
    (row,) = json.loads(ranked.stdout)["rows"]
    card = (folder / "README.md").read_text()
    shown = f"| {row['adaptor']} | none |"
    line = next(line for line in card.splitlines() if shown in line and f"| {row['dim']} |" in line)
    assert f"{row['scores']['ndcg@10']:.4f}" in line
    assert (row["encoder"], row["transductive"]) == (str(folder), True)


@pytest.mark.parametrize("stored", [True, False])
def test_its_own_last_layer_is_the_folder(lensed: Path, data: Path, tmp_path: Path, stored: bool) -> None:
    kept = ["--store", tmp_path / "store"] if stored else ["--no-store"]
    for _ in range(1 + stored):  # the second time its facts come from the store
        whole = run("probe", "rank", lensed, "-d", data, *kept, "--format", "json")
        assert json.loads(whole.stdout)["settings"]["models"][0]["notes"] == []
    (expected,) = json.loads(whole.stdout)["rows"]
    layers = json.loads(run("probe", "layers", "-m", lensed, "-d", data, *kept, "--format", "json").stdout)
    (last,) = [row for row in layers["rows"] if row["encoder"] == layers["settings"]["baseline"]]
    assert last["pooling"] == "own"
    assert last["scores"] == pytest.approx(expected["scores"], abs=1e-6)


def test_sentence_transformers_opens_a_fusion_with_its_map(fused: Path) -> None:
    model = SentenceTransformer(str(fused), trust_remote_code=True, device="cpu")
    opened = open_adapted(fused, OPTIONS)
    assert model.encode_query(TEXTS, show_progress_bar=False).shape == (6, opened.encoder.dim) == (6, 16)


def test_another_models_weights_are_refused(lensed: Path, tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(lensed, tmp_path / "broken"))
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 1e-6}))
    with pytest.raises(ModelError, match="not the model its adaptor was fitted to"):
        open_adapted(broken, OPTIONS)


def test_other_prompts_are_refused(lensed: Path) -> None:
    with pytest.raises(CallError, match="fitted with the prompts"):
        open_adapted(lensed, LoadOptions(dtype="float32", device="cpu", query_prompt="other: "))


def test_longer_or_shorter_inputs_are_refused(lensed: Path) -> None:
    with pytest.raises(CallError, match="remove --max-tokens"):
        open_adapted(lensed, LoadOptions(dtype="float32", device="cpu", max_tokens=8))


@pytest.mark.parametrize("change", [{"format": 9}, {"top": ["../3_Dense"]}, {"kind": 3}, {"fitted_to": []}])
def test_a_damaged_description_is_named(lensed: Path, tmp_path: Path, change: dict[str, object]) -> None:
    broken = Path(shutil.copytree(lensed, tmp_path / "broken"))
    told = json.loads((broken / "adaptor.json").read_text())
    (broken / "adaptor.json").write_text(json.dumps({**told, **change}))
    assert is_adapted(broken)
    with pytest.raises(ModelError, match=r"adaptor\.json"):
        open_adapted(broken, OPTIONS)


def test_layers_with_a_lens_stand_beside_the_raw_ones(tiny_folder: Callable[[str], Path], data: Path) -> None:
    model = tiny_folder("bert")
    board = json.loads(
        run("probe", "layers", "-m", model, "-d", data, "--lens", "--no-store", "--format", "json").stdout
    )
    lenses = [row for row in board["rows"] if row["adaptor"] == "lens"]
    assert sorted(row["layer"] for row in lenses) == [0, 1, 2]
    assert sorted(row["layer"] for row in board["rows"] if row["adaptor"] is None) == [0, 1, 2, 3]
    assert all(row["transductive"] and row["labels"] == "none" for row in lenses)


WRONG_CALLS = {
    "unknown kind": ["fit", "umap", "-m", "{m}@1"],
    "several encoders": ["fit", "pca", "-m", "{m}@all"],
    "a lens of the final embedding": ["fit", "lens", "-m", "{m}"],
    "too many dimensions": ["fit", "pca", "-m", "{m}@1", "--dims", "999"],
    "dimensions that are none": ["fit", "pca", "-m", "{m}@1", "--dims", "0"],
    "a rung that is none": ["rank", "-m", "{m}@1", "--kinds", "pca,umap"],
    "dimensions that are words": ["rank", "-m", "{m}@1", "--dims", "many"],
}


@pytest.mark.parametrize("options", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_gets_a_message_and_exit_code_2(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, options: list[str]
) -> None:
    typed = [option.format(m=tiny_folder("bert")) for option in options]
    out = ["--out", tmp_path / "out"] if typed[0] == "fit" else []
    result = run("adaptors", *typed, "-d", data, "--no-store", *out)
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert "internal error" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_lens_needs_a_data_set(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    result = run("surgery", "cut", "-m", tiny_folder("bert"), "--after", 2, "--lens", "-o", tmp_path / "out")
    assert (result.exit_code, "--dataset" in result.stderr) == (2, True)
