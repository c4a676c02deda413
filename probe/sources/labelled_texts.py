"""Texts with labels for trained probes: from a file, or the embedded docstrings labelled by package."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probe.data.dataset import DEFAULT_DATASET, Defects
from probe.data.texts import TextHash, Texts, spread
from probe.errors import CallError, DataError, check_type
from probe.io.column_files import RECORD_FILES, column_text, read_columns

__all__ = ["PACKAGES", "LabelledTexts", "limit_texts", "load_labelled_texts"]

PACKAGES = "docstrings without their summary lines, each with its package as the label; many texts name their package"


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with one label each.

    Attributes:
        name: Name of the file, or `docstrings`.
        texts: N texts.
        labels: Their labels `(N,)`.
        synthetic: How the labels were generated; empty for labels given by people.
        defects: Non-fatal defects of the file, with file and line.
        limited: Whether texts were dropped by `limit`.
    """

    name: str
    texts: Texts
    labels: tuple[str, ...]
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False

    @cached_property
    def classes(self) -> Counter[str]:
        """Number of texts per label, most frequent first, then alphabetical."""
        counts = Counter(self.labels)
        return Counter({name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))})

    @cached_property
    def label_hash(self) -> str:
        """Return the sha256 of the labels."""
        return TextHash.of((name,) for name in self.labels)


def load_labelled_texts(name: str | Path, limit: int | None = None, fewest: int = 1) -> LabelledTexts:
    """Load labelled texts by name or path.

    Args:
        name: `docstrings`, or a JSONL or CSV file with `text` and `label`.
        limit: Keep about this many texts, the same share of each label.
        fewest: Minimum number of texts per label kept by `limit`, where available.

    Returns:
        The texts; duplicates with the same label count once.

    Raises:
        CallError: If the file does not exist or the limit is out of range.
        DataError: If the file is malformed or has fewer than two labels.
    """
    check_type("texts", name, str | Path, expected="docstrings, or the path of a file")
    texts = _label_docstrings() if name == DEFAULT_DATASET and not os.path.exists(name) else _read_file(Path(name))
    if len(texts.classes) < 2:
        one = f"every text has the label '{texts.labels[0]}'" if texts.labels else "it has no texts"
        raise DataError(f"'{name}': {one}; expected texts with at least two labels")
    return texts if limit is None else limit_texts(texts, limit, fewest)


def limit_texts(texts: LabelledTexts, limit: int, fewest: int) -> LabelledTexts:
    """Keep about `limit` texts, spread evenly over the texts of each label."""
    if limit < 1:
        raise CallError(f"--limit {limit} is out of range: expected at least 1 text")
    if limit >= len(texts.labels):
        return texts
    labels = np.array(texts.labels)
    kept: list[int] = []
    for name, count in texts.classes.items():
        wanted = max(round(limit * count / len(labels)), min(fewest, count))
        kept += np.flatnonzero(labels == name)[list(spread(count, wanted))].tolist()
    kept.sort()
    few = Texts(tuple(texts.texts.ids[row] for row in kept), tuple(texts.texts.texts[row] for row in kept))
    return replace(texts, texts=few, labels=tuple(texts.labels[row] for row in kept), limited=True)


def _label_docstrings() -> LabelledTexts:
    from probe.sources.docstrings import package_of, read_docstrings

    documents = Texts.gather(read_docstrings().documents)
    return LabelledTexts(DEFAULT_DATASET, documents, tuple(map(package_of, documents.ids)), PACKAGES)


def _read_file(path: Path) -> LabelledTexts:
    if not path.is_file():
        expected = f"{DEFAULT_DATASET}, or a file ending in {' or '.join(RECORD_FILES)} with text and label"
        raise CallError(f"labelled data set '{path}' not found: expected {expected}")
    defects = Defects()
    texts: list[str] = []
    labels: list[str] = []
    seen: dict[str, dict[str, str]] = {}
    for location, record in read_columns(path, ("text", "label")):
        text, given = column_text(record, "text", location), _label_of(record["label"], location)
        before = seen.setdefault(text, {})
        if given in before:
            defects.add("duplicate texts with the same label (counted once)", location)
            continue
        if before:
            defects.add("duplicate texts with different labels (kept, although one must be wrong)", location)
        if not text:
            defects.add("empty texts", location)
        before[given] = location
        texts.append(text)
        labels.append(given)
    ids = tuple(str(number) for number in range(1, len(texts) + 1))
    return LabelledTexts(path.name, Texts(ids, tuple(texts)), tuple(labels), defects=defects.summarize())


def _label_of(value: Any, location: str) -> str:
    if isinstance(value, bool | int):
        return str(value).lower()
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{location}: expected a string or an integer as the label, found {value!r}")
    return value.strip()
