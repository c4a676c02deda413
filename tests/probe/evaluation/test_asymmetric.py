"""Asymmetric search: one encoder's queries in another one's index."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_data import make_dataset
from tiny_models import write_model
from typer.testing import CliRunner, Result

import cli
from adaptors.encoders.specs import resolve_sides
from probe.data.dataset import Dataset
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric
from probe.evaluation.evaluate import evaluate
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions

pytestmark = pytest.mark.usefixtures("quick_checks")

NDCG = Metric("ndcg", 10)
OPTIONS = LoadOptions(dtype="float32", device="cpu")


class TwoSided:
    """The definition."""

    def __init__(self, queries: HookpointEncoder, documents: HookpointEncoder) -> None:
        self.encode_query = queries.encode_query
        self.encode_document = documents.encode_document


def run(app: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


def test_queries_of_one_layer_search_documents_of_another(model: LoadedModel, dataset: Dataset) -> None:
    name, reader = model.source.name, LayerReader(model)
    resolved = resolve_sides(f"{name}@1:mean", f"{name}@3:mean", OPTIONS)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    rows = {row.encoder: row for row in board.rows}
    pair = f"{name}@1:mean > {name}@3:mean"
    assert set(rows) == {f"{name}@1:mean", f"{name}@3:mean", pair}
    definition = TwoSided(HookpointEncoder(reader, 1, "mean"), HookpointEncoder(reader, 3, "mean"))
    expected = evaluate(definition, dataset, [NDCG], name="pair").mean(NDCG)
    assert rows[pair].scores["ndcg@10"] == pytest.approx(expected, abs=1e-6)
    assert rows[f"{name}@3:mean"].delta is None
    assert rows[pair].dim == 32


def test_each_encoder_reads_its_own_side_only(
    model: LoadedModel, dataset: Dataset, tiny_folder: Callable[[str], Path]
) -> None:
    resolved = resolve_sides(f"{model.source.name}@1:mean", f"{tiny_folder('mpnet')}@2:mean", OPTIONS)
    pairs = [pair for pair in resolved.fusions if isinstance(pair, Asymmetric)]
    steps: set[str] = set()
    options = RunOptions(progress=lambda step, done, total: steps.add(step))
    alone = [Candidate(candidate.reader, ()) for candidate in resolved.candidates]
    rank_candidates(alone, dataset, str(pairs[0]), options=options, fusions=pairs)
    assert steps == {f"queries ({model.source.name})", "documents"}


def test_the_same_encoder_on_both_sides_is_that_encoder(model: LoadedModel, dataset: Dataset) -> None:
    spec = f"{model.source.name}@2:mean"
    resolved = resolve_sides(spec, spec, OPTIONS)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), fusions=resolved.fusions)
    scores = {tuple(row.scores.values()) for row in board.rows}
    assert len(scores) == 1


def test_a_cut_with_its_lens_searches_the_full_models_index(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model, data, out = tiny_folder("bert"), make_dataset(tmp_path / "tiny"), tmp_path / "lensed"
    made = run("surgery", "cut", "-m", model, "--after", 2, "--lens", "-d", data, "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    call = ["rank", "--queries", out, "--documents", model, "-d", data, "--no-store", "--format", "json"]
    board = json.loads(run("probe", *call).stdout)
    rows = {row["encoder"]: row for row in board["rows"]}
    pair = rows[f"{out} > {model}@3:mean"]
    assert (pair["adaptor"], pair["transductive"]) == ("lens", True)
    assert pair["scores"]["ndcg@10"] > 0
    assert np.isfinite(pair["ms_per_text"])


def test_spaces_of_different_dimension_are_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    wide = write_model(tmp_path / "wide", "bert", hidden_size=64)
    data = make_dataset(tmp_path / "tiny")
    result = run("probe", "rank", "--queries", wide, "--documents", tiny_folder("bert"), "-d", data, "--no-store")
    assert (result.exit_code, "the same space" in result.stderr) == (2, True)


WRONG_CALLS = [
    ["--queries", "{m}"],
    ["--documents", "{m}"],
    ["{m}", "--queries", "{m}@1", "--documents", "{m}"],
    ["--queries", "{m}@all", "--documents", "{m}"],
    ["--queries", "{m}@1", "--documents", "{m}", "--fuse-runs", "rrf"],
    [],
]


@pytest.mark.parametrize("options", WRONG_CALLS)
def test_wrong_calls(tiny_folder: Callable[[str], Path], tmp_path: Path, options: list[str]) -> None:
    data = make_dataset(tmp_path / "tiny")
    typed = [option.format(m=tiny_folder("bert")) for option in options]
    result = run("probe", "rank", *typed, "-d", data, "--no-store")
    assert result.exit_code == 2
    assert "internal error" not in result.stderr


def test_a_side_of_a_pair_is_one_hookpoint(model: LoadedModel) -> None:
    with pytest.raises(CallError, match="per side"):
        resolve_sides(f"{model.source.name}@1+{model.source.name}@2", f"{model.source.name}@all", OPTIONS)
