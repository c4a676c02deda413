"""The texts and judgements that a model's weights were trained on here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from probe.data.dataset import Dataset
from probe.io.saved_json import Description, Part, read_description

__all__ = ["Learned", "join_learned", "read_learned", "write_learned"]

_FILE = "learned.json"


class _Seen(Part):
    """Texts of a data set or of a file."""

    name: str
    sha256: str


class _Description(Description):
    """What learned.json holds."""

    labels: list[str]
    seen: list[_Seen]


@dataclass(frozen=True)
class Learned:
    """What weights were trained on here; nothing, as a rule.

    Attributes:
        labels: The splits or files whose judgements were learned.
        seen: Name of every data set or file whose texts were seen, and its sha256.
    """

    labels: tuple[str, ...] = ()
    seen: tuple[tuple[str, str], ...] = ()

    def saw(self, dataset: Dataset) -> bool:
        """Whether texts of a data set's corpus were seen; a limited one is taken for a part of the whole."""
        return any(name == dataset.name or found == dataset.documents.text_hash for name, found in self.seen)


def join_learned(parts: Iterable[Learned]) -> Learned:
    """Return what several models have learned, each thing once."""
    parts = list(parts)
    labels = dict.fromkeys(name for part in parts for name in part.labels)
    return Learned(tuple(labels), tuple(dict.fromkeys(seen for part in parts for seen in part.seen)))


def read_learned(folder: Path) -> Learned:
    """Return what the weights in a folder have learned.

    Raises:
        ModelError: The folder says so in a way that cannot be read.
    """
    if not (folder / _FILE).is_file():
        return Learned()
    found = read_description(folder / _FILE, _Description)
    return Learned(tuple(found.labels), tuple((entry.name, entry.sha256) for entry in found.seen))


def write_learned(learned: Learned, folder: Path) -> None:
    """Have a model's folder say what its weights have learned; where that is nothing, no file says so."""
    if learned == Learned():
        return
    seen = [_Seen(name=name, sha256=found) for name, found in learned.seen]
    text = _Description(labels=list(learned.labels), seen=seen).model_dump_json(indent=2)
    (folder / _FILE).write_text(f"{text}\n", encoding="utf-8")
