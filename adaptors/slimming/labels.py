"""Whether a map trained on relevance labels is used in a search, and what it does for the full model."""

from collections.abc import Callable
from dataclasses import dataclass

from safetensors.numpy import load_file, save_file

from adaptors.candidates.dimensions import Basis
from adaptors.candidates.judging import Judge
from adaptors.slimming.work import WorkFolder
from probe.io.files import replace_file

__all__ = ["LabelledMap", "choose_map"]

_RECORD, _FILE = "labels.json", "labels.safetensors"


@dataclass(frozen=True, eq=False)
class LabelledMap:
    """The outcome of a training on relevance labels.

    Attributes:
        basis: The map that candidates get; None for none.
        labels: The split of the labels.
        share: Score of the full model with the trained map on the judging queries, as a share of its own.
        is_used: Whether the candidates get the trained map.
    """

    basis: Basis | None
    labels: str
    share: float
    is_used: bool

    def describe(self) -> str:
        """Return a sentence for the table and the model card."""
        if not self.is_used:
            return (
                f"A linear map trained on relevance labels of {self.labels} did not rank the judging queries better by "
                "a standard error, so it is not used."
            )
        return (
            f"A linear map trained on relevance labels of {self.labels} is part of every candidate; on top of the full "
            f"model, the same map has an estimate of {self.share:.1%}."
        )


def choose_map(train: Callable[[], Basis], judge: Judge, work: WorkFolder, *, plain: Basis | None) -> LabelledMap:
    """Train a map on relevance labels, and keep it if it ranks the judging queries better by a standard error.

    A map that was trained before an interruption is read.

    Args:
        train: Trains the map.
        judge: Scores it, on top of the full model.
        work: Finished steps.
        plain: The map that candidates have otherwise, if any.
    """
    path, known = work.path(_FILE), work.read(_RECORD)
    if known is None:
        found = train()
        replace_file(path, lambda scratch: save_file({"axes": found.axes}, scratch))
        known = {"labels": found.labels, **_compare(found, plain, judge)}
        work.write(_RECORD, known)
    trained = Basis(load_file(path)["axes"], known["labels"])
    return LabelledMap(trained if known["used"] else plain, known["labels"], known["share"], known["used"])


def _compare(trained: Basis, plain: Basis | None, judge: Judge) -> dict[str, float | bool]:
    full, reference = judge.full_encoder, judge.reference
    before = reference if plain is None else judge.score(plain.project(full))
    scores = judge.score(trained.project(full))
    gain = scores - before
    error = gain.std(ddof=1) / len(gain) ** 0.5
    return {"used": bool(gain.mean() > error), "share": float(scores.mean() / reference.mean())}
