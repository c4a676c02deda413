"""The ladder: every kind of adaptor, on every hookpoint, at every dimension, in one table beside the frozen encoder."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from adaptors.adapted import Adapted
from adaptors.base import FitData
from adaptors.gathering import FitTexts, gather
from adaptors.kinds import KINDS, LENS, RECOMMENDED
from adaptors.resolve import ResolvedSpecs
from adaptors.train_options import TrainOptions
from probe.errors import CallError, ProbeError, TrainingError
from probe.evaluation import AdaptorFacts
from probe.fusions import Fusion
from probe.leaderboard import Leaderboard
from probe.ranking import RankOptions, rank

__all__ = ["Ladder", "LadderPlan", "climb", "fit_kind", "fit_ladder"]


@dataclass(frozen=True)
class LadderPlan:
    """What to fit.

    Attributes:
        kinds: Kinds of adaptors.
        dims: Dimensions to keep; one adaptor is fitted for the greatest, its first dimensions serve as the others.
        training: How networks are trained.
        only_labelled: Whether a kind that uses judgements is not fitted without them as well.
    """

    kinds: tuple[str, ...]
    dims: tuple[int, ...]
    training: TrainOptions = field(default_factory=TrainOptions)
    only_labelled: bool = False


@dataclass(frozen=True)
class Ladder:
    """What was fitted.

    Attributes:
        adapted: The encoders.
        notes: Sentences for the footer: what an adaptor showed, and what could not be fitted, and why.
    """

    adapted: tuple[Adapted, ...]
    notes: tuple[str, ...]


def climb(resolved: ResolvedSpecs, plan: LadderPlan, texts: FitTexts, options: RankOptions) -> Leaderboard:
    """Fit every adaptor and rank them with their frozen encoders.

    Args:
        resolved: The encoders to adapt.
        plan: Kinds and dimensions.
        texts: What the fits may look at; its corpus is searched with the queries of its own split.
        options: How to rank.

    Returns:
        The leaderboard.

    Raises:
        CallError: A dimension does not suit any encoder.
    """
    ladder = fit_ladder(resolved, plan, texts, options)
    encoders = [*resolved.fusions, *ladder.adapted]
    board = rank(resolved.candidates, texts.corpus, str(resolved.baseline), options, encoders)
    return replace(board, settings={**board.settings, "recommended": RECOMMENDED, "adaptors": list(ladder.notes)})


def fit_ladder(resolved: ResolvedSpecs, plan: LadderPlan, texts: FitTexts, options: RankOptions) -> Ladder:
    """Fit every adaptor of a plan; takes what `climb` takes.

    A training that comes to nothing leaves its kind out of the ladder, and a note says so.

    Raises:
        CallError: Nothing could be fitted.
        TrainingError: The same, and a training came to nothing.
    """
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    alone = [Fusion((point,)) for candidate in resolved.candidates for point in candidate.hookpoints]
    fusions = [*alone, *(fusion for fusion in resolved.fusions if isinstance(fusion, Fusion))]
    adapted: list[Adapted] = []
    notes: list[str] = []
    left_out: dict[str, list[str]] = {}
    failed: type[ProbeError] = CallError
    for fusion, data in zip(fusions, gather(readers, fusions, texts, options.store, options.progress), strict=True):
        for kind in plan.kinds:
            for seen in _with_and_without_labels(kind, data, plan.only_labelled):
                try:
                    fitted = fit_kind(kind, fusion, seen, plan)
                except (CallError, TrainingError) as error:
                    left_out.setdefault(f"{kind}: {error}", []).append(str(fusion))
                    failed = TrainingError if isinstance(error, TrainingError) else failed
                    continue
                adapted += fitted
                notes += [f"{kind} on {fusion}, labels {seen.labels}: {note}" for note in fitted[0].notes]
    notes += [f"left out: {reason} ({', '.join(names)})" for reason, names in left_out.items()]
    if not adapted:
        raise failed(f"nothing could be fitted; {'; '.join(notes)}")
    return Ladder(tuple(adapted), tuple(notes))


def fit_kind(kind: str, fusion: Fusion, data: FitData, plan: LadderPlan) -> list[Adapted]:
    """Fit one kind of adaptor on one fusion.

    Args:
        kind: One of `KINDS`.
        fusion: What it goes on top of.
        data: Its states, and the judgements it may look at.
        plan: Dimensions to keep, of which those it cannot have are left out; how a network is trained.

    Returns:
        One encoder per dimension, all with the same adaptor.

    Raises:
        CallError: It does not suit the fusion or any of the dimensions.
        TrainingError: Its training came to nothing.
    """
    dims = _fitting(kind, fusion, data, plan.dims)
    began = time.perf_counter()
    fitted = KINDS[kind].fit(data, dims, plan.training)
    seconds = time.perf_counter() - began
    seen = None if kind == "truncate" else data.fitted_on
    facts = AdaptorFacts(kind, data.labels, seen, seconds, fitted.module.count_parameters())
    return [Adapted(fusion, fitted.module, dim, facts, None, fitted.epochs, fitted.notes) for dim in dims]


def _fitting(kind: str, fusion: Fusion, data: FitData, dims: Sequence[int]) -> list[int]:
    if kind == LENS and data.is_final:
        raise CallError("there is nothing to map: it is the final embedding")
    if KINDS[kind].reads_blocks and len(fusion.points) == 1:
        raise CallError("a single hookpoint leaves nothing to weigh: name several, joined by +")
    most = data.targets.shape[1] if KINDS[kind].aims else data.documents.shape[1]
    fitting = [dim for dim in dims if dim <= most]
    if not fitting:
        raise CallError(f"it has no more than {most} dimensions: lower --dims")
    return fitting


def _with_and_without_labels(kind: str, data: FitData, only_labelled: bool) -> list[FitData]:
    blind = replace(data, pairs=torch.empty(0, 3, dtype=torch.long), labels="none")
    if data.labels == "none" or not KINDS[kind].uses_labels:
        return [blind]
    return [data] if only_labelled else [blind, data]
