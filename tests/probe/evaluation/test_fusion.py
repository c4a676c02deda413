"""Fusions: the weighted mean of cosines is the cosine of the joined vectors, in one pass over the texts."""

from collections.abc import Callable, Sequence
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from sweeps import sweep

from probe.data.dataset import Dataset
from probe.encoding import chunk_states as states_module
from probe.encoding.chunk_states import RunContext
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric
from probe.metrics.vectors import Embeddings, unit
from probe.models.loaded import LoadedModel
from probe.results.console import draw_map
from probe.store.store import Store

NDCG = Metric("ndcg", 10)
LoadTiny = Callable[[str], LoadedModel]


class Joined:
    """The definition: unit vectors side by side."""

    def __init__(self, parts: Sequence[HookpointEncoder]) -> None:
        self._parts = parts

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        return np.hstack([unit(part.encode_query(texts)) for part in self._parts])

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        return np.hstack([unit(part.encode_document(texts)) for part in self._parts])


@pytest.fixture
def readers(load_tiny: LoadTiny) -> dict[str, LayerReader]:
    models = [load_tiny(family) for family in ("bert", "mpnet")]
    return {model.source.name: LayerReader(model) for model in models}


@pytest.fixture
def fusion(readers: dict[str, LayerReader]) -> Fusion:
    bert, mpnet = readers
    return Fusion((Hookpoint(bert, 1, "cls"), Hookpoint(bert, 3, "mean"), Hookpoint(mpnet, 2, "max")))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "CHUNK", 7)


def test_a_fusion_scores_as_the_joined_vectors(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset
) -> None:
    (ours,), _ = sweep_fusions(readers, [fusion], dataset, metrics=[NDCG], context=RunContext())
    joined = Joined([HookpointEncoder(readers[point.model], *point.layer_pooling) for point in fusion.points])
    theirs = evaluate(joined, dataset, [NDCG], name=str(fusion))
    assert ours.scores[NDCG] == pytest.approx(theirs.scores[NDCG], abs=1e-6)
    assert (ours.dim, ours.encoder, ours.hookpoint) == (theirs.dim, str(fusion), None)


def test_a_single_hookpoint_scores_as_in_a_sweep(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset
) -> None:
    point = fusion.points[1]
    evaluations, _ = sweep_fusions(readers, [Fusion((point,)), fusion], dataset, metrics=[NDCG], context=RunContext())
    alone = sweep(readers[point.model], [point], dataset, [NDCG]).evaluations[0]
    assert (evaluations[0].scores[NDCG] == alone.scores[NDCG]).all()
    assert (evaluations[0].hookpoint, evaluations[0].parameters) == (point, alone.parameters)


def test_one_pass_law_every_model_reads_every_text_once(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset
) -> None:
    rows: list[int] = []
    modules = [reader.loaded.module.get_input_embeddings() for reader in readers.values()]  # type: ignore[operator]
    handles = [m.register_forward_hook(lambda module, args, output: rows.append(len(output))) for m in modules]
    points = [Fusion((point,)) for point in fusion.points]
    sweep_fusions(readers, [*points, fusion], dataset, metrics=[NDCG], context=RunContext())
    for handle in handles:
        handle.remove()
    assert sum(rows) == 2 * (len(dataset.documents) + len(dataset.queries))


def test_cost_counts_every_model_once_to_its_deepest_layer(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset
) -> None:
    (ours,), _ = sweep_fusions(readers, [fusion], dataset, metrics=[NDCG], context=RunContext())
    bert, mpnet = (reader.model for reader in readers.values())
    assert ours.parameters == bert.parameters[3] + mpnet.parameters[2]


def test_fusions_stand_in_one_table_with_their_parts(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset
) -> None:
    candidates = [
        Candidate(reader, tuple(point for point in fusion.points if point.model == name))
        for name, reader in readers.items()
    ]
    board = rank_candidates(candidates, dataset, str(fusion), fusions=[fusion])
    assert {row.encoder for row in board.rows} == {str(fusion), *map(str, fusion.points)}
    assert next(row for row in board.rows if row.encoder == str(fusion)).delta is None
    assert len(board.settings["models"]) == 2


def test_same_table_from_the_store(
    readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    results = [
        sweep_fusions(readers, [fusion], dataset, metrics=[NDCG], context=RunContext(kept))[0][0]
        for kept in (None, store, store)
    ]
    assert all((result.scores[NDCG] == results[0].scores[NDCG]).all() for result in results)


def test_a_grid_of_layers_is_drawn_as_a_map(readers: dict[str, LayerReader], dataset: Dataset) -> None:
    bert, mpnet = readers
    grid = [Fusion((Hookpoint(bert, i, "mean"), Hookpoint(mpnet, j, "cls"))) for i in (0, 1, 3) for j in (1, 2)]
    board = rank_candidates(
        [Candidate(reader, ()) for reader in readers.values()], dataset, str(grid[-1]), fusions=grid
    )
    (grid_drawn,) = board.grids()
    table = draw_map(grid_drawn.values)
    drawn = StringIO()
    Console(file=drawn, width=400).print(table)
    lines = [line.split() for line in drawn.getvalue().splitlines()]
    scores = {row.encoder: f"{row.scores['ndcg@10']:.3f}" for row in board.rows}
    for i, row in ((0, "0"), (1, "1"), (3, "3")):
        expected = [scores[f"{bert}@{i}:mean+{mpnet}@{j}:cls"] for j in (1, 2)]
        assert [row, *expected] in lines


def test_a_few_fusions_are_no_map(readers: dict[str, LayerReader], fusion: Fusion, dataset: Dataset) -> None:
    bert, mpnet = readers
    one = Fusion((Hookpoint(bert, 1, "mean"), Hookpoint(mpnet, 1, "cls")))
    candidates = [Candidate(reader, ()) for reader in readers.values()]
    assert rank_candidates(candidates, dataset, str(one), fusions=[one, fusion]).grids() == ()
