"""The ladder: every kind of adaptor, on every hookpoint, at every dimension, in one table beside the frozen encoder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adaptors.adapted import Adapted
from adaptors.base import Adaptor, FitData
from adaptors.distil import fit_distil
from adaptors.gathering import FitTexts, gather
from adaptors.linear import fit_lens, fit_pca, fit_spectral, fit_truncate
from adaptors.resolve import ResolvedSpecs
from probe.errors import CallError
from probe.evaluation import AdaptorFacts
from probe.fusions import Fusion
from probe.leaderboard import Leaderboard
from probe.ranking import PCA, RankOptions, rank

__all__ = ["KINDS", "LENS", "RECOMMENDED", "LadderPlan", "check_kinds", "climb", "fit_kind", "fit_ladder"]

Fit = Callable[[FitData, int], Adaptor]

LENS = "lens"
# The preset for every data set: no labels, and the best on the training queries it was chosen on.
RECOMMENDED = "distil"
# By the name on the command line; the simplest first.
KINDS: dict[str, Fit] = {
    "truncate": fit_truncate,
    PCA: fit_pca,
    "spectral": fit_spectral,
    LENS: fit_lens,
    RECOMMENDED: fit_distil,
}


@dataclass(frozen=True)
class LadderPlan:
    """What to fit.

    Attributes:
        kinds: Kinds of adaptors.
        dims: Dimensions to keep; one adaptor is fitted for the greatest, its first dimensions serve as the others.
    """

    kinds: tuple[str, ...]
    dims: tuple[int, ...]


def check_kinds(names: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds, each once; PCA is always among them, as the rival of the others.

    Raises:
        CallError: There is no such kind.
    """
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise CallError(f"unknown adaptor '{unknown[0]}': expected one of {', '.join(KINDS)}")
    return tuple(dict.fromkeys([*names, PCA]))


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
    adapted = fit_ladder(resolved, plan, texts, options)
    encoders = [*resolved.fusions, *adapted]
    board = rank(resolved.contestants, texts.corpus, str(resolved.baseline), options, encoders)
    return replace(board, settings={**board.settings, "recommended": RECOMMENDED})


def fit_ladder(resolved: ResolvedSpecs, plan: LadderPlan, texts: FitTexts, options: RankOptions) -> list[Adapted]:
    """Fit every adaptor of a plan; takes what `climb` takes.

    Raises:
        CallError: A dimension does not suit any encoder.
    """
    readers = {contestant.reader.model.source.name: contestant.reader for contestant in resolved.contestants}
    alone = [Fusion((point,)) for contestant in resolved.contestants for point in contestant.hookpoints]
    fusions = [*alone, *(fusion for fusion in resolved.fusions if isinstance(fusion, Fusion))]
    gathered = gather(readers, fusions, texts, options.store, options.progress)
    adapted = [
        encoder
        for fusion, data in zip(fusions, gathered, strict=True)
        for kind in plan.kinds
        for encoder in fit_kind(kind, fusion, data, plan.dims)
    ]
    if not adapted:
        raise CallError(
            f"nothing to fit: no encoder has as many dimensions as {min(plan.dims)}, or a lens was asked for of the "
            "final embedding itself"
        )
    return adapted


def fit_kind(kind: str, fusion: Fusion, data: FitData, dims: Sequence[int]) -> list[Adapted]:
    """Fit one kind of adaptor on one fusion.

    Args:
        kind: One of `KINDS`.
        fusion: What it goes on top of.
        data: Its states.
        dims: Dimensions to keep; those it cannot have are left out.

    Returns:
        One encoder per dimension, all with the same adaptor; none where no dimension fits.
    """
    most = data.targets.shape[1] if kind == LENS else data.documents.shape[1]
    if kind == LENS and data.is_final:
        return []  # there is nothing to map
    fitting = [dim for dim in dims if dim <= most]
    if not fitting:
        return []
    began = time.perf_counter()
    module = KINDS[kind](data, max(fitting))
    seconds = time.perf_counter() - began
    seen = None if kind == "truncate" else data.fitted_on
    facts = AdaptorFacts(kind, "none", seen, seconds, module.count_parameters())
    return [Adapted(fusion, module, dim, facts) for dim in fitting]
