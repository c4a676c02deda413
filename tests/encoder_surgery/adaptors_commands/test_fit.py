"""`adaptors fit` and `rank` with networks and judgements: what is saved scores as the table said."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, write_lines
from tiny_models import make_texts
from typer.testing import CliRunner, Result

import cli
from adaptors import load_encoder
from adaptors.encoders.adapted import AdaptedModel
from adaptors.encoders.folder import open_adapted
from adaptors.finetuning.encoder import open_trainable
from adaptors.fitting.fit import fit
from adaptors.modules.base import Adaptor
from adaptors.modules.block_mixing import Attention
from adaptors.modules.linear import Linear, Projection
from adaptors.modules.mlp import Mlp
from adaptors.modules.st_module import write_network
from encoder_surgery.adaptors_commands.fit import name_adaptor
from probe.errors import ModelError, TrainingError
from probe.models.options import LoadOptions
from surgery.fusing.model import FusedModel
from surgery.saving.heads import DenseLayer, write_dense

pytestmark = pytest.mark.usefixtures("quick_checks")

TEXTS = make_texts(6)
OPTIONS = LoadOptions(dtype="float32", device="cpu")


def run(*args: object, app: str = "adaptors") -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries 0 to 7 are the test's, 8 to 15 those of the training split."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny", queries=16)
    for split, first in (("test", 0), ("train", 8)):
        rows = [f"q{i}\td{i}\t1" for i in range(first, first + 8)]
        write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])
    return folder


FITS = {
    "linear": (["linear", "--labels", "train", "--lr", "0.05"], "{bert}@2:mean", Linear),
    "mlp": (["mlp", "--loss", "similarity"], "{bert}@2:mean", Mlp),
    "attention": (["attention", "--labels", "train"], "{bert}@3:mean+{mpnet}@1:cls", Attention),
}


@pytest.fixture(scope="module", params=FITS)
def saved(
    request: pytest.FixtureRequest,
    tiny_folder: Callable[[str], Path],
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, Path, str]:
    """Name of the fit, its folder and what was said."""
    args, spec, _ = FITS[request.param]
    on = spec.format(bert=tiny_folder("bert"), mpnet=tiny_folder("mpnet"))
    out = tmp_path_factory.mktemp("fit") / request.param
    made = run("fit", *args, "-m", on, "-d", data, "--dims", "16,8", "--steps", 4, "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == str(out)
    return request.param, out, made.stderr


def test_sentence_transformers_opens_it(saved: tuple[str, Path, str]) -> None:
    name, folder, _ = saved
    model = SentenceTransformer(str(folder), trust_remote_code=name != "linear", device="cpu")
    names = [type(module).__name__ for module in model]
    expected = {
        "linear": ["Transformer", "Pooling", "Normalize", "LayerNorm", "Dense", "Normalize"],
        "mlp": ["Transformer", "Pooling", "Normalize", "AdaptorModule", "Normalize"],
        "attention": ["FusedModule", "AdaptorModule", "Normalize"],
    }
    assert names == expected[name]
    vectors = model.encode_query(TEXTS, show_progress_bar=False)
    assert vectors.shape == (6, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    # Truncating works, and leaves scaling to the caller.
    short = model.encode_query(TEXTS, show_progress_bar=False, truncate_dim=8, normalize_embeddings=True)
    assert short == pytest.approx(vectors[:, :8] / np.linalg.norm(vectors[:, :8], axis=1, keepdims=True), abs=1e-5)


def test_our_loader_opens_it_as_what_it_was(saved: tuple[str, Path, str]) -> None:
    name, folder, _ = saved
    opened = open_adapted(folder, OPTIONS)
    module: Adaptor = opened.encoder.module
    assert type(module) is FITS[name][2]
    assert not module.training
    model = SentenceTransformer(str(folder), trust_remote_code=name != "linear", device="cpu")
    ours = AdaptedModel(FusedModel(opened.readers, opened.encoder.fusion), opened.encoder)
    expected = model.encode_document(TEXTS, show_progress_bar=False)
    assert np.abs(ours.encode_document(TEXTS) - expected).max() < 1e-5


# What `modules.json` called our classes before it named them by their packages.
OLD_NAMES = {
    "surgery.FusedModule": "surgery.fused_module.FusedModule",
    "adaptors.AdaptorModule": "adaptors.adaptor_module.AdaptorModule",
}


def test_a_folder_saved_under_the_old_names_still_opens(saved: tuple[str, Path, str], tmp_path: Path) -> None:
    name, folder, _ = saved
    old = shutil.copytree(folder, tmp_path / name)
    text = (old / "modules.json").read_text()
    assert any(own in text for own in OLD_NAMES) == (name != "linear")
    for own, before in OLD_NAMES.items():
        text = text.replace(f'"{own}"', f'"{before}"')
    (old / "modules.json").write_text(text)
    models = [SentenceTransformer(str(one), trust_remote_code=name != "linear", device="cpu") for one in (folder, old)]
    expected, found = (model.encode_query(TEXTS, show_progress_bar=False) for model in models)
    assert (found == expected).all()
    assert np.abs(load_encoder(str(old), OPTIONS).encode_query(TEXTS) - expected).max() < 1e-5
    (tmp_path / "scratch").mkdir()
    trainable = open_trainable(str(old), tmp_path / "scratch")
    assert trainable.is_plain == (name == "linear")
    assert np.abs(trainable.model.encode_query(TEXTS, show_progress_bar=False) - expected).max() < 1e-5


def test_rank_scores_it_as_the_fit_said(saved: tuple[str, Path, str], data: Path) -> None:
    name, folder, said = saved
    ranked = run("rank", folder, "-d", data, "--no-store", "--format", "json", app="probe")
    assert ranked.exit_code == 0, ranked.stderr
    (row,) = json.loads(ranked.stdout)["rows"]
    labels = "train" if "--labels" in FITS[name][0] else "none"
    assert (row["adaptor"], row["labels"], row["dim"], row["transductive"]) == (name, labels, 16, True)
    assert f"{name} to 16 dimensions: ndcg@10 {row['scores']['ndcg@10']:.4f}" in said


def test_the_training_is_told_in_a_table_and_in_the_card(saved: tuple[str, Path, str]) -> None:
    name, folder, said = saved
    judged = "--labels" in FITS[name][0]
    assert ("nDCG@10 16" in said) == judged
    assert "held-out loss" in said
    card = (folder / "README.md").read_text()
    assert ("| epoch | train loss | held-out loss | nDCG@10 16 | nDCG@10 8 |" in card) == judged
    assert ("relevance labels of its train split" in card) == judged
    assert ("trust_remote_code" in card) == (name != "linear")
    assert ("weights " in said) == (name == "attention")


def test_modules_that_are_no_adaptor_are_refused(saved: tuple[str, Path, str], tmp_path: Path) -> None:
    _, folder, _ = saved
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    told = json.loads((folder / "adaptor.json").read_text())
    (other / "adaptor.json").write_text(json.dumps({**told, "top": ["1_Pooling"]}))
    with pytest.raises(ModelError, match="unexpected modules on top"):
        open_adapted(other, OPTIONS)


def test_an_adaptor_of_another_width_is_refused(saved: tuple[str, Path, str], tmp_path: Path) -> None:
    name, folder, _ = saved
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    place = json.loads((folder / "adaptor.json").read_text())["top"][-1]
    if name == "linear":
        write_dense(DenseLayer(np.zeros((16, 8), np.float32), np.zeros(8, np.float32)), other / place)
    else:
        write_network(Mlp(16, 8), other / place)
    with pytest.raises(ModelError, match=r"expects 16 dimensions, but its models give|cannot read a LayerNorm"):
        open_adapted(other, OPTIONS)


@pytest.fixture(scope="module")
def board(tiny_folder: Callable[[str], Path], data: Path) -> dict[str, list[dict[str, object]]]:
    on = f"{tiny_folder('bert')}@3:mean+{tiny_folder('mpnet')}@1:cls"
    done = run(
        *("rank", "-m", on, "-m", f"{tiny_folder('bert')}@3:mean", "-d", data, "--dims", "16,8", "--steps", 2),
        *("--labels", "train", "--no-store", "--format", "json"),
    )
    assert done.exit_code == 0, done.stderr
    found: dict[str, list[dict[str, object]]] = json.loads(done.stdout)
    return found


def test_the_ladder_has_every_rung_with_and_without_labels(board: dict[str, list[dict[str, object]]]) -> None:
    on_fusion = [row for row in board["rows"] if "+" in str(row["encoder"])]
    rungs = {(row["adaptor"], row["labels"]) for row in on_fusion if row["adaptor"]}
    networks = {"rotation", "linear", "scalar-mix", "attention", "residual", "mlp", "autoencoder"}
    blind = {"truncate", "pca", "spectral", "lens", "distil", *networks}
    assert rungs == {*((kind, "none") for kind in blind), *((kind, "train") for kind in networks)}
    assert len(on_fusion) == 1 + 2 * len(rungs)
    assert all(row["pca_delta"] is not None for row in on_fusion if row["adaptor"] not in (None, "pca"))


def test_what_was_left_out_is_told_with_the_reason(board: dict[str, list[dict[str, object]]]) -> None:
    alone = {row["adaptor"] for row in board["rows"] if "+" not in str(row["encoder"])}
    assert not alone & {"scalar-mix", "attention", "lens"}
    told = "\n".join(board["settings"]["adaptors"])  # type: ignore[call-overload]
    assert "skipped: attention: it weights several hookpoints" in told
    assert "skipped: lens: nothing to map" in told
    assert "variance unexplained" in told
    assert "attention on" in told


def test_a_training_that_comes_to_nothing_leaves_the_others(
    tiny_folder: Callable[[str], Path], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adaptors.fitting import network as fit_network

    def collapse(*args: object, **named: object) -> None:
        raise TrainingError("mlp collapsed")

    monkeypatch.setattr(fit_network, "train", collapse)
    on = ["-m", f"{tiny_folder('bert')}@2:mean", "-d", data, "--dims", "8", "--no-store"]
    done = run("rank", *on, "--kinds", "mlp,spectral", "--format", "json")
    found = json.loads(done.stdout)
    assert {row["adaptor"] for row in found["rows"]} == {None, "pca", "spectral"}
    assert "skipped: mlp: mlp collapsed" in "\n".join(found["settings"]["adaptors"])


def test_a_fit_that_collapses_failed_and_was_no_wrong_call(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from adaptors.fitting import network as fit_network

    def collapse(*args: object, **named: object) -> None:
        raise TrainingError("mlp collapsed")

    monkeypatch.setattr(fit_network, "train", collapse)
    on = ["-m", f"{tiny_folder('bert')}@2:mean", "-d", data, "--dims", "8", "--no-store"]
    done = run("fit", "mlp", *on, "-o", tmp_path / "out")
    assert (done.exit_code, "mlp collapsed" in done.stderr, list(tmp_path.iterdir())) == (1, True, [])


def test_the_originals_are_kinds(tiny_folder: Callable[[str], Path], data: Path) -> None:
    on = ["-m", f"{tiny_folder('bert')}@2:mean", "-d", data, "--dims", "8", "--no-store", "--steps", 2]
    done = run("rank", *on, "--kinds", "linear-original,mlp-original", "--format", "json")
    assert {row["adaptor"] for row in json.loads(done.stdout)["rows"]} == {
        None,
        "pca",
        "linear-original",
        "mlp-original",
    }


WRONG_CALLS = {
    "the judgements that are scored": (["linear", "--labels", "test"], "expected one of none, train, dev"),
    "a split that is not there": (["linear", "--labels", "dev"], "dev"),
    "labels for a closed form": (["pca", "--labels", "train"], "uses no relevance labels"),
    "no such loss": (["linear", "--loss", "hinge"], "unknown loss 'hinge': did you mean"),
    "a loss that needs labels": (["linear", "--loss", "infonce"], "--labels train"),
    "a loss for a closed form": (
        ["spectral", "--loss", "similarity"],
        "--loss does nothing with spectral, which has",
    ),
    "no such kind": (["linear-new"], "unknown adaptor 'linear-new'"),
    "one hookpoint": (["attention"], "weights several hookpoints"),
    "no steps": (["linear", "--steps", "0"], "--steps"),
}


@pytest.mark.parametrize(("options", "words"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_gets_a_message_and_exit_code_2(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    on = f"{tiny_folder('bert')}@1:mean"
    result = run("fit", *options, "-m", on, "-d", data, "--dims", 8, "--no-store", "-o", tmp_path / "out")
    assert result.exit_code == 2, result.stderr
    assert words in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_fit_has_usual_dimensions_and_a_usual_folder(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bert = tiny_folder("bert")
    usual = ("pca", f"{bert}@2", "-d", data, "--no-store", "--metric", "recall@5", "--query-prompt", "find: ")
    made = run("fit", *usual, "--similarity", "dot", "--limit", 20)
    assert made.exit_code == 0, made.stderr
    assert made.stdout == f"{bert.name}-2-pca\n"
    said = [line for line in made.stderr.splitlines() if "recall@5" in line]
    assert all(any(f"pca to {dim} dimensions: recall@5" in line for line in said) for dim in (32, 16, 8))
    folder = tmp_path / f"{bert.name}-2-pca"
    assert SentenceTransformer(str(folder), device="cpu").prompts["query"] == "find: "
    again = run("fit", *usual)
    assert (again.exit_code, "exists" in again.stderr) == (2, True)


NAMES = {
    "minilm": "minilm-lens",
    "minilm@5:mean": "minilm-5-lens",
    "owner/model@5": "model-5-lens",
    "a@5+b@3:cls": "a-5+b-3-lens",
    "mine=./folder@5": "mine-lens",
}


@pytest.mark.parametrize(("spec", "name"), NAMES.items())
def test_folders_are_named_after_the_encoder_and_the_kind(spec: str, name: str) -> None:
    assert name_adaptor(spec, "lens") == name


def test_the_embeddings_are_no_encoder_to_save(tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path) -> None:
    spec = f"{tiny_folder('bert')}@0:mean"
    result = run("fit", "pca", spec, "-d", data, "--no-store", "-o", tmp_path / "out")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert "is layer 0, the embeddings only, not an encoder: expected layer 1 or higher" in result.stderr
    assert run("rank", spec, "-d", data, "--no-store", "--kinds", "pca").exit_code == 0


def test_a_fit_in_python_is_checked_when_it_is_saved(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = fit("pca", f"{tiny_folder('bert')}@2:mean", data, dims=8)
    assert fitted.save(tmp_path / "out").is_dir()
    monkeypatch.setattr(Projection, "forward", lambda module, states: -states[:, :8])
    with pytest.raises(ModelError, match="saved model's vectors differ"):
        fitted.save(tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_lens_is_held_against_the_full_model_on_the_screen_and_in_the_card(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path
) -> None:
    model, out = tiny_folder("bert"), tmp_path / "out"
    made = run("cut", "-m", model, "--after", 1, "--lens", "-d", data, "--no-store", "-o", out, app="surgery")
    assert made.exit_code == 0, made.stderr
    full, cut = f"{model}@3:mean", f"{model}@1:mean"
    told = [line for line in made.stderr.splitlines() if ": ndcg@10" in line]
    assert [line for line in told if not line.endswith(f" to {full})")] == [
        line for line in told if line.startswith(f"{full}, frozen")
    ]
    assert sum(line.startswith(f"{cut}, ") for line in told) == 2
    card = (out / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in card.splitlines() if f" {full} " in line and line.startswith("|")]
    assert "baseline" in row


def test_a_model_in_the_place_of_the_kind_is_explained() -> None:
    result = CliRunner().invoke(cli.adaptors_app, ["fit", "minilm", "-d", "docstrings"])
    assert (result.exit_code, "expected adaptors fit KIND [MODEL], kind first" in result.stderr) == (2, True)
