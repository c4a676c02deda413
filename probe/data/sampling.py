"""Samples of a data set: fewer documents, fewer queries; a small sample is part of a larger one."""

import copy
import hashlib
from array import array
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

import numpy as np

from probe.data.corpus import Corpus
from probe.data.dataset import Dataset, Qrels
from probe.data.records import JsonLines, OpenJsonLines
from probe.data.texts import BLOCK, Documents, EqualTexts, TextHash, TextKeys, Texts
from probe.errors import CallError

__all__ = ["SampleSize", "read_forward", "sample", "select"]


@dataclass(frozen=True)
class SampleSize:
    """How much of a data set to keep.

    Attributes:
        documents: Approximate number of documents; None: all.
        queries: Number of queries at most; None: all.
        seed: Seed of the order in which ids are drawn; samples of the same seed are nested.
    """

    documents: int | None = None
    queries: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject sizes below one.

        Raises:
            CallError: If a size is out of range.
        """
        for option, size, unit in (("--limit", self.documents, "document"), ("--limit-queries", self.queries, "query")):
            if size is not None and size < 1:
                raise CallError(f"{option} {size} is out of range: expected at least 1 {unit}")


def sample(dataset: Dataset, size: SampleSize) -> Dataset:
    """Return part of a data set: documents in the corpus's order, queries with all their judged documents.

    If the judged documents of all queries fit into the number of documents, all queries are kept, and documents
    without relevance labels are added by the order of their hashed ids. Otherwise queries are drawn by the order of
    their hashed ids, with all their judged documents, until the number is reached; at least one is kept.
    """
    total = len(dataset.documents)
    if (size.documents is None or size.documents >= total) and (
        size.queries is None or size.queries >= len(dataset.qrels)
    ):
        return dataset
    most = total if size.documents is None else min(size.documents, total)
    order = sorted(dataset.qrels, key=lambda query: draw_key(f"query {query}", size.seed))
    drawn = order if size.queries is None else order[: size.queries]
    judged = {name for query in drawn for name in dataset.qrels[query]}
    present = judged if most == total else {name for name, _ in dataset.documents if name in judged}
    fitting = _fit(drawn, dataset.qrels, present, most=most) if len(present) > most else drawn
    documents = dataset.documents
    if most < total:
        kept = {name for query in fitting for name in dataset.qrels[query]} & present
        # Documents of queries left out for the limit are no filling: the next larger sample might lack them.
        documents = select(documents, kept, most if len(fitting) == len(drawn) else len(kept), seed=size.seed)
    return _reduce(dataset, documents, set(fitting))


def _fit(queries: Iterable[str], qrels: Qrels, present: Container[str], *, most: int) -> list[str]:
    """Return the first queries whose judged documents number `most` at the most; at least one query."""
    fitting: list[str] = []
    held: set[str] = set()
    for query in queries:
        more = held | {name for name in qrels[query] if name in present}
        if fitting and len(more) > most:
            break
        fitting.append(query)
        held = more
    return fitting


def _reduce(dataset: Dataset, documents: Documents, queries: Container[str]) -> Dataset:
    return replace(
        dataset,
        documents=documents,
        queries=Texts.gather(row for row in dataset.queries if row[0] in queries),
        qrels={query: docs for query, docs in dataset.qrels.items() if query in queries},
        limited=dataset.limited or len(documents) < len(dataset.documents),
        whole=dataset.whole or (len(dataset.documents), len(dataset.queries)),
    )


def draw_key(name: str, seed: int) -> int:
    """Return a number by which ids are drawn; it depends on the id and the seed alone."""
    text = f"{seed} {name}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def select(documents: Documents, always: Container[str], total: int, *, seed: int = 0) -> Documents:
    """Select about `total` documents.

    Args:
        documents: The whole corpus.
        always: Ids of documents that are always kept.
        total: Total number of documents; others are added by the order of their hashed ids.
        seed: Seed of that order.

    Returns:
        A streamed view of the corpus, in its order.
    """
    kept, keys = 0, array("Q")
    for name, _ in documents:
        if name in always:
            kept += 1
        else:
            keys.append(draw_key(name, seed))
    others = min(max(0, total - kept), len(keys))
    last = int(np.partition(np.frombuffer(keys, np.uint64), others - 1)[others - 1]) if others else -1
    return _Selection(documents, always, last, seed, kept + others)


def read_forward(documents: Documents) -> Documents:
    """Return the same documents for one process that reads parts of them in rising order.

    Their file stays open between the parts: gzip and deflate cannot skip, so that opening it for each part would
    decompress everything before it again.
    """
    if isinstance(documents, _Selection):
        other = copy.copy(documents)
        object.__setattr__(other, "documents", _LastPart(read_forward(documents.documents)))
        return other
    if isinstance(documents, Corpus) and isinstance(documents.records, JsonLines):
        return replace(documents, records=OpenJsonLines(documents.records.path))
    return documents


class _LastPart:
    """Documents with the part read last in memory: parts of a selection begin in the block where one ended."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._read: tuple[tuple[int, int], Texts] | None = None

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._documents)

    def read(self, start: int, count: int) -> Texts:
        """Return up to `count` documents from number `start` on."""
        if self._read is None or self._read[0] != (start, count):
            self._read = (start, count), self._documents.read(start, count)
        return self._read[1]

    @property
    def text_hash(self) -> str:
        """Return the sha256 of all ids and texts."""
        return self._documents.text_hash

    @property
    def equal_texts(self) -> EqualTexts:
        """Return the documents whose text occurs more than once."""
        return self._documents.equal_texts


@dataclass(frozen=True)
class _Selection:
    """A subset of a corpus.

    Attributes:
        documents: The corpus.
        always: Ids of documents that are kept.
        last: Largest key of the others that are kept; -1 if there are none.
        seed: Seed of the keys.
        count: Number of documents.
    """

    documents: Documents
    always: Container[str]
    last: int
    seed: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (row for _, row in self._choose(enumerate(self.documents)))

    def read(self, start: int, count: int) -> Texts:
        """Return up to `count` documents from number `start` on."""
        end = min(start + count, self.count)
        if start >= end:
            return Texts((), ())
        rows = (row for _, row in self._choose(self._rows_from(self._survey[1][start // BLOCK])))
        return Texts.gather(islice(rows, start % BLOCK, start % BLOCK + end - start))

    @cached_property
    def text_hash(self) -> str:
        """Return the sha256 of the selected ids and texts."""
        return self._survey[0]

    @cached_property
    def equal_texts(self) -> EqualTexts:
        """Selected documents whose text occurs more than once."""
        return self._survey[2]

    @cached_property
    def _survey(self) -> tuple[str, list[int], EqualTexts]:
        """Return the hash, the first row of every block, and the equal texts."""
        digest, marks, keys = TextHash(), [], TextKeys()
        for number, (mark, row) in enumerate(self._choose(enumerate(self.documents))):
            if number % BLOCK == 0:
                marks.append(mark)
            digest.add(*row)
            keys.add(row[1])
        return digest.hexdigest(), marks, keys.find_equal()

    def _choose(self, rows: Iterator[tuple[int, tuple[str, str]]]) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the selected rows with their numbers."""
        for number, row in rows:
            if row[0] in self.always or (self.last >= 0 and draw_key(row[0], self.seed) <= self.last):
                yield number, row

    def _rows_from(self, first: int) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the corpus rows from a number on, block by block."""
        for start in range(first // BLOCK * BLOCK, len(self.documents), BLOCK):
            rows = enumerate(self.documents.read(start, BLOCK), start)
            yield from islice(rows, max(0, first - start), None)
