"""Sentence pairs with similarity scores: from a file, or generated from the embedded docstrings."""

import json
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import DEFAULT_DATASET, Defects
from probe.data.texts import TextHash, Texts, spread
from probe.errors import CallError, DataError, check_type
from probe.io.column_files import RECORD_FILES, column_text, finite_number, read_columns

__all__ = ["DOCSTRING_PAIRS", "FEWEST_PAIRS", "ScoredPairs", "limit_pairs", "load_scored_pairs"]

DOCSTRING_PAIRS = (
    "a docstring's summary line with the rest of a docstring: score 2 = its own, 1 = another one of its module, "
    "0 = one of another package"
)
FEWEST_PAIRS = 3


@dataclass(frozen=True)
class ScoredPairs:
    """Sentence pairs with one score each.

    Attributes:
        name: Name of the file, or `docstrings`.
        parts: Unique sentences, in one or several parts; each part has its own store entry.
        pairs: Indices of both sentences of each pair, counted over all parts.
        scores: Scores of the P pairs.
        synthetic: How the pairs were generated; empty for scores given by people.
        defects: Non-fatal defects of the file, with file and line.
        limited: Whether pairs were dropped by `limit`.
    """

    name: str
    parts: tuple[Texts, ...]
    pairs: tuple[tuple[int, int], ...]
    scores: tuple[float, ...]
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False

    @property
    def gold(self) -> NDArray[np.float64]:
        """The scores `(P,)`."""
        return np.array(self.scores, np.float64)

    @cached_property
    def text_hash(self) -> str:
        """Return the sha256 of all sentences."""
        return TextHash.of((part.text_hash,) for part in self.parts)

    @cached_property
    def score_hash(self) -> str:
        """Return the sha256 of pairs and scores."""
        rows = zip(self.pairs, self.scores, strict=True)
        return TextHash.of((str(left), str(right), repr(score)) for (left, right), score in rows)


def load_scored_pairs(name: str | Path, limit: int | None = None) -> ScoredPairs:
    """Load scored pairs by name or path.

    Args:
        name: `docstrings`, or a JSONL or CSV file with `sentence1`, `sentence2` and `score`.
        limit: Keep about this many pairs, spread evenly over the scores.

    Returns:
        The pairs, in the file's order.

    Raises:
        CallError: If the file does not exist or the limit is out of range.
        DataError: If the file is malformed, has too few pairs, or only one distinct score.
    """
    check_type("pairs", name, str | Path, expected="docstrings, or the path of a file")
    pairs = _pair_docstrings() if name == DEFAULT_DATASET and not os.path.exists(name) else _read_file(Path(name))
    pairs = pairs if limit is None else limit_pairs(pairs, limit)
    if len(pairs.scores) < FEWEST_PAIRS:
        raise DataError(f"'{name}' has {len(pairs.scores)} pairs: expected at least {FEWEST_PAIRS} for a correlation")
    if len(set(pairs.scores)) == 1:
        found = f"all {len(pairs.scores)} pairs have the score {pairs.scores[0]:g}"
        raise DataError(f"'{name}': {found}: expected different scores, a correlation is undefined otherwise")
    return pairs


def limit_pairs(pairs: ScoredPairs, limit: int) -> ScoredPairs:
    """Keep `limit` pairs, spread evenly over the scores, with their sentences.

    Raises:
        CallError: If the limit is out of range.
    """
    if limit < FEWEST_PAIRS:
        raise CallError(f"--limit {limit} is out of range: expected at least {FEWEST_PAIRS} pairs")
    if limit >= len(pairs.scores):
        return pairs
    order = np.argsort(pairs.gold, kind="stable")
    kept = sorted(order[list(spread(len(order), limit))].tolist())
    used = sorted({text for row in kept for text in pairs.pairs[row]})
    number_of = {text: number for number, text in enumerate(used)}
    return replace(
        pairs,
        parts=_select(pairs.parts, set(used)),
        pairs=tuple((number_of[pairs.pairs[row][0]], number_of[pairs.pairs[row][1]]) for row in kept),
        scores=tuple(pairs.scores[row] for row in kept),
        limited=True,
    )


def _select(parts: tuple[Texts, ...], used: set[int]) -> tuple[Texts, ...]:
    found, first = [], 0
    for part in parts:
        rows = [row for number, row in enumerate(part, start=first) if number in used]
        found.append(Texts.gather(rows))
        first += len(part)
    return tuple(part for part in found if len(part))


def _pair_docstrings() -> ScoredPairs:
    """Pair every summary line with one docstring, alternating over the three scores."""
    from probe.sources.docstrings import package_of, read_docstrings

    dataset = read_docstrings()
    documents = Texts.gather(dataset.documents)
    packages = [package_of(name) for name in documents.ids]
    modules: dict[str, list[int]] = {}
    for row, name in enumerate(documents.ids):
        modules.setdefault(name.rpartition(".")[0], []).append(row)
    pairs, scores = [], []
    for row, name in enumerate(documents.ids):
        score = 2 - row % 3
        others = modules[name.rpartition(".")[0]]
        if score == 1 and len(others) > 1:
            partner = others[(others.index(row) + len(others) // 2) % len(others)]
        elif score == 0:
            away = ((row + len(packages) // 2 + step) % len(packages) for step in range(len(packages)))
            partner = next(other for other in away if packages[other] != packages[row])
        else:
            score, partner = 2, row
        pairs.append((len(documents) + row, partner))
        scores.append(float(score))
    return ScoredPairs(DEFAULT_DATASET, (documents, dataset.queries), tuple(pairs), tuple(scores), DOCSTRING_PAIRS)


def _read_file(path: Path) -> ScoredPairs:
    if not path.is_file():
        expected = f"a file ending in {' or '.join(RECORD_FILES)} with sentence1, sentence2 and score"
        raise CallError(f"scored pairs '{path}' not found: expected {DEFAULT_DATASET}, or {expected}")
    defects = Defects()
    numbers: dict[str, int] = {}
    pairs, scores = [], []
    seen: dict[tuple[int, int], float] = {}
    for location, record in read_columns(path, ("sentence1", "sentence2", "score")):
        score = _score_of(record["score"], location)
        texts = [column_text(record, column, location) for column in ("sentence1", "sentence2")]
        left, right = (numbers.setdefault(text, len(numbers)) for text in texts)
        if not all(texts):
            defects.add("pairs with an empty sentence", location)
        if seen.setdefault((left, right), score) != score:
            defects.add("duplicate pairs with different scores (kept)", location)
        pairs.append((left, right))
        scores.append(score)
    texts_once = Texts(tuple(str(number) for number in range(1, len(numbers) + 1)), tuple(numbers))
    return ScoredPairs(path.name, (texts_once,), tuple(pairs), tuple(scores), defects=defects.summarize())


def _score_of(value: Any, location: str) -> float:
    score = finite_number(value)
    if score is None:
        raise DataError(f"{location}: expected a number as the score, found {json.dumps(value)[:60]}")
    return score
