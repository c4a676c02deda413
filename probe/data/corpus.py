"""A corpus in files, streamed from the start or from any document."""

import zlib
from array import array
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Defects, SharedIds, SharedIdsBuilder
from probe.data.records import JsonLines, OpenJsonLines, Record, Records, read_unique, text_of
from probe.data.texts import BLOCK, Documents, EqualTexts, TextHash, TextKeys, Texts
from probe.errors import DataError
from probe.io.text_lines import Mark

__all__ = ["Corpus", "CorpusScan", "NamedDocument", "find_positions", "read_named", "scan_corpus"]


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
        id_keys: Eight-byte keys of the ids `(N,)`, which only this process can compare; None in a pickled copy.
    """

    records: Records
    count: int
    text_hash: str
    index: NDArray[np.int64] = field(repr=False, compare=False)
    equal_texts: EqualTexts = field(repr=False, compare=False)
    id_keys: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the keys: Python hashes strings in another way in every process."""
        return {**self.__dict__, "id_keys": None}

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

    def find(self, names: Collection[str]) -> dict[str, int]:
        """Return the positions of documents by id, in file order; ids that are not in the corpus are left out."""
        keys = {hash(name): name for name in names}
        if self.id_keys is not None and len(keys) == len(names):
            rows = np.flatnonzero(np.isin(self.id_keys, np.fromiter(keys, np.int64, len(keys)))).tolist()
            if len(rows) <= len(keys):
                return {keys[int(self.id_keys[row])]: row for row in rows}
        ids = (entry.record["_id"] for entry in self.records.entries())
        return {name: row for row, name in enumerate(ids) if name in names}

    def pick(self, names: Collection[str]) -> Iterator[Record]:
        """Yield the records of documents, in file order; of the files, only the blocks that hold them are parsed.

        Raises:
            DataError: If the files have changed since the corpus was opened.
        """
        wanted = self.find(names)
        with _opened(self.records) as records:
            for block in sorted({row // BLOCK for row in wanted.values()}):
                entries = records.entries(Mark(*map(int, self.index[block, :2])))
                checksum = 0
                for entry in islice(entries, min(BLOCK, self.count - block * BLOCK)):
                    checksum = _add_to(checksum, (entry.record["_id"], text_of(entry.record)))
                    if entry.record["_id"] in wanted:
                        yield entry.record
                if checksum != self.index[block, 2]:
                    raise self._changed()

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
    digest, count, found, index, ids = TextHash(), 0, set(), array("q"), array("q")
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
        ids.append(hash(row[0]))
        if count % BLOCK == 0:
            index.extend((*mark, 0))
        index[-1] = _add_to(index[-1], row)
        count += 1
    blocks = np.array(index, np.int64).reshape(-1, 3)
    id_keys = np.frombuffer(ids, np.int64) if ids else np.empty(0, np.int64)
    corpus = Corpus(records, count, digest.hexdigest(), blocks, keys.find_equal(), id_keys)
    return CorpusScan(corpus, found, shared.build())


class NamedDocument(NamedTuple):
    """A document that was looked up.

    Attributes:
        text: Its text.
        source: The file that it was made from, by the metadata of the corpus; empty if unknown.
    """

    text: str
    source: str = ""


def read_named(documents: Documents, names: Collection[str]) -> dict[str, NamedDocument]:
    """Return documents by id, in the order of the corpus; a corpus in files is parsed only where they are."""
    if not isinstance(documents, Corpus):
        return {name: NamedDocument(text) for name, text in documents if name in names}
    return {record["_id"]: NamedDocument(text_of(record), _source_of(record)) for record in documents.pick(names)}


def find_positions(documents: Documents, names: Collection[str]) -> dict[str, int]:
    """Return the positions of documents by id; a corpus in files is not parsed."""
    if isinstance(documents, Corpus):
        return documents.find(names)
    return {name: row for row, (name, _) in enumerate(documents) if name in names}


@contextmanager
def _opened(records: Records) -> Iterator[Records]:
    """Keep a JSONL file open within the block, so that parts in rising order decompress every byte once."""
    if not isinstance(records, JsonLines):
        yield records
        return
    with closing(OpenJsonLines(records.path)) as opened:
        yield opened


def _source_of(record: Record) -> str:
    metadata = record.get("metadata")
    return str(metadata.get("source") or "") if isinstance(metadata, dict) else ""


def _add_to(checksum: int, row: tuple[str, str]) -> int:
    return zlib.crc32("\0".join(row).encode("utf-8", "surrogatepass"), checksum)
