"""Record of the texts and relevance labels that a model was trained on by this package."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from probe.data.dataset import Dataset
from probe.errors import ModelError, first_line
from probe.io.saved_json import Description, Part, read_description

__all__ = ["Learned", "join_learned", "name_seen", "read_fitted", "read_learned", "write_learned"]

_FILE = "learned.json"
# The description of a saved adaptor; `adaptors` reads and writes all of it.
_ADAPTOR = "adaptor.json"


class _Seen(Part):
    """Texts of a data set or file."""

    name: str
    sha256: str


class _Description(Description):
    """Contents of learned.json."""

    labels: list[str]
    seen: list[_Seen]


class _Fit(BaseModel):
    """The fields of adaptor.json on the texts of the fit."""

    labels: str = "none"
    dataset: str = ""
    text_sha256: str | None = None
    seen: tuple[tuple[str, str], ...] | None = None


@dataclass(frozen=True)
class Learned:
    """Training data of a model's weights; usually empty.

    Attributes:
        labels: Splits or files whose relevance labels were used.
        seen: Data sets and files whose texts were used, with their sha256.
    """

    labels: tuple[str, ...] = ()
    seen: tuple[tuple[str, str], ...] = ()

    def saw(self, dataset: Dataset) -> bool:
        """Return whether texts of a data set's corpus were used; a limited corpus counts as part of the whole."""
        return any(name == dataset.name or found == dataset.documents.text_hash for name, found in self.seen)


def join_learned(parts: Iterable[Learned]) -> Learned:
    """Return the union of the training data of several models."""
    parts = list(parts)
    labels = dict.fromkeys(name for part in parts for name in part.labels)
    return Learned(tuple(labels), tuple(dict.fromkeys(seen for part in parts for seen in part.seen)))


def read_learned(folder: Path) -> Learned:
    """Return the training data recorded in a model folder.

    Raises:
        ModelError: If the record is malformed.
    """
    if not (folder / _FILE).is_file():
        return Learned()
    found = read_description(folder / _FILE, _Description)
    return Learned(tuple(found.labels), tuple((entry.name, entry.sha256) for entry in found.seen))


def read_fitted(folder: Path) -> Learned:
    """Return the texts and labels that the adaptor in a model folder was fitted to; empty without one.

    Raises:
        ModelError: If its description is malformed.
    """
    path = folder / _ADAPTOR
    if not path.is_file():
        return Learned()
    try:
        fit = _Fit.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is malformed: {first_line(error)}") from error
    labels = tuple(name for name in fit.labels.split("+") if name != "none")
    return Learned(labels, name_seen(fit.seen, fit.dataset, fit.text_sha256))


def name_seen(
    seen: tuple[tuple[str, str], ...] | None, dataset: str, text_sha256: str | None
) -> tuple[tuple[str, str], ...]:
    """Return the name of every data set whose texts a fit used, and the sha256 of its documents.

    Args:
        seen: The same, if recorded; None in older folders.
        dataset: Names, joined by `+`.
        text_sha256: Hashes, joined by `+`.
    """
    if seen is not None:
        return seen
    if not text_sha256:
        return ()
    hashes = text_sha256.split("+")
    names = dataset.split("+") if len(hashes) > 1 else [dataset]
    # If a name contains a `+`, only the hashes identify the data sets.
    names = names if len(names) == len(hashes) else [dataset] * len(hashes)
    return tuple(zip(names, hashes, strict=True))


def write_learned(learned: Learned, folder: Path) -> None:
    """Write the record into a model folder; an empty record is not written."""
    if learned == Learned():
        return
    seen = [_Seen(name=name, sha256=found) for name, found in learned.seen]
    text = _Description(labels=list(learned.labels), seen=seen).model_dump_json(indent=2)
    (folder / _FILE).write_text(f"{text}\n", encoding="utf-8")
