"""A gate: whether a candidate is shown to be good enough in place of a baseline."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from probe.data.dataset import Dataset
from probe.data.qrels import splits_overlap
from probe.errors import CallError, check_type
from probe.evaluation.composite import Asymmetric
from probe.experiments.datasets import run_datasets
from probe.experiments.given import OpenSaved, Rankable, ResolvedSpecs, as_specs
from probe.experiments.options import RunOptions
from probe.experiments.provenance import join_dataset_settings, join_model_settings
from probe.experiments.ranking import rank_candidates
from probe.experiments.specs import resolve_sides, resolve_specs
from probe.experiments.two_towers import pair_towers
from probe.metrics.non_inferiority import NOT_TESTED, GateGoal, Judgement, judge
from probe.metrics.significance import bootstrap_intervals
from probe.results.gate import GateResult, GateRow
from probe.results.leaderboard import Leaderboard, Row
from probe.sources.several import GivenDatasets, as_datasets, refuse_equal

__all__ = ["GatePair", "gate", "gate_datasets", "judge_board", "resolve_gate"]

_TEST = (
    "one-sided, of a loss of the margin or more; the larger one of a paired randomisation test over queries and of the "
    "empirical likelihood ratio (Owen 1988)"
)
# Settings of a leaderboard that are those of the gate.
_KEPT = ("metric", "baseline", "similarity", "towers", "late_interaction", "ties", "models", "dataset")


@dataclass(frozen=True)
class GatePair:
    """A candidate and a baseline with their models opened.

    Attributes:
        resolved: Both, ready to be ranked.
        candidate: The candidate's name in tables.
    """

    resolved: ResolvedSpecs
    candidate: str

    def rank(self, dataset: Dataset, options: RunOptions) -> Leaderboard:
        """Return the leaderboard of both on a data set, with the scores of every query."""
        paired = pair_towers(self.resolved, dataset, options.load, store=options.store)
        return rank_candidates(
            paired.candidates,
            dataset,
            str(paired.baseline),
            options=options,
            fusions=paired.fusions,
            others=paired.others,
        )


def gate(
    candidate: Rankable,
    dataset: GivenDatasets,
    *,
    baseline: Rankable,
    documents: str | None = None,
    goal: GateGoal | None = None,
    options: RunOptions | None = None,
    resolve: "Callable[..., GatePair] | None" = None,
) -> GateResult:
    """Test whether a candidate may take the place of a baseline: whether it is shown to lose less than a margin.

    Args:
        candidate: The encoder to test, in any form that `rank` takes.
        dataset: A data set, or its name or path; or several, on every one of which the candidate has to pass.
        baseline: The encoder it is tested against.
        documents: The encoder of the documents, if the candidate encodes only the queries (asymmetric search).
        goal: The margin, in the metric or as a share of the baseline's score, and the error rate.
        options: Run options.
        resolve: Opens candidate and baseline; `adaptors.gate` passes its own `resolve_gate`, which opens all kinds of
            folders.

    Returns:
        The result; `is_passed` says whether the candidate passes.

    Raises:
        ProbeError: If an argument is invalid, or a model or the data is unavailable; before any encoding.
    """
    options = RunOptions.of(options)
    check_type("goal", goal, GateGoal | None, expected="a GateGoal, such as GateGoal(margin=0.02)")
    pair = (resolve or resolve_gate)(candidate, baseline, documents, options=options)
    datasets = as_datasets(dataset)

    def rank_on(name: str, data: Dataset) -> Leaderboard:
        """Rank on one data set."""
        return pair.rank(data, options.named(name) if len(datasets) > 1 else options)

    return gate_datasets(datasets, rank_on, goal or GateGoal(), seed=options.seed)


def resolve_gate(
    candidate: Rankable,
    baseline: Rankable,
    documents: str | None = None,
    *,
    options: RunOptions,
    open_saved: OpenSaved | None = None,
) -> GatePair:
    """Open a candidate and a baseline, every model once.

    Args:
        candidate: The candidate, or the encoder of its queries.
        baseline: The baseline.
        documents: The encoder of the candidate's documents; None if it encodes both.
        options: How to load models; store and similarity.
        open_saved: Opens saved folders.

    Raises:
        CallError: One of them is several encoders, or both are the same.
        ModelError: A model cannot be loaded.
    """
    if documents is None:
        specs = [*as_specs([baseline]), *as_specs([candidate])]
        resolved = resolve_specs(
            list(dict.fromkeys(specs)),
            options.load,
            options.store,
            tokens=True,
            open_saved=open_saved,
            similarity=options.similarity,
        )
    else:
        resolved = resolve_sides(
            str(candidate),
            documents,
            options.load,
            store=options.store,
            open_saved=open_saved,
            similarity=options.similarity,
            baseline=str(baseline),
        )
    return GatePair(resolved, _find_candidate(resolved))


def _find_candidate(resolved: ResolvedSpecs) -> str:
    """Return the name of the one encoder that is not the baseline."""
    full = resolved.baseline
    pairs = [one for one in resolved.fusions if isinstance(one, Asymmetric)]
    points = [str(point) for candidate in resolved.candidates for point in candidate.hookpoints]
    names = dict.fromkeys([*points, *map(str, resolved.fusions), *map(str, resolved.others)])
    found = [name for name in names if name != str(full)]
    if not found or any(pair.queries == pair.documents == full for pair in pairs):
        raise CallError(f"candidate and baseline are the same encoder, '{full}': nothing would be tested")
    if len(found) > 1:
        raise CallError(f"expected one candidate and one baseline, found {', '.join(names)}")
    return found[0]


def gate_datasets(
    datasets: Mapping[str, Dataset],
    rank: Callable[[str, Dataset], Leaderboard],
    goal: GateGoal,
    *,
    seed: int = 0,
    failed: Mapping[str, str] | None = None,
) -> GateResult:
    """Test on one or several data sets, one after another.

    Args:
        datasets: Data sets by their name in the table.
        rank: Ranks candidate and baseline on a data set, given its name too.
        goal: What is allowed.
        seed: Random seed of the test.
        failed: Why further data sets failed before, by name, to go on where one fails; None to raise at once. The
            candidate does not pass where one failed.

    Raises:
        ProbeError: A data set fails, and all of them if `failed` is given.
    """

    def run(name: str, dataset: Dataset) -> GateResult:
        """Test on one data set."""
        return judge_board(rank(name, dataset), goal, seed=seed)

    return run_datasets(datasets, run, _join, failed=failed)


def judge_board(board: Leaderboard, goal: GateGoal, *, seed: int = 0) -> GateResult:
    """Test by the scores of every query.

    Args:
        board: The leaderboard of the candidate and the baseline on one data set.
        goal: What is allowed.
        seed: Random seed of the test.

    Raises:
        CallError: The leaderboard lacks the scores of queries, or is not one of two encoders.
    """
    if board.query_scores is None or len(board.rows) != 2:
        raise CallError(f"expected a leaderboard of two encoders with the scores of queries, found {len(board.rows)}")
    scored = zip(board.rows, map(np.array, board.query_scores), strict=True)
    # Only the baseline has no difference to itself.
    (full, reference), (row, scores) = sorted(scored, key=lambda one: one[0].delta is not None)
    data, metric = board.settings["dataset"], board.settings["metric"]
    (judgement,) = judge(scores[None], reference[None], goal, seed=seed)
    if refused := _refuse(row, full, data["split"]):
        judgement = replace(judgement, outcome=NOT_TESTED, reason=refused)
    (interval,) = bootstrap_intervals((scores - reference)[None], seed)
    found = GateRow(
        dataset=data["name"],
        split=data["split"],
        queries=len(scores),
        baseline=full.scores[metric],
        baseline_ci95=full.ci95,
        candidate=row.scores[metric],
        candidate_ci95=row.ci95,
        delta=float((scores - reference).mean()),
        delta_ci95=interval,
        **_read(judgement),
        limited=bool(data["limited"] or data.get("whole_documents")),
        transductive=row.transductive,
        labels=row.labels,
    )
    settings = {
        **{key: board.settings.get(key) for key in _KEPT},
        "candidate": row.encoder,
        "goal": str(goal),
        "keep": goal.keep,
        "alpha": goal.alpha,
        "statistics": {**board.settings["statistics"], "test": _TEST},
        "datasets": {data["name"]: data},
        "remarks": _remark(row, full, data["split"]),
    }
    return GateResult(board.command, board.created, settings, (found,))


def _read(judgement: Judgement) -> dict[str, Any]:
    return {
        "margin": judgement.margin,
        "p_value": judgement.p_value,
        "p_worse": judgement.p_worse,
        "detectable": judgement.detectable,
        "needed": judgement.needed,
        "outcome": judgement.outcome,
        "reason": judgement.reason or None,
    }


def _refuse(row: Row, full: Row, split: str) -> str:
    """Return why scores of this candidate and baseline show nothing, or nothing."""
    for one, role in ((row, "candidate"), (full, "baseline")):
        if one.collapsed:
            return f"all documents have the same vector or scores for the {role} {one.encoder}"
    if _knows(row, split):
        return f"the candidate was trained on relevance labels of these queries ({row.labels})"
    return ""


def _knows(row: Row, split: str) -> bool:
    """Return whether a row was trained on the labels of a split of this data set."""
    return row.transductive and any(splits_overlap(name, split) for name in row.labels.split("+"))


def _remark(row: Row, full: Row, split: str) -> list[str]:
    """Return what else is to be said of the training of both."""
    files = [name for name in row.labels.split("+") if "." in name]
    known = [
        f"The candidate was trained on relevance labels of {name}: see that these queries are not in it."
        for name in files
    ]
    if _knows(full, split):
        known.append("The baseline was trained on relevance labels of these queries, which makes it harder to pass.")
    return known


def _join(results: Mapping[str, GateResult]) -> GateResult:
    """Return the result on several data sets."""
    settings = {name: result.settings for name, result in results.items()}
    data = {name: one["dataset"] for name, one in settings.items()}
    refuse_equal({name: (one["text_sha256"], one["qrels_sha256"]) for name, one in data.items()})
    first = next(iter(results.values()))
    joined = {
        **first.settings,
        "models": join_model_settings(settings),
        "dataset": join_dataset_settings(data),
        "datasets": data,
        "remarks": [f"{name}: {remark}" for name, one in settings.items() for remark in one["remarks"]],
    }
    rows = tuple(replace(result.rows[0], dataset=name) for name, result in results.items())
    return replace(first, settings=joined, rows=rows)
