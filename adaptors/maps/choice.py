"""The choice among maps by agreement of rankings on held-out texts; no relevance labels are read."""

from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import normalize

from adaptors.fitting.batches import FEWEST_TEXTS
from adaptors.maps.closed_form import LinearMap
from adaptors.maps.data import HeldOut, MapData
from adaptors.maps.methods import Method, fit_methods, fit_trained
from adaptors.maps.options import MapOptions
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError

__all__ = ["MapChoice", "Trial", "choose_map"]

# Rankings are compared to this depth.
_DEPTH = 10


@dataclass(frozen=True)
class Trial:
    """A method on the held-out texts.

    Attributes:
        method: The method.
        agreement: Share of the first documents of the joint ranking that are among those of the map.
        error: Standard error of the agreement over the queries.
    """

    method: Method
    agreement: float
    error: float


@dataclass(frozen=True)
class MapChoice:
    """The map that was chosen, fitted to all texts.

    Attributes:
        map: The map.
        best: The method of the map.
        trials: All methods, those that agree most first.
        source: Agreement of the model that is mapped, alone.
        target: Agreement of the other model alone.
        basis: The held-out texts in words.
    """

    map: LinearMap
    best: Trial
    trials: tuple[Trial, ...]
    source: float
    target: float
    basis: str

    def notes(self, name: str) -> tuple[str, ...]:
        """Return how the map was chosen, as sentences."""
        best = self.best
        rivals: dict[str, float] = {}
        for trial in self.trials:
            if not trial.method.transposed and not trial.method.is_trained and trial.method.form != best.method.form:
                rivals.setdefault(trial.method.form, trial.agreement)
        others = ", ".join(f"{form} {agreement:.3f}" for form, agreement in rivals.items())
        return (
            f"{name}: {best.method}, chosen among {len(self.trials)} maps without labels, by agreement with the joint "
            f"ranking of both models on {self.basis}: {best.agreement:.3f} of the first {_DEPTH} documents (others: "
            f"{others}; each model alone: {self.source:.3f}, {self.target:.3f})",
        )


def choose_map(data: MapData, options: MapOptions, progress: Progress = silent) -> MapChoice:
    """Choose a method by the rankings of held-out texts, and fit it to all texts.

    Rankings are compared with the joint one of both models, by the sum of their cosines. Of the methods within one
    standard error of the best, the simplest is chosen (Breiman et al., Classification and Regression Trees, 1984). The
    simplest closed form is then trained further, and the result takes its place if it is better by a standard error.

    Args:
        data: Vectors of the texts by both models.
        options: The side that is mapped, the rank and the seed.
        progress: Called for every step of a training.

    Returns:
        The map.

    Raises:
        CallError: The rank is larger than the dimension of a model.
    """
    width = min(data.documents.source.shape[1], data.documents.target.shape[1])
    if options.rank is not None and options.rank > width:
        raise CallError(f"--rank {options.rank}: expected at most {width}, the smaller dimension of the two models")
    fit, held = data.hold_out(options.seed, documents=options.side == "documents")
    judge = _Judge.of(held)
    maps = fit_methods(fit, options)
    trials = [Trial(method, *judge.score(*_search(found, held, options.side))) for method, found in maps.items()]
    first = max(trials, key=lambda trial: trial.agreement)
    best = next(trial for trial in trials if trial.agreement >= first.agreement - first.error)
    if len(fit.documents) >= FEWEST_TEXTS and best.agreement + best.error < 1:
        trained = fit_trained(maps[best.method], fit, options, progress=progress)
        method = replace(best.method, is_trained=True)
        trials.append(Trial(method, *judge.score(*_search(trained, held, options.side))))
        best = max(best, trials[-1], key=lambda trial: trial.agreement - trial.error * trial.method.is_trained)
    return MapChoice(
        _refit(best.method, data, options, progress=progress),
        best,
        tuple(sorted(trials, key=lambda trial: -trial.agreement)),
        judge.score(held.queries.source, held.documents.source)[0],
        judge.score(held.queries.target, held.documents.target)[0],
        held.basis,
    )


def _refit(method: Method, data: MapData, options: MapOptions, *, progress: Progress) -> LinearMap:
    """Fit a method to all texts."""
    found = fit_methods(data, options)[replace(method, is_trained=False)]
    return fit_trained(found, data, options, progress=progress) if method.is_trained else found


def _search(found: LinearMap, held: HeldOut, side: str) -> tuple[Tensor, Tensor]:
    """Return the vectors of queries and of documents with one side mapped."""
    if side == "documents":
        return held.queries.target, normalize(found.apply(held.documents.source), dim=1).float()
    return normalize(found.apply(held.queries.source), dim=1).float(), held.documents.target


@dataclass(frozen=True)
class _Judge:
    """Compares rankings with the joint ranking of both models.

    Attributes:
        wanted: The first documents of the joint ranking, per query `(Q, depth)`.
    """

    wanted: Tensor

    @classmethod
    def of(cls, held: HeldOut) -> "_Judge":
        """Return the judge of the held-out texts."""
        queries, documents = held.queries, held.documents
        joint = queries.source @ documents.source.T + queries.target @ documents.target.T
        return cls(joint.topk(min(_DEPTH, len(documents)), dim=1).indices)

    def score(self, queries: Tensor, documents: Tensor) -> tuple[float, float]:
        """Return the share of the wanted documents that a search finds, and its standard error over the queries."""
        found = (queries @ documents.T).topk(self.wanted.shape[1], dim=1).indices
        shared = (found.unsqueeze(2) == self.wanted.unsqueeze(1)).any(dim=1)
        shares = shared.float().mean(dim=1)
        return float(shares.mean()), float(shares.std(correction=0)) / len(shares) ** 0.5
