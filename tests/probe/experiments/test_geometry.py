"""Measures of clouds of vectors against references of plain loops, and the command that prints them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli
from probe.data.dataset import Dataset
from probe.data.records import JsonLines
from probe.data.texts import Texts
from probe.encoding.chunk_states import prompted_documents, prompted_queries, read_states
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import DataError
from probe.experiments.geometry import measure_candidates, measure_geometry
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate
from probe.metrics.geometry import (
    alignment,
    dominant_dimensions,
    effective_rank,
    linear_cka,
    mean_cosine,
    singular_values,
    spectrum,
    uniformity,
)
from probe.metrics.vectors import Embeddings
from probe.models.options import LoadOptions
from probe.results.geometry import GeometryResult, GeometryRow
from probe.sources.loading import load_dataset
from probe.store.store import Store

OPTIONS = LoadOptions(dtype="float32", device="cpu")


def cloud(count: int = 12, dim: int = 5, seed: int = 0, shift: float = 0.4) -> Embeddings:
    dice = np.random.default_rng(seed)
    return (dice.normal(size=(count, dim)) * np.linspace(2, 0.5, dim) + shift).astype(np.float32)


def units(vectors: Embeddings) -> list[list[float]]:
    rows = vectors.astype(float).tolist()
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in rows]


def distance(left: list[float], right: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def test_alignment_is_the_mean_squared_distance_of_pairs() -> None:
    left, right = cloud(seed=1), cloud(seed=2)
    expected = sum(map(distance, units(left), units(right))) / len(left)
    assert alignment(left, right) == pytest.approx(expected, rel=1e-6)
    assert alignment(left, 3 * left) == pytest.approx(0, abs=1e-6)


def test_uniformity_is_the_log_of_the_mean_gaussian_potential() -> None:
    rows = units(cloud())
    terms = [math.exp(-2 * distance(rows[i], rows[j])) for i in range(12) for j in range(i)]
    assert uniformity(cloud()) == pytest.approx(math.log(sum(terms) / len(terms)), rel=1e-6)
    assert uniformity(np.ones((4, 3), np.float32)) == pytest.approx(0, abs=1e-6)


def test_the_spectrum_is_that_of_the_second_moments() -> None:
    wide = np.array(units(cloud()))
    values = np.linalg.eigvalsh(wide.T @ wide)[::-1]
    assert spectrum(singular_values(cloud())) == pytest.approx(values / values.sum(), rel=1e-5)
    assert effective_rank(cloud()) == pytest.approx(
        math.exp(-sum(s * math.log(s) for s in np.sqrt(values) / np.sqrt(values).sum())), rel=1e-5
    )


def test_dominant_dimensions_make_up_the_mean_cosine() -> None:
    vectors = cloud(40)
    vectors[:, 3] += 6
    wide = np.array(units(vectors))
    (first, share), *_ = found = dominant_dimensions(vectors, count=5)
    assert first == 3
    cosines, along = wide @ wide.T, np.outer(wide[:, 3], wide[:, 3])
    assert share == pytest.approx(along.mean() / cosines.mean(), rel=1e-5)
    assert sum(part for _, part in found) == pytest.approx(1)


def reference_cka(first: Embeddings, second: Embeddings) -> float:
    """By the kernels, where ours goes by the features (Kornblith et al., equation 3)."""
    x, y = first.astype(float), second.astype(float)
    n = len(x)
    centring = np.eye(n) - np.ones((n, n)) / n
    k, m = centring @ x @ x.T @ centring, centring @ y @ y.T @ centring
    return float(np.trace(k @ m) / math.sqrt(np.trace(k @ k) * np.trace(m @ m)))


def test_cka_is_its_definition_by_kernels() -> None:
    first, second = cloud(seed=1), cloud(dim=7, seed=2)
    found = linear_cka([first, second])
    assert found[0, 1] == found[1, 0] == pytest.approx(reference_cka(first, second), rel=1e-6)
    assert 0 < found[0, 1] < 0.9


def test_cka_with_a_rotation_scaled_and_shifted_is_one() -> None:
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(5, 5)))[0].astype(np.float32)
    assert linear_cka([cloud(), 3 * cloud() @ rotation + 2])[0, 1] == pytest.approx(1, abs=1e-6)


def test_cka_without_variance_is_zero() -> None:
    assert linear_cka([cloud(), np.ones((12, 2), np.float32)]).tolist() == [[1, 0], [0, 0]]


@pytest.fixture
def reader(tiny_folder: Callable[[str], Path]) -> LayerReader:
    return open_reader(str(tiny_folder("bert")), OPTIONS)


def everything(reader: LayerReader) -> Candidate:
    return Candidate(reader, select_hookpoints(reader.model, "all", ["mean"]))


def test_every_row_measures_its_layer(reader: LayerReader, dataset: Dataset) -> None:
    candidate = everything(reader)
    board = measure_geometry(reader, dataset, poolings=["mean"])
    places = [point.layer_pooling for point in candidate.hookpoints]
    (documents,) = read_states(reader, prompted_documents(reader, dataset), places)
    (queries,) = read_states(reader, prompted_queries(reader, dataset), places)
    ids = [name for name, _ in dataset.documents]
    pairs = [
        (dataset.queries.ids.index(query), ids.index(document))
        for query, found in dataset.qrels.items()
        for document, grade in found.items()
        if grade > 0
    ]
    assert [row.layer for row in board.rows] == [0, 1, 2, 3]
    for row, place in zip(board.rows, places, strict=True):
        vectors = documents.vectors[place]
        assert row.mean_cosine == pytest.approx(mean_cosine(vectors))
        assert row.norm == pytest.approx(float(np.linalg.norm(vectors, axis=1).mean()), rel=1e-6)
        left, right = (
            [side[n] for n in rows]
            for side, rows in zip((queries.vectors[place], vectors), zip(*pairs, strict=True), strict=True)
        )
        assert row.alignment == pytest.approx(alignment(left, right))
    cka = np.array(board.cka)
    assert cka[1, 2] == pytest.approx(
        reference_cka(documents.vectors[places[1]], documents.vectors[places[2]]), rel=1e-5
    )
    assert np.diag(cka).tolist() == [1] * 4


def test_a_large_corpus_is_sampled_evenly(
    reader: LayerReader, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    from probe.experiments import geometry as geometry_sweep

    monkeypatch.setattr(geometry_sweep, "SAMPLE", 5)
    wanted = geometry_sweep._choose(dataset)
    last = len(dataset.documents) - 1
    assert wanted.sample[0] == 0
    assert wanted.sample[-1] == last
    assert len(wanted.sample) == len(wanted.pairs) == 5
    assert measure_geometry(reader, dataset).settings["sample"] == 5


def test_without_judgements_there_is_no_alignment(reader: LayerReader, dataset: Dataset) -> None:
    none = {query: dict.fromkeys(found, 0) for query, found in dataset.qrels.items()}
    board = measure_geometry(reader, replace(dataset, qrels=none))
    assert [row.alignment for row in board.rows] == [None] * 4


def test_a_single_document_has_nothing_to_be_compared_with(reader: LayerReader, dataset: Dataset) -> None:
    single = replace(dataset, documents=Texts.gather(list(dataset.documents)[:1]))
    with pytest.raises(DataError, match="has 1 document: expected at least 2"):
        measure_geometry([reader], single)


def test_the_same_numbers_with_and_without_a_store(reader: LayerReader, dataset: Dataset, tmp_path: Path) -> None:
    cold = measure_geometry(reader, dataset)
    for _ in range(2):
        board = measure_geometry(reader, dataset, options=RunOptions(store=Store(tmp_path / "store")))
        assert (board.rows, board.cka) == (cold.rows, cold.cka)


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["geometry", *map(str, args)], prog_name="probe")


def test_the_command_prints_a_table_and_saves_json(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    data, out = make_dataset(tmp_path / "tiny"), tmp_path / "out.json"
    both = ["-m", tiny_folder("bert"), "-m", tiny_folder("mpnet")]
    shown = run(*both, "-d", data, "--no-store", "--save", out, "--details")
    assert shown.exit_code == 0, shown.stderr
    assert shown.stdout.count("CKA: layers of") == 3
    assert "spread evenly" in shown.stdout
    told = json.loads(out.read_text())
    assert (told["schema"], told["kind"], len(told["rows"])) == (1, "geometry", 8)
    assert np.array(told["cka"]).shape == (8, 8)
    again = json.loads(run(*both, "-d", data, "--no-store", "--format", "json").stdout)
    assert (again["rows"], again["cka"]) == (told["rows"], told["cka"])
    assert load_dataset(str(data)).name == told["settings"]["dataset"]["name"]


@pytest.mark.parametrize(
    "wrong", [["--save", "x.xml"], ["--format", "xml"], ["--layers", "9"], ["--save", "no/x.json"]]
)
def test_a_wrong_call_gets_exit_code_2(tiny_folder: Callable[[str], Path], tmp_path: Path, wrong: list[str]) -> None:
    result = run("-m", tiny_folder("bert"), "-d", make_dataset(tmp_path / "tiny"), "--no-store", *wrong)
    assert (result.exit_code, result.stdout) == (2, "")


def test_grids_sort_the_similarities_by_model_and_layer(reader: LayerReader, dataset: Dataset) -> None:
    candidate = everything(reader)
    two = [candidate, Candidate(reader, select_hookpoints(reader.model, "1,2", ["cls"]))]
    board = measure_candidates(two, dataset, RunOptions())
    grids = {(grid.first.rpartition(":")[2], grid.second.rpartition(":")[2]): grid.values for grid in board.grids()}
    assert list(grids) == [("mean", "mean"), ("mean", "cls"), ("cls", "cls")]
    assert grids["mean", "cls"][3, 2] == board.cka[3][5]
    assert len(grids["cls", "cls"]) == 4


def test_the_towers_of_a_model_are_groups_of_their_own() -> None:
    towers = [f"clip@{tower}.{layer}:own" for tower in ("image", "text") for layer in (0, 1)]
    measured = GeometryRow("", 0, "own", 8, 0.1, 2.0, 0.5, 1.0, 0.1, None, -1.0, (), (1.0,), False)
    rows = tuple(replace(measured, encoder=spec, layer=number % 2) for number, spec in enumerate(towers))
    cka = tuple(tuple(float(10 * i + j) for j in range(4)) for i in range(4))
    found = GeometryResult("probe geometry", "now", {}, rows, cka)
    assert list(found.by_model()) == ["clip@image:own", "clip@text:own"]
    across = next(grid for grid in found.grids() if grid.first != grid.second)
    assert across.values == {(0, 0): 2, (0, 1): 3, (1, 0): 12, (1, 1): 13}


def test_a_row_takes_one_decomposition_and_pairs_are_found_without_parsing(
    tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_dataset(str(make_dataset(tmp_path / "tiny")))
    reader = open_reader(str(tiny_folder("bert")), OPTIONS)
    calls: list[str] = []
    svd, entries = np.linalg.svd, JsonLines.entries
    monkeypatch.setattr(np.linalg, "svd", lambda *args, **options: calls.append("svd") or svd(*args, **options))
    monkeypatch.setattr(JsonLines, "entries", lambda *args: calls.append("parse") or entries(*args))
    candidate = Candidate(reader, select_hookpoints(reader.model, "1-3", ["mean"]))
    result = measure_candidates([candidate], data, RunOptions())
    assert (len(result.rows), result.settings["pairs"]) == (3, 8)
    assert calls.count("svd") == 3
    # Only to encode it.
    assert calls.count("parse") == 1
