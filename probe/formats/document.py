"""A file as its reader returns it: plain-text blocks with the headings above them, links and questions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probe.errors import DataError

__all__ = [
    "Block",
    "BlockKind",
    "Document",
    "Link",
    "PartlyRead",
    "Reader",
    "RecordFields",
    "SourceFile",
    "UnreadableFile",
]

BlockKind = Literal["prose", "list", "table", "code"]


class UnreadableFile(DataError):
    """A file that cannot be read; its message is the reason alone, without the file's name."""


class PartlyRead(UnreadableFile):
    """A file of which some records cannot be read; raised after the last good one."""


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: Where it is.
        name: Its path relative to the folder that was given, with `/`; the id of its documents.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class RecordFields:
    """Names of the columns or keys of files with records; None: the usual names.

    Attributes:
        text: Column of the text.
        title: Column of the title.
        id: Column of the id.
    """

    text: str | None = None
    title: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Block:
    """A paragraph, list item, table row or piece of code.

    Attributes:
        text: Plain text without markup. White space is collapsed, except in code.
        headings: The headings above it, outermost first, as plain text.
        kind: Only `prose` and `list` can lend queries.
        anchor: Fragment by which links refer to the nearest heading above it; empty if there is none.
    """

    text: str
    headings: tuple[str, ...] = ()
    kind: BlockKind = "prose"
    anchor: str = ""


@dataclass(frozen=True)
class Link:
    """A link to another place in the same collection of files.

    Attributes:
        text: The link's text, without markup.
        target: Relative path, fragment or both, as written: `../install.md#linux`.
    """

    text: str
    target: str


@dataclass(frozen=True)
class Document:
    """A file, a part of a large file, or a record of a file with records.

    Attributes:
        id: The record's own id, or the file's name. Parts of a large file have the same id.
        path: The file's name.
        title: Title of the document; empty if there is none.
        blocks: Its contents in reading order.
        links: Links in it, without links to other sites.
        questions: Questions that it answers, from files with a column of questions.
        line: Line of the record, in JSON and Parquet its number, from 1; None for whole files.
        dropped: Number of navigation elements and licence headers that were left out.
    """

    id: str
    path: str
    title: str
    blocks: tuple[Block, ...]
    links: tuple[Link, ...] = ()
    questions: tuple[str, ...] = ()
    line: int | None = None
    dropped: int = 0


Reader = Callable[[SourceFile, RecordFields], Iterator[Document]]
