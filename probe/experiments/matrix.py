"""Leaderboards of single data sets joined to one over all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import numpy as np

from probe.data.dataset import Dataset
from probe.errors import CallError, did_you_mean
from probe.evaluation.retention import join_retention
from probe.evaluation.storage import mark_front
from probe.experiments.datasets import run_datasets
from probe.experiments.provenance import differing_settings, join_dataset_settings, join_model_settings
from probe.metrics.dataset_means import (
    FEWEST_SETS,
    detectable_differences,
    mean_intervals,
    mean_p_values,
    population_intervals,
)
from probe.metrics.significance import CONFIDENCE, Scores
from probe.results.formats import join_lines
from probe.results.leaderboard import PCA, Leaderboard, Row
from probe.results.matrix import MEAN, DatasetMatrix
from probe.results.row import RowKey
from probe.sources.several import refuse_equal

__all__ = ["check_sort", "join_leaderboards", "rank_datasets", "shared_rows"]

_FIXED = "these data sets, each with the same weight; queries vary, data sets do not"
_GENERAL = (
    f"{CONFIDENCE:.0%} interval over data sets in general, of the difference: two-level bootstrap (data sets, then "
    "queries within each; noise of the queries counted once), Student's t for few data sets"
)
_UNTESTED = "none, because saved results lack the scores of single queries: rank the data sets in one command"
_TOO_FEW = f"not shown: {{count}} data sets say nothing of others (from {FEWEST_SETS} on)"


@dataclass(frozen=True)
class _Aligned:
    """One encoder's row on every data set, with its differences to the baseline per query.

    Attributes:
        rows: Its rows, by data set.
        scores: The metric of every query, per data set `(1, Q_s)`; empty where they are unknown.
        differences: The differences to the baseline; empty where they are unknown, and for the baseline.
    """

    rows: dict[str, Row]
    scores: tuple[Scores, ...] = ()
    differences: tuple[Scores, ...] = ()


def rank_datasets(
    datasets: Mapping[str, Dataset],
    rank: Callable[[str, Dataset], Leaderboard],
    *,
    sort: str = MEAN,
    seed: int = 0,
    failed: Mapping[str, str] | None = None,
) -> Leaderboard:
    """Rank the same encoders on one or several data sets, one after another.

    Args:
        datasets: Data sets by their name in the table.
        rank: Ranks the encoders on a data set, given its name too.
        sort: `mean`, or the name of a data set whose scores order the rows.
        seed: Random seed of intervals and tests of the means.
        failed: Why further data sets failed before, by name, to go on where one fails; None to raise at once.

    Returns:
        The leaderboard of a single data set, or a `DatasetMatrix`; `failed` in its settings names those left out.

    Raises:
        CallError: `sort` is none of the names.
        ProbeError: A data set fails, and all of them if `failed` is given.
    """
    check_sort(sort, datasets)

    def join(boards: Mapping[str, Leaderboard]) -> Leaderboard:
        """Join what did not fail, in the order asked for where that is still possible."""
        return join_leaderboards(boards, sort=sort if sort in boards else MEAN, seed=seed)

    return run_datasets(datasets, rank, join, failed=failed)


def join_leaderboards(boards: Mapping[str, Leaderboard], *, sort: str = MEAN, seed: int = 0) -> DatasetMatrix:
    """Join the leaderboards of the same encoders on several data sets.

    Args:
        boards: Leaderboards by the name of their data set in the table.
        sort: `mean`, or the name of a data set whose scores order the rows.
        seed: Random seed of intervals and tests of the means.

    Returns:
        The table. Means have no interval and no test if a leaderboard was read from a file, as it lacks the scores of
        the queries. Encoders that are not on every data set are left out, and named.

    Raises:
        CallError: There are fewer than two leaderboards, two of one data set, or one of several; their settings differ,
            no encoder is on all of them, or `sort` is none of the names.
    """
    if len(boards) < 2:
        raise CallError(f"{len(boards)} data set: expected at least two to join")
    _refuse_repeated(boards)
    if differing := differing_settings({name: board.settings for name, board in boards.items()}):
        raise CallError(f"results cannot be joined: they differ in {'; '.join(differing)}")
    check_sort(sort, boards)
    found = {name: {row.key: number for number, row in enumerate(board.rows)} for name, board in boards.items()}
    keys = shared_rows(list(boards.values()))
    if not keys:
        raise CallError("results cannot be joined: no encoder is on every data set")
    baselines = {name: _baseline_row(board) for name, board in boards.items()}
    aligned = {key: _align(boards, {name: rows[key] for name, rows in found.items()}, baselines) for key in keys}
    metric = str(next(iter(boards.values())).settings["metric"])
    rows = mark_front(_rank(_mean_rows(aligned, metric, seed), metric, sort), metric)
    missing = [str(key) for key in dict.fromkeys(key for rows in found.values() for key in rows) if key not in keys]
    board = next(iter(boards.values()))
    settings = _join_settings(boards, aligned, sort=sort, seed=seed, missing=missing)
    examples = {name: one.examples for name, one in boards.items() if one.examples is not None}
    return DatasetMatrix(board.command, board.created, settings, rows, set_examples=examples)


def shared_rows(boards: Sequence[Leaderboard]) -> list[RowKey]:
    """Return what tells the rows apart that are in all of some leaderboards, in the order of the first."""
    others = [{row.key for row in board.rows} for board in boards[1:]]
    return [key for key in (row.key for row in boards[0].rows) if all(key in rows for rows in others)]


def check_sort(sort: str, names: Sequence[str] | Mapping[str, Any]) -> None:
    """Refuse an order by something that is not in the table.

    Raises:
        CallError: It is neither `mean` nor the name of a data set, or a data set has the name of a column.
    """
    columns: dict[str, str] = dict.fromkeys(DatasetMatrix.column_names, "a column of the table")
    for name in names if len(names) > 1 else ():
        if name.lower() in columns:
            raise CallError(f"the name '{name}' of a data set is that of {columns[name.lower()]}: give it another")
        columns[name.lower()] = f"the data set '{name}'"
    if sort != MEAN and sort not in names:
        raise CallError(f"unknown order '{sort}': {did_you_mean(sort, [MEAN, *names])}")


def _refuse_repeated(boards: Mapping[str, Leaderboard]) -> None:
    """Raise if a data set would count twice, or several as one."""
    for name, board in boards.items():
        if isinstance(board, DatasetMatrix):
            raise CallError(f"'{name}' is a table of several data sets: expected tables of one, such as its single()")
    data = {name: board.settings["dataset"] for name, board in boards.items()}
    refuse_equal({name: (one["text_sha256"], one["qrels_sha256"]) for name, one in data.items()})


def _baseline_row(board: Leaderboard) -> int | None:
    """Return the number of the row that the others are tested against."""
    return next(iter(sorted(board.emphasized())), None)


def _align(
    boards: Mapping[str, Leaderboard], numbers: Mapping[str, int], baselines: Mapping[str, int | None]
) -> _Aligned:
    rows = {name: boards[name].rows[number] for name, number in numbers.items()}
    scores, differences = [], []
    for name, number in numbers.items():
        known, baseline = boards[name].query_scores, baselines[name]
        if known is None or baseline is None:
            return _Aligned(rows)
        scores.append(np.array([known[number]]))
        differences.append(scores[-1] - np.array([known[baseline]]))
    is_baseline = all(row.delta is None for row in rows.values())
    return _Aligned(rows, tuple(scores), () if is_baseline else tuple(differences))


def _mean_rows(aligned: Mapping[RowKey, _Aligned], metric: str, seed: int) -> list[Row]:
    """Return the rows of the means, with intervals and tests where the scores of the queries are known."""
    tested = {key: one for key, one in aligned.items() if one.differences}
    intervals = _apply(mean_intervals, {key: one.scores for key, one in aligned.items() if one.scores}, seed)
    p_values = _apply(mean_p_values, {key: one.differences for key, one in tested.items()}, seed)
    population = _apply(population_intervals, {key: one.differences for key, one in tested.items()}, seed)
    against_pca = _compare_with_pca(aligned, seed)
    rows, scores = {key: one.rows for key, one in aligned.items()}, {key: one.scores for key, one in aligned.items()}
    kept = join_retention(rows, scores, metric, seed=seed)
    return [
        replace(
            _mean_row(one.rows),
            ci95=intervals.get(key),
            p_value=p_values.get(key),
            population_ci95=population.get(key),
            pca_p_value=against_pca.get(key),
            retention=kept.get(key),
        )
        for key, one in aligned.items()
    ]


def _apply(
    statistic: Callable[[Sequence[Scores], int], Sequence[Any]], values: Mapping[RowKey, Sequence[Scores]], seed: int
) -> dict[RowKey, Any]:
    """Return a statistic of rows that are stacked per data set, so that all share the same resamples."""
    if not values:
        return {}
    stacked = [np.concatenate(parts) for parts in zip(*values.values(), strict=True)]
    return dict(zip(values, statistic(stacked, seed), strict=True))


def _compare_with_pca(aligned: Mapping[RowKey, _Aligned], seed: int) -> dict[RowKey, float | None]:
    """Return the p-value of every other adaptor against PCA for the same encoder and dimension."""
    rivals = {(key.encoder, key.dim, key.stored): one for key, one in aligned.items() if key.adaptor == PCA}
    found: dict[RowKey, Sequence[Scores]] = {}
    for key, one in aligned.items():
        rival = rivals.get((key.encoder, key.dim, key.stored))
        if key.adaptor not in (None, PCA) and rival is not None and one.scores and rival.scores:
            found[key] = [own - other for own, other in zip(one.scores, rival.scores, strict=True)]
    return _apply(mean_p_values, found, seed)


def _mean_row(rows: dict[str, Row]) -> Row:
    """Return the row of the means, without intervals and tests."""
    several = list(rows.values())
    notes = dict.fromkeys(note for row in several for note in (row.note or "").split("; ") if note)
    return replace(
        several[0],
        scores={metric: fmean(row.scores[metric] for row in several) for metric in several[0].scores},
        transductive=any(row.transductive for row in several),
        collapsed=any(row.collapsed for row in several),
        published=None,
        **{key: _mean_of(several, key) for key in ("delta", "cost", "ms_per_text", "fit_seconds", "pca_delta")},
        note="; ".join(notes) or None,
        datasets=rows,
    )


def _mean_of(rows: Sequence[Row], key: str) -> Any:
    values = [getattr(row, key) for row in rows]
    return None if None in values else fmean(values)


def _rank(rows: Sequence[Row], metric: str, sort: str) -> tuple[Row, ...]:
    """Return the rows, best first, with their ranks."""

    def order(row: Row) -> tuple[Any, ...]:
        """Put the best first; of equal ones the smaller."""
        scored = row if sort == MEAN else (row.datasets or {})[sort]
        return -scored.scores[metric], row.parameters or 0, row.encoder, row.dim or 0

    return tuple(replace(row, rank=number) for number, row in enumerate(sorted(rows, key=order), 1))


def _join_settings(
    boards: Mapping[str, Leaderboard],
    aligned: Mapping[RowKey, _Aligned],
    *,
    sort: str,
    seed: int,
    missing: Sequence[str],
) -> dict[str, Any]:
    several = {name: board.settings for name, board in boards.items()}
    first = next(iter(several.values()))
    lines = join_lines({name: one.get("adaptors", []) for name, one in several.items()})
    left_out = [f"left out, not on every data set: {', '.join(missing)}"] if missing else []
    return {
        **first,
        "models": join_model_settings(several),
        "dataset": join_dataset_settings({name: one["dataset"] for name, one in several.items()}),
        "statistics": {**first["statistics"], "seed": seed, **_mean_statistics(aligned, list(boards))},
        **({"adaptors": lines} if "adaptors" in first else {}),
        "sorted_by": sort,
        "left_out": left_out,
        "datasets": several,
    }


def _mean_statistics(aligned: Mapping[RowKey, _Aligned], names: Sequence[str]) -> dict[str, Any]:
    """Return how the means were tested, and which differences the queries can show."""
    tested = [one.differences for one in aligned.values() if one.differences]
    general = _GENERAL if len(names) >= FEWEST_SETS else _TOO_FEW.format(count=len(names))
    untested = None if all(one.scores for one in aligned.values()) else _UNTESTED
    words = {"covers": untested or _FIXED, "population": untested or general, "untested": untested}
    if not tested:
        return {**words, "detectable": {}}
    stacked = [np.concatenate(parts) for parts in zip(*tested, strict=True)]
    values = {MEAN: detectable_differences(stacked)}
    values |= {name: detectable_differences([one]) for name, one in zip(names, stacked, strict=True)}
    return {
        **words,
        "detectable": {
            name: median(known) for name, found in values.items() if (known := [v for v in found if v is not None])
        },
    }
