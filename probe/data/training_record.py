"""Record of the texts and relevance labels that a model was trained on by this package."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from probe.data.dataset import Dataset
from probe.io.saved_json import Description, Part, read_description

__all__ = ["Learned", "join_learned", "read_learned", "write_learned"]

_FILE = "learned.json"


class _Seen(Part):
    """Texts of a data set or file."""

    name: str
    sha256: str


class _Description(Description):
    """Contents of learned.json."""

    labels: list[str]
    seen: list[_Seen]


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


def write_learned(learned: Learned, folder: Path) -> None:
    """Write the record into a model folder; an empty record is not written."""
    if learned == Learned():
        return
    seen = [_Seen(name=name, sha256=found) for name, found in learned.seen]
    text = _Description(labels=list(learned.labels), seen=seen).model_dump_json(indent=2)
    (folder / _FILE).write_text(f"{text}\n", encoding="utf-8")
