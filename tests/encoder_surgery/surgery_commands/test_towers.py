"""Towers as a user types them: what works on the text tower, what is refused in a line, and surgery on either."""

import json
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset, write_lines
from tiny_images import draw_shapes
from tiny_towers import PROJECTION, make_towers, write_towers
from typer.testing import CliRunner, Result

import cli
from probe.encoding.tower_reader import TowerReader
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint
from probe.layers.layer_stack import LayerStack
from probe.layers.operations import count_flops
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.tower_loading import LoadedTower
from probe.scale.plan import PlanRequest
from probe.scale.planner import plan_sweep
from surgery.cutting.cut import cut
from surgery.fusing.folder import save
from surgery.fusing.model import FusedModel

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(program: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{program}_app"), [str(arg) for arg in args], prog_name=program)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("towers")
    return cache(lambda kind: write_towers(root / kind, kind))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A data set for every command, of texts but for the shapes."""
    root = tmp_path_factory.mktemp("data")
    labelled = [f"{number} {colour},{colour}" for number in range(6) for colour in ("red", "green")]
    return {
        "tiny": str(make_dataset(root / "tiny")),
        "labels": str(write_lines(root / "labels.csv", ["text,label", *labelled])),
        "pairs": str(write_lines(root / "p.csv", ["sentence1,sentence2,score", "red,green,1", "red,ring,2", "a,of,3"])),
        "shapes": str(draw_shapes(root / "shapes", count=6)),
    }


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)


@pytest.mark.parametrize(("kind", "tower"), [("clip", "image"), ("siglip", "text")])
def test_cut_saves_checks_in_a_fresh_process_and_prints_the_folder(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, tower: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("surgery", "cut", "--model", f"{folder(kind)}@{tower}", "--after", 1)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == f"{kind}-{tower}-after-1"
    assert "fresh process" in result.stderr
    assert f"probe layers --model {kind}-{tower}-after-1@{tower} " in result.stderr
    told = json.loads((tmp_path / f"{kind}-{tower}-after-1" / "surgery.json").read_text())
    assert (told["tower"], told["blocks"]) == (tower, [1])


@pytest.mark.usefixtures("unchecked")
def test_keep_names_its_folder_after_the_tower_and_the_blocks(
    folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("surgery", "keep", "-m", f"{folder('siglip')}@image", "--blocks", "1,3", "--pooling", "head")
    assert result.stdout.strip() == "siglip-image-1-3"
    assert load_model("./siglip-image-1-3@image", LoadOptions("float32", "cpu")).depth == 2


@pytest.mark.usefixtures("unchecked")
def test_the_layers_of_a_cut_tower_are_read_like_any(
    folder: Callable[[str], Path], data: dict[str, str], tmp_path: Path
) -> None:
    out = tmp_path / "short"
    run("surgery", "cut", "-m", f"{folder('clip')}@text", "--after", 1, "-o", out)
    ask = ["-d", data["tiny"], "--no-store", "--dtype", "float32", "-f", "json"]
    whole = json.loads(run("probe", "layers", "-m", f"{folder('clip')}@text", *ask).stdout)["rows"]
    short = json.loads(run("probe", "layers", "-m", f"{out}@text", *ask).stdout)["rows"]
    scores = [{row["layer"]: row["scores"] for row in rows} for rows in (whole, short)]
    assert scores[1] == {layer: scores[0][layer] for layer in (0, 1)}


# What is asked, and what the answer says; MODEL stands for the folder of a two-tower model, DATA for that of the data.
REFUSED = {
    "a tower of a model of one": ("probe layers -m minilm@image", "'minilm' is not a two-tower model: remove"),
    "a layer in one": ("probe rank minilm@image.3", "use a two-tower model, such as clip@image"),
    "no tower named": ("probe layers -m clip", "'clip' has two towers, .* choose one, such as clip@image or clip@text"),
    "no tower of a folder": ("probe rank MODEL/clip -d DATA/tiny", "choose one, such as .*/clip@image or .*/clip@text"),
    "no tower to inspect": ("surgery inspect -m clip", "'clip' has two towers, .* such as clip@image or clip@text"),
    "no tower to cut": ("surgery cut -m MODEL/clip --after 1", "choose one, such as .*clip@image"),
    "no tower to plan": ("probe plan --texts 9 -m clip", "choose one, such as clip@image or clip@text"),
    "a layer too high": ("probe rank MODEL/clip@image.99 -d DATA/shapes", "layer 99 is out of range: .* 0 to 3"),
    "layers too high": ("probe layers -m MODEL/clip@image --layers 9 -d DATA/shapes", "layer 9 is out of range"),
    "a pooling beside a head": (
        "probe rank MODEL/siglip@image:last -d DATA/shapes",
        "unsupported pooling 'last' of '.*siglip@image': expected head",
    ),
    "a head beside a pooling": (
        "probe rank MODEL/clip@image:head -d DATA/shapes",
        "unsupported pooling 'head' of '.*clip@image': expected cls",
    ),
    "no such tower": ("probe rank clip@video.3", "invalid layer 'video.3' in 'clip@video.3': .*image.5 or text.5"),
    "a model of no such tower": ("probe layers -m clip@video", "unknown model 'clip@video': did you mean clip"),
    "tokens of an image": ("probe rank MODEL/clip@image:tokens -d DATA/shapes", "remove ':tokens'"),
    "an image cut short": (
        "surgery cut -m MODEL/clip@image --after 1 --max-tokens 4",
        "--max-tokens 4 does not apply to images",
    ),
    "texts in an image tower": ("probe layers -m MODEL/clip@image -d DATA/tiny", "reads images, not texts"),
    "geometry of texts": ("probe geometry -m MODEL/clip@image -d DATA/tiny", "reads images, not texts"),
    "classes of texts": ("probe classify -m MODEL/clip@image -d DATA/labels", "reads images, not texts"),
    "pairs of texts": ("probe similarity -m MODEL/clip@image -d DATA/pairs", "reads images, not texts"),
    "a plan of images": ("probe plan --texts 9 -m MODEL/clip@image", "plans are for texts: use the text tower"),
    "a fusion of towers": ("surgery fuse MODEL/clip@image+MODEL/clip@text", "'.*clip@image' is one tower of two"),
    "a fusion with a tower": ("surgery fuse minilm MODEL/clip@text.1:last", "a fusion needs single-tower models"),
    "a cut at the embeddings": ("surgery cut -m MODEL/clip@image --after 0", "has blocks 1 to 3; layer 0"),
    "a cut too high": ("surgery cut -m MODEL/clip@text --after 3", "has blocks 1 to 2"),
    "blocks that fall": ("surgery keep -m MODEL/clip@image --blocks 3,1", "in ascending order: 1,3"),
    "another pooling": ("surgery cut -m MODEL/clip@image --after 1 --pooling mean", "pools by 'cls' in its own code"),
    "a pooling for a head": ("surgery cut -m MODEL/siglip@image --after 1 --pooling cls", "expected head"),
    "a lens": (
        "surgery cut -m MODEL/clip@image --after 1 --lens -d DATA/tiny",
        "--lens needs a single-tower model",
    ),
    "a card's scores": (
        "surgery keep -m MODEL/clip@text --blocks 1 -d DATA/tiny",
        "--dataset needs a single-tower model",
    ),
    "a longest image": ("surgery cut -m MODEL/clip@image --after 1 --max-tokens 5", "does not apply to images"),
    "an adaptor on top": (
        "adaptors fit pca -m MODEL/clip@text.1 -d DATA/tiny --dims 4 -o out",
        "a two-tower model cannot have an adaptor: adaptors rank can score it",
    ),
    "a lens by another name": (
        "adaptors fit lens -m MODEL/clip@text.1+MODEL/clip@text.2 -d DATA/tiny -o out",
        "is one tower of two",
    ),
}


@pytest.mark.parametrize(("call", "said"), REFUSED.values(), ids=REFUSED)
def test_a_call_that_makes_no_sense_gets_a_line_exit_code_2_and_no_folder(
    folder: Callable[[str], Path],
    data: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    said: str,
) -> None:
    folder("siglip")
    models, places = str(folder("clip").parent), {f"DATA/{name}": path for name, path in data.items()}
    monkeypatch.chdir(tmp_path)
    words = [places.get(word, word.replace("MODEL", models)) for word in shlex.split(call)]
    result = run(*words, *(["--no-store"] if words[1] in ("layers", "rank") else []))
    last = " ".join(result.stderr.split("error:")[-1].split())
    assert result.exit_code == 2, result.stderr
    assert re.search(said, last), last
    assert result.stdout == ""
    assert len(result.stderr.split("error:")) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_fusion_of_layers_of_a_tower_is_not_saved(folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(f"{folder('clip')}@text", LoadOptions("float32", "cpu"))
    points = tuple(Hookpoint(model.source.name, layer, "last") for layer in (1, 2))
    with pytest.raises(CallError, match="is one tower of two"):
        save(FusedModel((TowerReader(model),), Fusion(points, None, "concat")), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_head_is_no_pooling_of_a_model_of_one_tower(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    result = run("surgery", "cut", "-m", tiny_folder("bert"), "--after", 1, "--pooling", "head", "-o", tmp_path / "out")
    assert (result.exit_code, "unsupported pooling 'head' of" in result.stderr) == (2, True)


READS_TEXTS = {
    "layers": ("-d tiny", lambda board: len(board["rows"]) == 3),
    "geometry": ("-d tiny", lambda board: board["rows"][-1]["dim"] == PROJECTION),
    "classify": ("-d labels --folds 2", lambda board: len(board["rows"]) >= 3),
    "similarity": ("-d pairs", lambda board: len(board["rows"]) == 3),
}


@pytest.mark.parametrize("command", READS_TEXTS)
def test_a_text_tower_reads_texts_as_any_encoder_does(
    folder: Callable[[str], Path], data: dict[str, str], command: str
) -> None:
    options, expected = READS_TEXTS[command]
    words = [data.get(word, word) for word in shlex.split(options)]
    result = run("probe", command, "-m", f"{folder('clip')}@text", *words, "--no-store", "-f", "json")
    assert result.exit_code == 0, result.stderr
    assert expected(json.loads(result.stdout)), result.stdout


def test_a_text_tower_is_ranked_beside_any_encoder(
    folder: Callable[[str], Path], data: dict[str, str], tiny_folder: Callable[[str], Path]
) -> None:
    specs = [f"{folder('clip')}@text.1", str(tiny_folder("bert"))]
    rows = json.loads(run("probe", "rank", *specs, "-d", data["tiny"], "--no-store", "-f", "json").stdout)["rows"]
    assert {row["encoder"] for row in rows} == {f"{specs[0]}:last", f"{specs[1]}@3:mean"}


def test_adaptors_are_ranked_on_a_text_tower(folder: Callable[[str], Path], data: dict[str, str]) -> None:
    asked = ["-m", f"{folder('clip')}@text.1", "-d", data["tiny"], "--dims", "4", "--no-store", "-f", "json"]
    result = run("adaptors", "rank", *asked, "--kinds", "pca,lens")
    assert result.exit_code == 0, result.stderr
    assert {row["adaptor"] for row in json.loads(result.stdout)["rows"]} >= {"pca", "lens"}


def plan(folder: Path, tokens: int) -> Any:
    model = load_model(f"{folder}@text", LoadOptions("float32", "cpu"))
    return plan_sweep(TowerReader(model), PlanRequest(100, tokens, teraflops=1.0), "probe plan")


def test_a_plan_counts_what_tokens_pass_and_siglips_fill(folder: Callable[[str], Path]) -> None:
    clip = plan(folder("clip"), 9)
    # Per block: the four maps of attention, two of the rest, and two products of 9 tokens.
    block = 2 * (4 * 24 * 24 + 2 * 24 * 40) + 4 * 9 * 24
    assert [row.flops_per_token for row in clip.rows] == [0, block, 2 * block]
    assert (clip.work.tokens_per_text, plan(folder("siglip"), 9).work.tokens_per_text) == (9, 16)


def test_modules_that_run_once_per_text_are_not_counted_per_token() -> None:
    pair = make_towers("clip")
    stack = LayerStack("text_model.encoder.layers", pair.text_model.encoder.layers, None, ())
    counted = [count_flops(pair, stack, 9, once=once)[0] for once in ((), (pair.text_projection,))]
    assert counted[0] - counted[1] == 2 * pair.text_projection.weight.numel()


def test_a_measured_plan_runs_the_tower(folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probe.scale.rate._SECONDS", 0.01)
    result = run("probe", "plan", "--texts", 100, "-m", f"{folder('siglip')}@text", "-f", "json")
    found = json.loads(result.stdout)["settings"]["rate"]
    assert (found["source"], found["texts"] > 0) == ("measured", True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time one round, where times are not what is tested."""
    monkeypatch.setattr("surgery.inspection._ROUNDS", 1)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("spec", "projection"),
    [
        ("clip@image", "Linear"),
        ("clip@text", "Linear"),
        ("siglip@image", "SiglipMultiheadAttentionPoolingHead"),
        ("siglip@text", "Linear"),
    ],
)
def test_inspect_tells_of_one_tower_what_each_cut_would_be(
    folder: Callable[[str], Path], spec: str, projection: str
) -> None:
    kind, _, tower = spec.partition("@")
    inner = {"image": "vision_model", "text": "text_model"}[tower]
    name = f"{folder(kind)}@{tower}"
    found = json.loads(run("surgery", "inspect", "-m", name, "-f", "json").stdout)
    assert (found["tower"], found["path"]) == (tower, f"{inner}.encoder.layers")
    assert (found["norm_policy"], found["projection"]) == ("LayerNorm, applied at every depth", [projection])
    assert set(found["unread"]) <= {"logit_scale", "logit_bias"}
    model = load_model(name, LoadOptions("float32", "cpu"))
    assert isinstance(model, LoadedTower)
    assert [cost["parameters"] for cost in found["cuts"]] == list(model.parameters)
    assert found["cuts"][-1]["parameters"] - found["cuts"][1]["parameters"] == (
        cut(model, model.depth).parameters[-1] - cut(model, 1).parameters[-1]
    )
    assert all(cost["milliseconds"] > 0 for cost in found["cuts"])


@pytest.mark.usefixtures("quick")
def test_inspect_says_which_tower_its_numbers_are_of(folder: Callable[[str], Path]) -> None:
    table = run("surgery", "inspect", "-m", f"{folder('clip')}@image").stdout
    assert "ms/image" in table
    assert "pooling cls, 17 tokens per image" in table
    assert "numbers are for the image tower only: a cut keeps the text tower complete" in table
    assert "ms per image" in table
    texts = run("surgery", "inspect", "-m", f"{folder('clip')}@text").stdout
    assert "ms per text of about 16 tokens" in texts


def test_models_says_which_have_two_towers() -> None:
    known = {entry["alias"]: entry for entry in json.loads(run("probe", "models", "-f", "json").stdout)}
    assert (known["clip"]["pooling"], known["clip"]["max_tokens"]) == (None, 77)
    assert (known["siglip"]["pooling"], known["siglip"]["max_tokens"]) == (None, 64)
    assert [alias for alias, entry in known.items() if entry["pooling"] is None] == ["clip", "siglip"]
    table = " ".join(run("probe", "models").stdout.split())
    assert "clip sentence-transformers/clip-ViT-B-32 two towers 77" in table
    assert "choose one, such as clip@image or clip@text" in table
