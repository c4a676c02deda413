"""Plain text, of any size: paragraphs between blank lines."""

from collections.abc import Iterator
from typing import IO

from probe.formats.decoding import open_text
from probe.formats.document import Block, Document, RecordFields, SourceFile

__all__ = ["paragraphs", "read"]

# Characters per document; larger files become several documents with one id.
_PART = 1 << 20
# A line or paragraph longer than this is split.
_LONGEST = 1 << 16


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the documents of a text file: one per MiB.

    Raises:
        UnreadableFile: If it is binary, empty or unreadable.
    """
    blocks: list[Block] = []
    size = 0
    with open_text(file.path) as lines:
        for paragraph in paragraphs(lines):
            blocks.append(Block(paragraph))
            size += len(paragraph)
            if size >= _PART:
                yield Document(file.name, file.name, "", tuple(blocks))
                blocks, size = [], 0
    if blocks:
        yield Document(file.name, file.name, "", tuple(blocks))


def paragraphs(lines: IO[str]) -> Iterator[str]:
    """Yield paragraphs with collapsed white space, without underlines and other rules."""
    held: list[str] = []
    size = 0
    while line := lines.readline(_LONGEST):
        words = " ".join(line.split())
        if held and (not words or size > _LONGEST):
            yield " ".join(held)
            held, size = [], 0
        if any(character.isalnum() for character in words):
            held.append(words)
            size += len(words)
    if held:
        yield " ".join(held)
