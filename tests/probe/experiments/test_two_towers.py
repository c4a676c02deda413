"""Layers of two towers in a leaderboard: images find captions, captions find images."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_data import make_dataset
from tiny_images import draw_shapes
from tiny_models import write_model
from tiny_towers import write_towers
from typer.testing import CliRunner, Result

import cli
from adaptors.encoders.specs import resolve_sides, resolve_specs
from probe.data.dataset import Dataset
from probe.encoding import tower_reader
from probe.encoding.chunk_states import RunContext, prompted_documents, read_states
from probe.encoding.opening import open_reader
from probe.errors import CallError
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.experiments.specs import pair_towers
from probe.experiments.two_towers import open_towers, rank_towers
from probe.metrics.vectors import Embeddings
from probe.models.options import LoadOptions
from probe.results.charts import chart_leaderboard
from probe.results.leaderboard import Leaderboard
from probe.sources.loading import load_dataset
from probe.store.chunk_file import dequantize, quantize
from probe.store.store import Store

OPTIONS = LoadOptions(dtype="float32", device="cpu")
RECALL_1 = "recall@1"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_towers(tmp_path_factory.mktemp("towers") / "clip"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(draw_shapes(tmp_path_factory.mktemp("data") / "shapes", 60))


def embed(clip: str, tower: str, dataset: Dataset, layer: int, pooling: str) -> Embeddings:
    """Embed one side, rounded as a sweep rounds."""
    documents = (tower == "image") == (dataset.images == "documents")
    side = dataset.documents if documents else dataset.queries
    states = open_reader(f"{clip}@{tower}", OPTIONS).read([text for _, text in side], "", [(layer, pooling)])
    return dequantize(quantize(states.vectors[layer, pooling]))


def recall_at(cutoff: int, queries: Embeddings, documents: Embeddings, dataset: Dataset) -> float:
    """The definition, with loops: ties are ranked by id, descending."""
    names = [name for name, _ in dataset.documents]
    found = []
    for (query, _), vector in zip(dataset.queries, queries.astype(float), strict=True):
        scored = []
        for name, other in zip(names, documents.astype(float), strict=True):
            cosine = sum(vector * other) / (sum(vector * vector) ** 0.5 * sum(other * other) ** 0.5)
            scored.append((float(np.float32(cosine)), name))
        best = [name for _, name in sorted(scored, reverse=True)[:cutoff]]
        relevant = dataset.qrels[query]
        found.append(sum(name in relevant for name in best) / len(relevant))
    return sum(found) / len(found)


def rank_both(clip: str, dataset: Dataset, layers: str = "all", store: Store | None = None) -> Leaderboard:
    from probe.metrics.retrieval import Metric

    options = RunOptions(Metric("recall", 1), store=store)
    return rank_towers(
        open_towers(clip, dataset, OPTIONS, store=store), dataset, layers, poolings=("own",), options=options
    )


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, [str(arg) for arg in args], prog_name="probe")


@pytest.mark.parametrize("way", ["", ":captions"])
def test_each_layer_scores_what_the_definition_says(clip: str, shapes: str, way: str) -> None:
    dataset = load_dataset(shapes + way)
    rows = {row.encoder: row for row in rank_both(clip, dataset).rows}
    expected = {("image", layer, "cls") for layer in range(4)} | {("text", layer, "last") for layer in range(3)}
    assert set(rows) == {f"{clip}@{tower}.{layer}:{pooling}" for tower, layer, pooling in expected}
    whole = {
        tower: embed(clip, tower, dataset, *last) for tower, last in (("image", (3, "cls")), ("text", (2, "last")))
    }
    for tower, layer, pooling in expected:
        row = rows[f"{clip}@{tower}.{layer}:{pooling}"]
        sides = whole | {tower: embed(clip, tower, dataset, layer, pooling)}
        searched, asked = ("image", "text") if dataset.images == "documents" else ("text", "image")
        for cutoff in (1, 100):
            found = recall_at(cutoff, sides[asked], sides[searched], dataset)
            assert row.scores[f"recall@{cutoff}"] == pytest.approx(found, abs=1e-6)
        assert (row.layer, row.pooling, row.dim) == (layer, pooling, 16)


def test_the_baseline_is_both_towers_whole(clip: str, shapes: str) -> None:
    board = rank_both(clip, load_dataset(shapes))
    rows = {row.encoder: row for row in board.rows}
    assert board.settings["baseline"] == f"{clip}@image.3:cls"
    assert rows[f"{clip}@image.3:cls"].delta is None
    same = rows[f"{clip}@text.2:last"]
    assert (same.delta, same.p_value) == (0.0, 1.0)
    assert same.scores == rows[f"{clip}@image.3:cls"].scores
    assert "full other tower" in board.settings["towers"]
    assert [model["name"] for model in board.settings["models"]] == [f"{clip}@image", f"{clip}@text"]


def test_the_cost_of_a_row_is_that_of_both_towers(clip: str, shapes: str) -> None:
    rows = {row.encoder: row for row in rank_both(clip, load_dataset(shapes)).rows}
    image, text = (open_reader(f"{clip}@{tower}", OPTIONS).model.parameters for tower in ("image", "text"))
    assert rows[f"{clip}@image.1:cls"].parameters == image[1] + text[-1]
    assert rows[f"{clip}@text.1:last"].parameters == image[-1] + text[1]
    milliseconds = [rows[f"{clip}@image.{layer}:cls"].ms_per_text or 0.0 for layer in range(4)]
    assert milliseconds == sorted(milliseconds)
    assert rows[f"{clip}@text.0:last"].ms_per_text == rows[f"{clip}@image.3:cls"].ms_per_text


def test_images_pass_through_their_tower_once(clip: str, shapes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = tower_reader.open_image
    monkeypatch.setattr(tower_reader, "open_image", lambda image: (opened.append(image), real(image))[1])
    dataset = load_dataset(shapes)
    rank_both(clip, dataset)
    assert sorted(opened) == sorted(text for _, text in dataset.documents)


def test_a_tower_is_not_run_on_the_side_it_does_not_read(clip: str, shapes: str) -> None:
    from probe.metrics.retrieval import Metric

    steps: set[str] = set()
    dataset = load_dataset(shapes)
    options = RunOptions(Metric("recall", 1), progress=lambda step, done, total: steps.add(step))
    rank_towers(open_towers(clip, dataset, OPTIONS), dataset, "1", poolings=("own",), options=options)
    assert steps == {f"queries ({clip}@text)", "documents"}


def test_states_of_a_head_are_rounded_as_those_of_a_pooling(shapes: str, tmp_path: Path) -> None:
    siglip = write_towers(tmp_path / "siglip", "siglip")
    dataset = load_dataset(shapes)
    reader = open_reader(f"{siglip}@image", OPTIONS)
    exact = reader.read([text for _, text in dataset.documents], "", [(2, "head")]).vectors[2, "head"]
    for store in (None, Store(tmp_path / "store"), Store(tmp_path / "store")):
        (chunk,) = read_states(reader, prompted_documents(reader, dataset), [(2, "head")], context=RunContext(store))
        assert np.array_equal(chunk.vectors[2, "head"], dequantize(quantize(exact)))


def test_the_longest_input_is_that_of_texts(clip: str, shapes: str) -> None:
    done = run("layers", "--model", clip, "--dataset", shapes, "--max-tokens", 6, "--no-store", "--format", "json")
    assert done.exit_code == 0, done.output
    models = {model["name"]: model for model in json.loads(done.stdout)["settings"]["models"]}
    assert models[f"{clip}@text"]["max_tokens"] == 6
    assert models[f"{clip}@text"]["truncated_queries"] == 30
    assert models[f"{clip}@image"]["max_tokens"] == 17


def test_a_table_is_the_same_cold_warm_and_without_a_store(clip: str, shapes: str, tmp_path: Path) -> None:
    dataset = load_dataset(shapes)
    boards = [rank_both(clip, dataset, store=store) for store in (None, Store(tmp_path), Store(tmp_path))]
    told = [[(row.encoder, row.scores, row.ci95, row.p_value) for row in board.rows] for board in boards]
    assert told[0] == told[1] == told[2]


def test_a_warm_table_opens_no_image(clip: str, shapes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(shapes)
    rank_both(clip, dataset, store=Store(tmp_path))
    monkeypatch.setattr(tower_reader, "open_image", lambda image: pytest.fail(f"opened {image}"))
    monkeypatch.setattr("probe.encoding.opening.load_files", lambda *args: pytest.fail("loaded"))
    rank_both(clip, dataset, store=Store(tmp_path))


def test_a_changed_image_is_read_again(clip: str, shapes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = shutil.copytree(shapes, tmp_path / "shapes")
    rank_both(clip, load_dataset(str(copy)), store=Store(tmp_path / "store"))
    Image.new("RGB", (32, 32), "orange").save(copy / next(name for name, _ in load_dataset(str(copy)).documents))
    opened: list[str] = []
    real = tower_reader.open_image
    monkeypatch.setattr(tower_reader, "open_image", lambda image: (opened.append(image), real(image))[1])
    rank_both(clip, load_dataset(str(copy)), store=Store(tmp_path / "store"))
    assert len(opened) == 30


def test_curves_are_those_of_the_towers(clip: str, shapes: str) -> None:
    board = rank_both(clip, load_dataset(shapes))
    assert {curve.name for curve in chart_leaderboard(board).curves} == {f"{clip}@image:cls", f"{clip}@text:last"}


def test_one_tower_by_name_is_swept_alone(clip: str, shapes: str) -> None:
    dataset = load_dataset(shapes)
    rows = rank_towers(open_towers(f"{clip}@text", dataset, OPTIONS), dataset, "0-1", poolings=("mean", "own")).rows
    assert {row.encoder for row in rows} == {
        f"{clip}@text.{place}" for place in ("0:mean", "1:mean", "0:last", "1:last", "2:last")
    }


def test_specs_of_towers_are_ranked_side_by_side(clip: str, shapes: str) -> None:
    dataset = load_dataset(shapes)
    both = {row.encoder: row.scores for row in rank_both(clip, dataset).rows}
    resolved = pair_towers(resolve_specs([f"{clip}@image.1:cls", f"{clip}@text.0-1"], OPTIONS), dataset, OPTIONS)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    assert board.settings["baseline"] == f"{clip}@image.1:cls"
    assert {row.encoder for row in board.rows} == {
        f"{clip}@{place}" for place in ("image.1:cls", "text.0:last", "text.1:last")
    }
    for row in board.rows:
        assert row.scores["recall@100"] == both[row.encoder]["recall@100"]


def test_two_inner_layers_are_compared_as_sides(clip: str, shapes: str) -> None:
    dataset = load_dataset(shapes)
    resolved = pair_towers(resolve_sides(f"{clip}@text.1", f"{clip}@image.2:mean", OPTIONS), dataset, OPTIONS)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    rows = {row.encoder: row for row in board.rows}
    pair = rows[f"{clip}@text.1:last > {clip}@image.2:mean"]
    queries, documents = embed(clip, "text", dataset, 1, "last"), embed(clip, "image", dataset, 2, "mean")
    assert pair.scores["recall@100"] == 1.0
    assert len(rows) == 3
    from probe.metrics.retrieval import Metric

    board = rank_candidates(
        resolved.candidates,
        dataset,
        str(resolved.baseline),
        options=RunOptions(Metric("recall", 1)),
        fusions=resolved.fusions,
    )
    found = next(row for row in board.rows if ">" in row.encoder).scores[RECALL_1]
    assert found == pytest.approx(recall_at(1, queries, documents, dataset), abs=1e-6)


def test_the_text_tower_reads_texts_like_any_encoder(clip: str, tmp_path: Path) -> None:
    texts = make_dataset(tmp_path / "texts")
    done = run("layers", "--model", f"{clip}@text", "--dataset", texts, "--no-store", "--format", "json")
    assert done.exit_code == 0, done.output
    assert {row["encoder"] for row in json.loads(done.stdout)["rows"]} == {f"{clip}@text.{k}:last" for k in range(3)}


def test_the_command_sweeps_both_towers(clip: str, shapes: str) -> None:
    command = ("layers", "--model", clip, "--dataset", f"{shapes}:captions", "--no-store", "--dtype", "float32")
    done = run(*command, "--metric", "success@1", "--format", "json")
    assert done.exit_code == 0, done.output
    told: dict[str, Any] = json.loads(done.stdout)
    assert len(told["rows"]) == 7
    assert told["settings"]["dataset"]["name"] == "shapes:captions"
    table = run(*command, "--details")
    assert table.exit_code == 0
    assert "a layer of one tower is compared with the full other tower" in " ".join(table.stdout.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("layers", "--model", "BERT"),
            "has images, but 'BERT' supports only text: use a two-tower model, such as clip",
        ),
        (("rank", "BERT@1"), "'BERT' supports only text, but the data set has images"),
        (("layers", "--model", "BERT@image"), "'BERT' is not a two-tower model: remove '@image'"),
        (("rank", "BERT@image.3:cls"), "'BERT' is not a two-tower model: remove '@image'"),
        (("rank", "CLIP"), "'CLIP' has two towers, for images and texts: choose one, such as CLIP@image"),
        (("rank", "CLIP@video.3"), "invalid layer 'video.3' in 'CLIP@video.3'"),
        (("rank", "CLIP@image.9"), "layer 9 is out of range: the model has layers 0 to 3"),
        (("rank", "CLIP@image.1+CLIP@image.2"), "is not a hookpoint of a tower"),
        (("rank", "CLIP@image.1:tokens"), "no projection into the common space"),
        (("rank", "--queries", "CLIP@image", "--documents", "CLIP@text"), "reads images, not texts"),
        (("layers", "--model", "CLIP", "--lens"), "--lens, --static and --recommend are for texts"),
        (("layers", "--model", "CLIP", "--recommend", "0.05"), "--lens, --static and --recommend are for texts"),
        (("layers", "--model", "CLIP", "--baseline", "bm25"), "contains images"),
    ],
)
def test_calls_that_are_wrong(clip: str, shapes: str, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    bert = str(write_model(tmp_path / "bert"))
    told = [word.replace("BERT", bert).replace("CLIP", clip) for word in words]
    done = run(*told, "--dataset", shapes, "--no-store")
    assert done.exit_code == 2, done.output
    assert message.replace("BERT", bert).replace("CLIP", clip) in " ".join(done.stderr.split())


def test_texts_are_not_for_an_image_tower(clip: str, tmp_path: Path) -> None:
    texts = make_dataset(tmp_path / "texts")
    done = run("layers", "--model", f"{clip}@image", "--dataset", texts, "--no-store")
    assert (done.exit_code, "reads images, not texts" in done.stderr) == (2, True)


def test_a_pair_needs_a_tower(shapes: str) -> None:
    with pytest.raises(CallError, match="'minilm' supports only text"):
        pair_towers(resolve_specs(["minilm"]), load_dataset(shapes))


def test_a_broken_image_is_named(clip: str, shapes: str, tmp_path: Path) -> None:
    copy = shutil.copytree(shapes, tmp_path / "shapes")
    name = next(name for name, _ in load_dataset(str(copy)).documents)
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    done = run("layers", "--model", clip, "--dataset", copy, "--no-store")
    assert done.exit_code == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert name in last
    assert "truncated" in last
