"""Scores of candidates and baselines whose true difference is known, and leaderboards of them."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from set_boards import make_board

from probe.results.leaderboard import Leaderboard, Row

__all__ = ["MEAN", "SHAPES", "board_of", "draw_scores"]

Scores = NDArray[np.float64]

# Of the one relevant document: first, second, ..., tenth, and not among the first ten.
_RANKS = np.array([0.42, 0.09, 0.06, 0.04, 0.03, 0.03, 0.02, 0.02, 0.02, 0.02, 0.25])
_NDCG = np.array([*(1 / np.log2(np.arange(2, 12))), 0.0])
# The mean score of both rankers before anything is lost.
MEAN = float(_RANKS @ _NDCG)

SHAPES = ("swapped", "close", "rare", "graded")
# Share of the queries for which the candidate ranks anew.
_ANEW = {"swapped": 0.3, "close": 0.08, "rare": 0.0}


def draw_scores(shape: str, cases: int, queries: int, *, loss: float, seed: int = 0) -> tuple[Scores, Scores]:
    """Draw nDCG@10 of candidates that lose a known amount in truth, and of their baselines, each `(cases, queries)`.

    `swapped` and `close` rank the document of some queries anew, with the same distribution, and lose the answer of a
    share of all queries; `rare` does nothing but that: its differences are as skewed as can be. `graded` has
    differences of any size, half of them 0, losses larger and rarer than gains.
    """
    rng = np.random.default_rng((seed, queries, SHAPES.index(shape)))
    size = (cases, queries)
    if shape == "graded":
        baselines = rng.beta(1.2, 1.0, size)
        sizes, live = rng.random(size), rng.random(size) < 0.5
        differences = 0.3 * live * np.where(rng.random(size) < 0.4, -1.5 * sizes, sizes)
        return baselines + differences - loss, baselines
    baselines = rng.choice(_NDCG, size, p=_RANKS)
    anew = rng.choice(_NDCG, size, p=_RANKS)
    candidates = np.where(rng.random(size) < _ANEW[shape], anew, baselines)
    return np.where(rng.random(size) < loss / MEAN, 0.0, candidates), baselines


def board_of(candidate: Scores, baseline: Scores, *, name: str = "notes", data: Any = None, **more: Any) -> Leaderboard:
    """Return the leaderboard of a candidate and a baseline with these scores `(Q,)`.

    Args:
        candidate: Scores of the candidate.
        baseline: Scores of the baseline.
        name: The data set.
        data: Settings of the data set that differ.
        more: What is different of the candidate's row.
    """
    full = Row(0, "full", dim=8, scores={"ndcg@10": float(baseline.mean())}, ci95=(0.4, 0.6))
    delta = float((candidate - baseline).mean())
    row = Row(0, "new", dim=8, scores={"ndcg@10": float(candidate.mean())}, ci95=(0.4, 0.6), delta=delta)
    settings = make_board(name).settings
    settings |= {"baseline": "full", "dataset": settings["dataset"] | {"queries": len(baseline)} | (data or {})}
    pairs = [(replace(row, **more), candidate), (full, baseline)]
    pairs.sort(key=lambda pair: -float(pair[1].mean()))
    rows = tuple(replace(one, rank=rank) for rank, (one, _) in enumerate(pairs, 1))
    scores = tuple(tuple(map(float, values)) for _, values in pairs)
    return Leaderboard("probe gate", "2030-01-01", settings, rows, None, scores)
