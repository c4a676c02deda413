"""A corpus in files, streamed from the start or from any document."""

import zlib
from array import array
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Defects, SharedIds, SharedIdsBuilder
from probe.data.records import Records, read_unique, text_of
from probe.data.texts import BLOCK, Documents, EqualTexts, TextHash, TextKeys, Texts
from probe.errors import DataError
from probe.io.text_lines import Mark

__all__ = ["Corpus", "CorpusScan", "document_sources", "scan_corpus"]


@dataclass(frozen=True)
class Corpus:
    """A corpus streamed from its files; raises if the files have changed since it was opened.

    It can be pickled: the copy does not scan the files again.

    Attributes:
        records: Records of its files.
        count: Number of documents.
        text_hash: sha256 of all ids and texts.
        index: Per `BLOCK` documents, their start (offset, number) and checksum, `(B, 3)`.
        equal_texts: Documents whose text occurs more than once.
    """

    records: Records
    count: int
    text_hash: str
    index: NDArray[np.int64] = field(repr=False, compare=False)
    equal_texts: EqualTexts = field(repr=False, compare=False)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[str, str]]:
        digest = TextHash()
        for entry in self.records.entries():
            row = entry.record["_id"], text_of(entry.record)
            digest.add(*row)
            yield row
        if digest.hexdigest() != self.text_hash:
            raise self._changed()

    def read(self, start: int, count: int) -> Texts:
        """Return up to `count` documents from number `start` on, skipping all earlier blocks.

        Raises:
            DataError: If the files have changed since the corpus was opened.
        """
        first, end = start // BLOCK, min(start + count, self.count)
        blocks = range(first, -(-end // BLOCK))
        if not blocks:
            return Texts((), ())
        mark = Mark(*map(int, self.index[first, :2]))
        rows = ((entry.record["_id"], text_of(entry.record)) for entry in self.records.entries(mark))
        found = [row for block in blocks for row in self._read_block(rows, block)]
        return Texts.gather(found[start - first * BLOCK : end - first * BLOCK])

    def _read_block(self, rows: Iterator[tuple[str, str]], block: int) -> list[tuple[str, str]]:
        found, checksum = list(islice(rows, min(BLOCK, self.count - block * BLOCK))), 0
        for row in found:
            checksum = _add_to(checksum, row)
        if checksum != self.index[block, 2]:
            raise self._changed()
        return found

    def _changed(self) -> DataError:
        return DataError(f"{self.records.name} was changed while being read: run again")


class CorpusScan(NamedTuple):
    """Result of scanning a corpus.

    Attributes:
        corpus: The corpus.
        judged: Ids with relevance labels that exist in the corpus.
        shared_ids: Ids that the corpus shares with the queries.
    """

    corpus: Corpus
    judged: set[str]
    shared_ids: SharedIds


def scan_corpus(
    records: Records, judged: Container[str], queries: Mapping[str, str], *, defects: Defects
) -> CorpusScan:
    """Read a corpus once, to the end.

    Args:
        records: Records of its files.
        judged: Ids of documents to look for.
        queries: Query texts by id, to find documents that equal a query.
        defects: Collects defects found.

    Raises:
        DataError: If a record is malformed or an id is not unique.
    """
    digest, count, found, index = TextHash(), 0, set(), array("q")
    keys, shared = TextKeys(), SharedIdsBuilder(queries)
    for location, mark, record in read_unique(records):
        row = record["_id"], text_of(record)
        if not row[1]:
            defects.add("empty documents", location)
        if row[0] in judged:
            found.add(row[0])
        shared.add(row[0], row[1], record["text"])
        digest.add(*row)
        keys.add(row[1])
        if count % BLOCK == 0:
            index.extend((*mark, 0))
        index[-1] = _add_to(index[-1], row)
        count += 1
    blocks = np.array(index, np.int64).reshape(-1, 3)
    corpus = Corpus(records, count, digest.hexdigest(), blocks, keys.find_equal())
    return CorpusScan(corpus, found, shared.build())


def document_sources(documents: Documents, names: Container[str]) -> dict[str, str]:
    """Return the source files of documents by id, from the metadata of the corpus.

    Args:
        documents: A corpus; in-memory corpora have no metadata, and reading stops if the first document has none.
        names: Ids to look for.
    """
    if not isinstance(documents, Corpus):
        return {}
    found = {}
    for number, entry in enumerate(documents.records.entries()):
        metadata = entry.record.get("metadata")
        source = metadata.get("source") if isinstance(metadata, dict) else None
        if number == 0 and not source:
            return {}
        if source and entry.record["_id"] in names:
            found[entry.record["_id"]] = str(source)
    return found


def _add_to(checksum: int, row: tuple[str, str]) -> int:
    return zlib.crc32("\0".join(row).encode("utf-8", "surrogatepass"), checksum)
