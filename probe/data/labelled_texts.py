"""Texts with a label each, for trained probes: from a file, or the embedded docstrings with their packages."""

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
        name: The file's, or `docstrings`.
        texts: N texts.
        labels: Their labels `(N,)`.
        synthetic: Where the labels come from, where no person gave them; else empty.
        defects: What is wrong with the file without making it useless, with file and line.
        limited: Whether texts were left out by `limit`.
    """

    name: str
    texts: Texts
    labels: tuple[str, ...]
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False

    @cached_property
    def classes(self) -> Counter[str]:
        """How many texts every label has, the commonest first, then in alphabetical order."""
        counts = Counter(self.labels)
        return Counter({name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))})

    @cached_property
    def label_hash(self) -> str:
        """sha256 over the labels."""
        return TextHash.of((name,) for name in self.labels)


def load_labelled_texts(name: str | Path, limit: int | None = None, fewest: int = 1) -> LabelledTexts:
    """Load labelled texts by name or path.

    Args:
        name: `docstrings`, or a JSONL or CSV file with `text` and `label`.
        limit: Keep about this many texts, the same share of every label.
        fewest: Texts of a label that a limit leaves, where it has this many.

    Returns:
        The texts; one that comes again with the same label counts once.

    Raises:
        CallError: There is no such file, or the limit is out of range.
        DataError: The file is malformed, or has fewer than two labels.
    """
    check_type("texts", name, str | Path, expected="docstrings, or the path of a file")
    texts = _label_docstrings() if name == DEFAULT_DATASET and not os.path.exists(name) else _read_file(Path(name))
    if len(texts.classes) < 2:
        one = f"every text has the label '{texts.labels[0]}'" if texts.labels else "it holds no texts"
        raise DataError(f"'{name}': {one}; expected texts of two labels or more")
    return texts if limit is None else limit_texts(texts, limit, fewest)


def limit_texts(texts: LabelledTexts, limit: int, fewest: int) -> LabelledTexts:
    """Keep about `limit` texts, spread evenly over the texts of every label."""
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
    from probe.data.docstrings import package_of, read_docstrings

    documents = Texts.gather(read_docstrings().documents)
    return LabelledTexts(DEFAULT_DATASET, documents, tuple(map(package_of, documents.ids)), PACKAGES)


def _read_file(path: Path) -> LabelledTexts:
    if not path.is_file():
        expected = f"{DEFAULT_DATASET}, or a file ending in {' or '.join(RECORD_FILES)} with text and label"
        raise CallError(f"there is no labelled data set '{path}': expected {expected}")
    defects = Defects()
    texts: list[str] = []
    labels: list[str] = []
    seen: dict[str, dict[str, str]] = {}
    for location, record in read_columns(path, ("text", "label")):
        text, given = column_text(record, "text", location), _label_of(record["label"], location)
        before = seen.setdefault(text, {})
        if given in before:
            defects.add("texts that come again with the same label (counted once)", location)
            continue
        if before:
            defects.add("texts that come again with another label (kept: nothing can get both right)", location)
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
        raise DataError(f"{location}: expected a string or a whole number as the label, found {value!r}")
    return value.strip()
