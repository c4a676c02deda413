"""Files to passages: read, without boilerplate and duplicates, with ids."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from probe.documents.boilerplate import BlockCounts, drop_boilerplate
from probe.documents.headings import heading_phrases
from probe.documents.passages import Passage, split_document
from probe.documents.terms import TermTable
from probe.documents.token_count import TokenCounter, count_by_words
from probe.errors import DataError
from probe.formats.document import Document, PartlyRead, RecordFields, SourceFile, UnreadableFile
from probe.formats.files import SkippedFile
from probe.formats.reading_report import ReadingReport, format_name
from probe.formats.registry import find_format, read_documents
from probe.metrics.duplicates import cluster_near_duplicates, signature, text_key
from probe.store.spool import Spool

__all__ = ["Intake", "PassageIds", "Progress", "is_document_file", "read_files", "read_texts", "take_in"]

Progress = Callable[[str, int, int], None]
_WHITE_SPACE = re.compile(r"[\s\x00-\x1f\x7f]")
_EXAMPLES = 3
_WORDS = 150


def read_files(
    files: list[SourceFile | SkippedFile],
    fields: RecordFields,
    spool: Spool[Document],
    *,
    strict: bool = False,
    progress: Progress,
) -> tuple[ReadingReport, BlockCounts]:
    """Read files into a spool, and count their blocks.

    Raises:
        DataError: If `strict` and a file cannot be read.
    """
    report, counts = ReadingReport(), BlockCounts()
    total = sum(isinstance(one, SourceFile) for one in files)
    for file in files:
        if isinstance(file, SkippedFile):
            if strict and file.failed:
                raise DataError(f"'{file.name}': {file.reason}; without --strict, it is skipped")
            report.skip(file)
            continue
        progress("reading", 1, total)
        try:
            _read_file(file, fields, spool, report=report, counts=counts)
        except UnreadableFile as error:
            if strict:
                raise DataError(f"'{file.name}': {error}; without --strict, it is skipped") from error
            skipped = SkippedFile(file.name, str(error))
            if isinstance(error, PartlyRead):
                report.read_partly(skipped, kind=format_name(file.path))
            else:
                report.skip(skipped, kind=format_name(file.path))
    return report, counts


def _read_file(
    file: SourceFile, fields: RecordFields, spool: Spool[Document], *, report: ReadingReport, counts: BlockCounts
) -> None:
    begun = False
    for document in read_documents(file, fields):
        counts.add(document, same_file=begun)
        if not begun:
            report.add_file(file)
        begun = True
        report.add_document(file, document)
        spool.add(document)
    if not begun:
        raise UnreadableFile("no text")


class PassageIds:
    """Ids of passages: the document's id, with `#2` and so on after the first; no two alike."""

    def __init__(self) -> None:
        """Create an empty register."""
        self._owners: dict[str, tuple[str, int | None]] = {}
        self._counts: dict[str, int] = {}
        self.clashes: list[str] = []

    def document_id(self, document: Document) -> str:
        """Return the id of a document; the file and line if another one has the same."""
        name = _without_space(document.id)
        owner = (document.path, document.line)
        if not self._is_passage(name) and self._owners.setdefault(name, owner) == owner:
            return name
        self.clashes.append(f"'{document.id}' in {document.path}:{document.line or 1}")
        other = _without_space(f"{document.path}:{document.line or 1}")
        self._owners.setdefault(other, owner)
        return other

    def next(self, document: str) -> str:
        """Return the id of the next passage of a document."""
        while True:
            count = self._counts[document] = self._counts.get(document, 0) + 1
            name = document if count == 1 else f"{document}#{count}"
            if count == 1 or name not in self._owners:
                return name

    def _is_passage(self, name: str) -> bool:
        """Return whether a further passage of another document has a name already."""
        document, _, number = name.rpartition("#")
        return number.isdecimal() and 2 <= int(number) <= self._counts.get(document, 0)


def _without_space(name: str) -> str:
    return _WHITE_SPACE.sub(lambda found: quote(found[0]), name.encode("utf-8", "replace").decode("utf-8"))


@dataclass
class Intake:
    """What came in.

    Attributes:
        terms: Frequencies of words and headings.
        passages: Number of passages.
        exact_duplicates: Number of passages dropped because another has the same words.
        boilerplate: Number of blocks dropped because many files have them.
        boilerplate_examples: The first of these.
        clashes: Record ids that were taken already, with file and line.
        near_duplicates: Numbers of the passages that nearly equal another.
    """

    terms: TermTable = field(default_factory=TermTable)
    passages: int = 0
    exact_duplicates: int = 0
    boilerplate: int = 0
    boilerplate_examples: list[str] = field(default_factory=list)
    clashes: list[str] = field(default_factory=list)
    near_duplicates: set[int] = field(default_factory=set)


def take_in(
    documents: Spool[Document],
    counts: BlockCounts,
    counter: TokenCounter,
    *,
    spool: Spool[list[Passage]],
    progress: Progress,
) -> Intake:
    """Split documents into passages and write those that differ into a spool, a list per document."""
    intake, ids, seen = Intake(), PassageIds(), set[bytes]()
    signatures = bytearray()
    for document in documents:
        progress("splitting", 1, len(documents))
        passages = []
        for passage in _split(document, counts, counter, intake=intake, ids=ids):
            key = text_key(passage.text)
            if key in seen:
                intake.exact_duplicates += 1
                continue
            seen.add(key)
            passages.append(replace(passage, id=ids.next(passage.document)))
        for passage in passages:
            intake.terms.add_passage(f"{passage.title}\n{passage.text}")
            signatures += signature(passage.text).tobytes()
        for headings in {passage.headings for passage in passages if passage.headings}:
            intake.terms.add_phrases(heading_phrases(headings))
        intake.passages += len(passages)
        spool.add(passages)
    intake.clashes = ids.clashes
    intake.near_duplicates = _near(cluster_near_duplicates(np.frombuffer(signatures, np.uint8)))
    return intake


def _split(
    document: Document, counts: BlockCounts, counter: TokenCounter, *, intake: Intake, ids: PassageIds
) -> Iterator[Passage]:
    document, dropped = drop_boilerplate(document, counts)
    intake.boilerplate += len(dropped)
    intake.boilerplate_examples += dropped[: _EXAMPLES - len(intake.boilerplate_examples)]
    yield from split_document(replace(document, id=ids.document_id(document)), counter)


def _near(clusters: list[int]) -> set[int]:
    sizes: dict[int, int] = {}
    for cluster in clusters:
        sizes[cluster] = sizes.get(cluster, 0) + 1
    return {number for number, cluster in enumerate(clusters) if sizes[cluster] > 1}


def is_document_file(path: Path) -> bool:
    """Return whether a file's format can be read, by its name."""
    return find_format(path) is not None


def read_texts(path: Path) -> Iterator[str]:
    """Yield the passages of a file, of about 150 words, each with its headings before it.

    Args:
        path: A file of any format of `probe.formats`.

    Raises:
        DataError: If the file cannot be read.
    """
    counter = count_by_words(_WORDS)
    try:
        for document in read_documents(SourceFile(path, path.name), RecordFields()):
            for passage in split_document(document, counter):
                yield f"{' '.join(passage.headings)} {passage.text}".strip()
    except UnreadableFile as error:
        raise DataError(f"'{path}': {error}") from error
