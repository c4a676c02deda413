"""Batches of cached states, drawn in advance from a seed; no text is encoded during training.

Row numbers count documents first, then queries. A `BatchSchedule` has one batch of rows per step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptors.fitting.states import FitData
from probe.errors import CallError

__all__ = [
    "FEWEST_TEXTS",
    "BatchSchedule",
    "Split",
    "StateCollator",
    "draw_pairs",
    "draw_rankings",
    "draw_texts",
    "split_pairs",
    "split_texts",
]

# Minimum number of documents, and of queries with relevance labels; some of them are held out.
FEWEST_TEXTS = 5
_HELD_OUT = 0.1
_HELD_OUT_QUERIES = 0.2
_ANCHORS = 256
_CANDIDATES = 1024

# Batches of rows by column name, in the order of the loss's inputs.
BatchSchedule = dict[str, list[list[int]]]


@dataclass(frozen=True)
class Split:
    """Training rows and held-out rows.

    Attributes:
        train: Rows of texts `(N,)`, or query row, document row and grade `(P, 3)`.
        held_out: The same for held-out rows.
    """

    train: Tensor
    held_out: Tensor


def split_texts(data: FitData, seed: int) -> Split:
    """Hold out a tenth of the documents (at least two) and a tenth of the queries, but no more than are looked at.

    Held-out documents are not trained on, and the corpus is what is searched in the end: each costs a little.

    Raises:
        CallError: There are too few documents.
    """
    documents, queries = len(data.documents), len(data.queries)
    if documents < FEWEST_TEXTS:
        raise CallError(f"cannot train on {documents} documents: expected at least {FEWEST_TEXTS}")
    rng = torch.Generator().manual_seed(seed)
    train, held_out = [], []
    # A single held-out document has no other to be compared with, so its loss would never improve.
    for first, count, least in ((0, documents, 2), (documents, queries, 1)):
        rows = first + torch.randperm(count, generator=rng)
        few = min(_ANCHORS // 2, max(least, round(count * _HELD_OUT))) if count > least else 0
        train.append(rows[few:])
        held_out.append(rows[:few])
    return Split(torch.cat(train), torch.cat(held_out))


def split_pairs(data: FitData, seed: int) -> Split:
    """Hold out a fifth of the queries with relevance labels, with all their labels.

    Raises:
        CallError: There are too few queries with relevance labels.
    """
    judged = torch.unique(data.pairs[:, 0])
    if len(judged) < FEWEST_TEXTS:
        raise CallError(
            f"--labels {data.labels}: cannot train on {len(judged)} queries with relevance labels: expected at least "
            f"{FEWEST_TEXTS}"
        )
    few = max(1, round(len(judged) * _HELD_OUT_QUERIES))
    chosen = judged[torch.randperm(len(judged), generator=torch.Generator().manual_seed(seed))[:few]]
    is_held_out = torch.isin(data.pairs[:, 0], chosen)
    return Split(data.pairs[~is_held_out], data.pairs[is_held_out])


def draw_texts(rows: Tensor, batch: int, steps: int, *, seed: int) -> BatchSchedule:
    """Draw batches of texts without repetition inside a batch."""
    rng = torch.Generator().manual_seed(seed)
    return {"text": [rows[torch.randperm(len(rows), generator=rng)[:batch]].tolist() for _ in range(steps)]}


def draw_rankings(split: Split, documents: int, steps: int, *, seed: int) -> tuple[BatchSchedule, BatchSchedule]:
    """Draw batches of anchors (half of them queries, if there are any) and of candidate documents.

    Args:
        split: Rows of texts; held-out anchors are ranked against the candidates of both sides.
        documents: Number of documents; rows from this number on are queries.
        steps: Number of training batches.
        seed: Random seed.

    Returns:
        The training batches, and one held-out batch.
    """
    rng = torch.Generator().manual_seed(seed)
    known = split.train[split.train < documents]
    every = torch.cat([known, split.held_out[split.held_out < documents]])
    return (
        _draw_rankings(split.train, documents, known, steps=steps, rng=rng),
        _draw_rankings(split.held_out, documents, every, steps=1, rng=rng),
    )


def _draw_rankings(
    rows: Tensor, documents: int, candidates: Tensor, *, steps: int, rng: torch.Generator
) -> BatchSchedule:
    texts, queries = rows[rows < documents], rows[rows >= documents]
    asked = _ANCHORS // 2 if len(queries) else 0
    schedule: BatchSchedule = {"anchor": [], "candidate": []}
    for _ in range(steps):
        anchors = [_pick(queries, asked, rng)] if asked else []
        anchors.append(_pick(texts, _ANCHORS - asked, rng))
        schedule["anchor"].append(torch.cat(anchors).tolist())
        schedule["candidate"].append(candidates[torch.randperm(len(candidates), generator=rng)[:_CANDIDATES]].tolist())
    return schedule


def draw_pairs(pairs: Tensor, documents: int, batch: int, *, steps: int, seed: int) -> BatchSchedule:
    """Draw queries, each with one of its relevant documents; queries and documents are unique within a batch.

    Args:
        pairs: Query row, document row and grade `(P, 3)`.
        documents: Number of documents; query rows come after them.
        batch: Maximum number of pairs in a batch.
        steps: Number of batches.
        seed: Random seed.

    Returns:
        Columns `query` and `document`.
    """
    rng = torch.Generator().manual_seed(seed)
    queries, counts = torch.unique(pairs[:, 0], return_counts=True)
    ordered = pairs[pairs[:, 0].argsort(stable=True), 1]
    firsts = counts.cumsum(0) - counts
    schedule: BatchSchedule = {"query": [], "document": []}
    for _ in range(steps):
        picked = torch.randperm(len(queries), generator=rng)[:batch]
        chosen = firsts[picked] + (torch.rand(len(picked), generator=rng) * counts[picked]).long()
        # A document drawn for two queries would be its own in-batch negative.
        found = dict(reversed(list(zip(ordered[chosen].tolist(), (documents + queries[picked]).tolist(), strict=True))))
        schedule["query"].append(list(found.values()))
        schedule["document"].append(list(found))
    return schedule


def _pick(rows: Tensor, count: int, rng: torch.Generator) -> Tensor:
    return rows[torch.randint(0, len(rows), (count,), generator=rng)]


class StateCollator:
    """A data collator for sentence-transformers' trainer that looks up cached states by row.

    Attributes:
        valid_label_columns: Empty: labels are looked up, not read from a column.
    """

    def __init__(self, data: FitData, with_labels: bool = False) -> None:
        """Prepare lookups of states and, with labels, of the grades of the first column's rows."""
        self.valid_label_columns: list[str] = []
        self._states = data.texts
        self._targets = None if data.is_final else data.targets
        self._grades = _grades(data) if with_labels else None

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        """Return a batch: per column, states `(B, D)`, rows `(B,)` and optional targets `(B, F)`."""
        (drawn,) = rows
        batch: dict[str, Tensor] = {}
        for column, numbers in drawn.items():
            # Read by a tensor of rows, not by a list: ten times as fast.
            rows_of = batch[f"{column}_row"] = torch.tensor(numbers)
            batch[f"{column}_sentence_embedding"] = self._states.index_select(0, rows_of)
            if self._targets is not None:
                batch[f"{column}_target"] = self._targets.index_select(0, rows_of)
        if self._grades is not None and len(drawn) == 2:
            queries, documents = drawn.values()
            grades = [[self._grades.get((query, document), 0) for document in documents] for query in queries]
            batch["label"] = torch.tensor(grades, dtype=torch.float32)
        return batch


def _grades(data: FitData) -> dict[tuple[int, int], int]:
    """Return the grades by query row and document row."""
    queries = data.pairs[:, 0] + len(data.documents)
    return {
        (query, document): grade
        for query, document, grade in zip(queries.tolist(), *data.pairs[:, 1:].T.tolist(), strict=True)
    }
