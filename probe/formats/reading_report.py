"""What became of every file: read or skipped, and why."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.formats.document import Document, SourceFile
from probe.formats.files import SkippedFile
from probe.formats.registry import find_format

__all__ = ["ReadingReport", "SkipCount"]


@dataclass
class SkipCount:
    """Files skipped for one reason, with the name of the first one and its message."""

    count: int = 0
    first: str = ""
    detail: str = ""


@dataclass
class ReadingReport:
    """Counts of files.

    Attributes:
        read: Number of files read, by format.
        documents: Number of documents in them, by format.
        skipped: Files and folders that were not read, by reason.
        partly: Files of which some records were left out, by reason.
        dropped: Number of navigation elements and licence headers left out.
    """

    read: dict[str, int] = field(default_factory=dict)
    documents: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, SkipCount] = field(default_factory=dict)
    partly: dict[str, SkipCount] = field(default_factory=dict)
    dropped: int = 0

    @property
    def files(self) -> int:
        """Number of files read."""
        return sum(self.read.values())

    def add_file(self, file: SourceFile) -> None:
        """Count a file that was read."""
        name = format_name(file.path)
        self.read[name] = self.read.get(name, 0) + 1

    def add_document(self, file: SourceFile, document: Document) -> None:
        """Count a document."""
        name = format_name(file.path)
        self.documents[name] = self.documents.get(name, 0) + 1
        self.dropped += document.dropped

    def skip(self, skipped: SkippedFile, *, kind: str = "") -> None:
        """Count a file that was not read; `kind` is its format, if known."""
        _count(self.skipped, kind, skipped)

    def read_partly(self, skipped: SkippedFile, *, kind: str = "") -> None:
        """Count a file of which records were left out."""
        _count(self.partly, kind, skipped)

    def to_json(self) -> dict[str, Any]:
        """Return the counts."""
        return {
            "read": dict(sorted(self.read.items())),
            "documents": dict(sorted(self.documents.items())),
            "skipped": {reason: vars(count) for reason, count in sorted(self.skipped.items())},
            "partly_read": {reason: vars(count) for reason, count in sorted(self.partly.items())},
            "navigation_dropped": self.dropped,
        }

    def lines(self) -> Iterator[str]:
        """Yield what was read, and a line per reason for what was not."""
        read = sorted(self.read.items(), key=lambda item: (-item[1], item[0]))
        yield f"read: {', '.join(f'{count} {name}' for name, count in read) or 'nothing'}"
        for title, counts in (("skipped", self.skipped), ("read in part", self.partly)):
            for reason, one in sorted(counts.items(), key=lambda item: (-item[1].count, item[0])):
                yield f"{title}: {one.count} {reason} ({one.first})"


def format_name(path: Path) -> str:
    """Return the name of a file's format."""
    found = find_format(path)
    return found.name if found is not None else "unknown"


def _count(counts: dict[str, SkipCount], kind: str, skipped: SkippedFile) -> None:
    short = skipped.reason.partition(" (")[0].partition(": ")[0]
    reason = f"{kind}, {short}" if kind else short
    one = counts.setdefault(reason, SkipCount(0, skipped.name, skipped.reason))
    one.count += 1
