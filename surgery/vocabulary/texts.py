"""The texts that decide which tokens stay: of files, folders of documents, data sets, or in memory."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from probe.data.dataset import Dataset
from probe.data.texts import Documents, Texts
from probe.documents.passages import TITLE_MARK
from probe.errors import CallError, DataError, check_type
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.files import SkippedFile, find_files
from probe.formats.registry import find_format, read_documents
from probe.models.info import ModelProfile
from probe.sources.loading import is_address
from surgery.vocabulary.dataset_texts import holds_dataset, read_all_texts

__all__ = ["TextSource", "TrimTexts", "read_sources"]

TrimTexts = str | Path | Dataset | Sequence[str | Path | Dataset] | Mapping[str, Sequence[str]]

_LOG = logging.getLogger(__name__)
_EXPECTED = "a file, a folder, a data set, a list of them, or texts as {'mine': texts}"


@dataclass(frozen=True)
class TextSource:
    """Texts from one place, which can be read repeatedly.

    Attributes:
        name: Name of the file, folder or data set, without the path.
        documents: Documents; texts that can be either if there are no queries.
        queries: Queries.
    """

    name: str
    documents: Documents
    queries: Texts = field(default=Texts((), ()))

    def __len__(self) -> int:
        return len(self.documents) + len(self.queries)

    def plain(self) -> Iterator[str]:
        """Yield the texts without prompts."""
        for side in (self.documents, self.queries):
            yield from (text for _, text in side)

    def prompted(self, model: ModelProfile) -> Iterator[str]:
        """Yield the texts as a model reads them; those that can be queries or documents with both prompts."""
        for _, text in self.documents:
            yield from (prompt + text for prompt in self._prompts(model))
        for _, text in self.queries:
            yield model.query_prompt + text

    def count(self, model: ModelProfile) -> int:
        """Return the number of prompted texts."""
        return len(self.documents) * len(self._prompts(model)) + len(self.queries)

    def _prompts(self, model: ModelProfile) -> list[str]:
        both = (model.document_prompt,) if len(self.queries) else (model.document_prompt, model.query_prompt)
        return list(dict.fromkeys(both))


def read_sources(texts: TrimTexts) -> list[TextSource]:
    """Read texts, or open those that can be streamed.

    Args:
        texts: Files of any format that `probe data build` reads, folders of them, or data sets by name, path or value,
            one or several; or a mapping from names to texts. Of a data set, documents and queries are read, in BEIR's
            format those of all splits, but no relevance labels.

    Raises:
        CallError: A file or data set does not exist, or nothing was given.
        DataError: One cannot be read, or has no text.
    """
    if isinstance(texts, Sequence | Mapping) and not texts:
        raise CallError(f"no texts: expected {_EXPECTED}")
    if isinstance(texts, Mapping):
        return [TextSource(name, Texts.number(given, name)) for name, given in texts.items()]
    several = [texts] if isinstance(texts, str | Path | Dataset) else texts
    check_type("texts", several, Sequence, expected=_EXPECTED)
    return [_read(one) for one in several]


def _read(given: str | Path | Dataset) -> TextSource:
    check_type("texts", given, str | Path | Dataset, expected=_EXPECTED)
    if isinstance(given, Dataset) or _is_dataset(str(given)):
        found = read_all_texts(given if isinstance(given, Dataset) else str(given))
        source = TextSource(Path(found.name).name, found.documents, found.queries)
    else:
        path = Path(given)
        source = TextSource(path.resolve().name, Texts.number(list(_read_path(path)), str(path)))
    if not len(source):
        raise DataError(f"'{given}' has no texts: expected at least one")
    return source


def _is_dataset(given: str) -> bool:
    """Return whether a name or path is a data set instead of a file or folder of documents."""
    path = Path(given)
    if is_address(given):
        return True
    if path.is_dir():
        return holds_dataset(path)
    return find_format(path) is None and (not path.exists() or os.path.splitext(given)[1].lower() == ".zip")


def _read_path(path: Path) -> Iterator[str]:
    """Yield the texts of a file, or of all files in a folder that can be read."""
    if not path.is_dir():
        if not path.exists():
            raise CallError(f"file '{path}' not found")
        try:
            yield from _texts_of(SourceFile(path, path.name))
        except UnreadableFile as error:
            raise DataError(f"'{path}': {error}") from error
        return
    for file in find_files([path]):
        if isinstance(file, SkippedFile):
            _warn(file.name, file.reason, failed=file.failed)
            continue
        try:
            yield from _texts_of(file)
        except UnreadableFile as error:
            _warn(file.name, str(error), failed=True)


def _warn(name: str, why: str, *, failed: bool) -> None:
    """Log a file whose tokens are unknown; those of unknown types are expected in any folder."""
    _LOG.log(logging.WARNING if failed else logging.DEBUG, "%s is not read: %s", name, why)


def _texts_of(file: SourceFile) -> Iterator[str]:
    for document in read_documents(file, RecordFields()):
        yield from document.questions
        yield from _sections(document)


def _sections(document: Document) -> Iterator[str]:
    """Yield the sections of a document with their headings, in the form of a data set built from it."""
    groups: Any = groupby(document.blocks, key=lambda block: block.headings)
    for headings, blocks in groups:
        title = TITLE_MARK.join(dict.fromkeys(filter(None, (document.title, *headings))))
        yield f"{title} {chr(10).join(block.text for block in blocks)}".strip()
