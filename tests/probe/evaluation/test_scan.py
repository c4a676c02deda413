"""A pass over the documents, whoever makes it: the order of the chunks is no matter."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from probe.encoding import chunk_states as states
from probe.encoding.reader import LayerReader
from probe.evaluation.scan import ChunkFound, Engine, Scan, scan_here
from probe.evaluation.scorers import VectorScorer
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.metrics.geometry import SAMPLE
from probe.results.leaderboard import Row

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.models.loaded import LoadedModel


def rank_with(model: "LoadedModel", dataset: "Dataset", engine: Engine) -> list[Row]:
    board = rank_layers(LayerReader(model), dataset, "all", poolings=["cls", "mean"], options=RunOptions(engine=engine))
    assert board.settings["models"][0]["truncated_documents"] == 0
    return [replace(row, ms_per_text=None) for row in board.rows]


def backwards(scan: Scan) -> Iterator[ChunkFound]:
    yield from reversed(list(scan_here(scan)))


def test_chunks_may_come_in_any_order(
    model: "LoadedModel", dataset: "Dataset", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "CHUNK", 8)
    assert rank_with(model, dataset, backwards) == rank_with(model, dataset, scan_here)


def test_a_pass_yields_every_chunk_with_its_place_and_cost(
    model: "LoadedModel", dataset: "Dataset", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "CHUNK", 16)
    seen: list[ChunkFound] = []

    def spy(scan: Scan) -> Iterator[ChunkFound]:
        for found in scan_here(scan):
            seen.append(found)
            yield found

    rank_with(model, dataset, spy)
    assert [(found.top.start, len(found.top.ids)) for found in seen] == [(0, 16), (16, 16), (32, 8)]
    name = model.source.name
    assert all(set(found.costs) == {name} and found.costs[name].seconds[model.depth] > 0 for found in seen)


@pytest.mark.parametrize("order", [lambda starts: starts, lambda starts: starts[::-1]], ids=["in order", "backwards"])
def test_the_corpus_first_documents_tell_of_a_collapse_in_whatever_order_they_come(
    order: Callable[[list[int]], list[int]],
) -> None:
    vectors = np.random.default_rng(0).normal(size=(2 * SAMPLE, 4)).astype(np.float32)
    vectors[:SAMPLE] = 1.0
    part, spread = VectorScorer(vectors[:1], "model"), VectorScorer(vectors[:1], "model")
    for start in order(list(range(0, len(vectors), 200))):
        part.keep_sample(start, vectors[start : start + 200])
        spread.keep_sample(start, vectors[::-1][start : start + 200])
    assert part.collapsed
    assert not spread.collapsed
