"""Data sets of the `ir_datasets` library; documents are read through its document store, never held in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from probe.data.dataset import Dataset
from probe.data.qrels import Judgement, choose_split, judge, splits_overlap
from probe.data.records import Entry, check_record
from probe.errors import CallError, DataError, ProbeError, did_you_mean, first_line
from probe.io.text_lines import START, Mark
from probe.sources.assembly import IdRule, Parts, assemble

__all__ = ["IRDS", "IrdsRows", "read_irds"]

IRDS = ("ir_datasets:", "irds:")

_NEEDED = ("docs", "queries", "qrels")
_DEFAULT_SPLIT = "test"
_BEIR = "beir/"
_TITLE, _TEXT = "title", "text"
_LABELS = ("query_id", "doc_id", "relevance")


@dataclass(frozen=True)
class IrdsRows:
    """The documents or queries of a data set as records; a pickled copy opens the data set itself.

    Attributes:
        identifier: The data set's id.
        part: `docs` or `queries`.
    """

    identifier: str
    part: str

    @property
    def name(self) -> str:
        """The id and the part."""
        return f"{self.identifier} {self.part}"

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a number on.

        Raises:
            DataError: If the data set cannot be downloaded or is malformed.
        """
        for number, item in enumerate(self._read(start.offset), start.offset):
            location = f"{self.name}:{number + 1}"
            yield Entry(location, Mark(number, number), check_record(_as_record(item, location), location, str(item)))

    def _read(self, first: int) -> Iterator[Any]:
        try:
            items = getattr(self._dataset, f"{self.part}_iter")()
            if first:
                # Its stores skip to a document; other sources have to read all before it.
                items = items[first:] if hasattr(items, "__getitem__") else islice(items, first, None)
            yield from items
        except ProbeError:
            raise
        except Exception as error:  # downloads and parsers each raise their own types
            raise _unreadable(self.identifier, error) from error

    @cached_property
    def _dataset(self) -> Any:
        return _open(self.identifier)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open data set, whose files another machine may not have."""
        return {"identifier": self.identifier, "part": self.part}


def read_irds(text: str, split: str | None = None, *, drop_same_id: bool = False) -> Dataset:
    """Read a data set of `ir_datasets`.

    Args:
        text: Its id. If the id names a split behind a corpus, such as `beir/scifact/test`, it is that split.
        split: Split, that is the rest of an id behind the corpus; default: that of the id, `test`, or the only one.
        drop_same_id: Whether to drop a document with the query's own id even if its text differs. Always done for the
            ids below `beir/`, as BEIR's published scores do it.

    Returns:
        The data set. Its texts are the library's default texts, which of most documents with a title are title and
        text; where it has none, they are by the title rule here.

    Raises:
        CallError: If `ir_datasets` is not installed, or the id or the split does not exist.
        DataError: If the data set cannot be downloaded or is malformed.
    """
    corpus, own = _divide(text)
    splits = _list_splits(corpus, text)
    if split is not None and own and split != own and splits_overlap(split, own):
        raise CallError(f"'{text}' is the split '{own}', which shares queries with '{split}': give {corpus}/{split}")
    chosen = choose_split(sorted(splits), split or own or None, f"{IRDS[0]}{text}")
    identifier = splits[chosen]
    parts = Parts(IrdsRows(identifier, "docs"), IrdsRows(identifier, "queries"), _read_labels(identifier))
    rule = IdRule(drop=drop_same_id or corpus.startswith(_BEIR))
    return assemble(parts, corpus, chosen, rule=rule, source=f"{IRDS[0]}{identifier}")


def _import() -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise CallError(
            f"'{IRDS[0]}' needs ir_datasets: pip install 'encoder-surgery[ir-datasets]' ({error})"
        ) from error
    return ir_datasets


def _open(identifier: str) -> Any:
    library = _import()
    try:
        return library.load(identifier)
    except KeyError as error:
        known = did_you_mean(identifier, sorted(library.registry)) if identifier else "expected the id of a data set"
        hint = known if known.startswith(("did", "exp")) else "its ids are listed at https://ir-datasets.com"
        raise CallError(f"ir_datasets has no data set '{identifier}': {hint}") from error


def _divide(identifier: str) -> tuple[str, str]:
    """Return the corpus's id and the rest of an id, its split; empty if the id is that of a corpus."""
    dataset = _open(identifier)
    if not dataset.has_docs():
        raise CallError(f"'{IRDS[0]}{identifier}' has no documents: expected a data set with {', '.join(_NEEDED)}")
    corpus = str(_import().docs_parent_id(identifier))
    return corpus, identifier.removeprefix(corpus).strip("/")


def _list_splits(corpus: str, identifier: str) -> dict[str, str]:
    """Return the ids with queries and relevance labels for a corpus, by split.

    A corpus that has labels of its own has no other splits, as those below it may be parts of them.
    """
    if identifier == corpus and _is_complete(corpus):
        return {_DEFAULT_SPLIT: corpus}
    below = [name for name in _import().registry if name.startswith(f"{corpus}/") and _is_complete(name)]
    found = {name.removeprefix(f"{corpus}/"): name for name in below if _import().docs_parent_id(name) == corpus}
    if not found:
        raise CallError(f"'{IRDS[0]}{identifier}' has no queries with relevance labels: expected {', '.join(_NEEDED)}")
    return found


def _is_complete(identifier: str) -> bool:
    dataset = _open(identifier)
    return all(dataset.has(part) for part in _NEEDED)


def _as_record(item: Any, location: str) -> dict[str, Any]:
    """Return id, title and text of a document or query of any of the library's types."""
    found = item._asdict()
    name = found.get("doc_id", found.get("query_id"))
    title, text = found.get(_TITLE), found.get(_TEXT)
    default = item.default_text() if hasattr(item, "default_text") else None
    if "doc_id" in found and isinstance(title, str) and isinstance(text, str):
        joined = f"{title} {text}".strip()
        if default is None or default.strip() == joined:
            return {"_id": name, _TITLE: title, _TEXT: text}
    if default is None and not isinstance(text, str):
        kind, fields = type(item).__name__, ", ".join(found)
        raise DataError(f"{location}: {kind} has no text that stands for it (its fields: {fields})")
    return {"_id": name, _TEXT: text if default is None else default}


def _read_labels(identifier: str) -> list[Judgement]:
    try:
        found = list(_open(identifier).qrels_iter())
    except ProbeError:
        raise
    except Exception as error:  # downloads and parsers each raise their own types
        raise _unreadable(identifier, error) from error
    return [
        judge(f"{identifier} qrels:{number}", (row.query_id, row.doc_id, row.relevance), _LABELS)
        for number, row in enumerate(found, 1)
    ]


def _unreadable(identifier: str, error: Exception) -> DataError:
    return DataError(f"ir_datasets cannot read '{identifier}' ({type(error).__name__}: {first_line(error)})")
