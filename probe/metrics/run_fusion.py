"""Late fusion: combination of several rankings of the same documents."""

from collections.abc import Callable, Mapping, Sequence

from probe.errors import CallError
from probe.metrics.top_k import Run

__all__ = ["RUN_FUSIONS", "check_rule", "comb_sum", "fuse_runs", "reciprocal_rank"]

# Constant of Cormack, Clarke and Buettcher.
_RANK_OFFSET = 60


def fuse_runs(runs: Sequence[Run], rule: str = "rrf") -> Run:
    """Fuse rankings of the same queries.

    Args:
        runs: Scores by query id and document id, one run per encoder; missing documents contribute 0.
        rule: `rrf` (reciprocal rank fusion) or `combsum`.

    Returns:
        A run with the documents of all runs, best first, ties by descending document id.

    Raises:
        CallError: If the rule is unknown, or there are no runs, or their queries differ.
    """
    check_rule(rule)
    if not runs or any(run.keys() != runs[0].keys() for run in runs):
        raise CallError("expected at least one run, all for the same queries")
    return RUN_FUSIONS[rule](runs)


def check_rule(rule: str) -> str:
    """Return `rule` if it is a known fusion rule.

    Raises:
        CallError: If it is unknown.
    """
    if rule not in RUN_FUSIONS:
        raise CallError(f"unknown rule '{rule}': expected one of {', '.join(RUN_FUSIONS)}")
    return rule


def reciprocal_rank(runs: Sequence[Run]) -> Run:
    """Sum 1 / (60 + rank) over the runs, with rank 1 the best (Cormack, Clarke and Buettcher, SIGIR 2009)."""
    return _add(runs, lambda found: {doc: 1 / (_RANK_OFFSET + rank) for rank, doc in enumerate(_order(found), 1)})


def comb_sum(runs: Sequence[Run]) -> Run:
    """Sum the scores over the runs, scaled to 0..1 per query (CombSUM, Fox and Shaw, TREC-2)."""
    return _add(runs, _scale)


def _scale(found: Mapping[str, float]) -> dict[str, float]:
    low, high = min(found.values(), default=0.0), max(found.values(), default=0.0)
    return {doc: (score - low) / (high - low) if high > low else 1.0 for doc, score in found.items()}


def _order(found: Mapping[str, float]) -> list[str]:
    return sorted(found, key=lambda doc: (found[doc], doc), reverse=True)


def _add(runs: Sequence[Run], value: Callable[[Mapping[str, float]], dict[str, float]]) -> Run:
    fused: Run = {}
    for query in runs[0]:
        total: dict[str, float] = {}
        for run in runs:
            for document, worth in value(run[query]).items():
                total[document] = total.get(document, 0.0) + worth
        fused[query] = {doc: total[doc] for doc in _order(total)}
    return fused


RUN_FUSIONS: dict[str, Callable[[Sequence[Run]], Run]] = {"rrf": reciprocal_rank, "combsum": comb_sum}
