"""PDF files with text (extra `documents`)."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from io import BytesIO

from probe.errors import first_line
from probe.formats.decoding import read_bytes
from probe.formats.document import Block, Document, RecordFields, SourceFile, UnreadableFile

__all__ = ["join_pages", "read"]

_MOST_PAGES = 5000
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad]\s*\n\s*(?=[a-zà-ÿ])")
_NUMBER = re.compile(r"\d+")
# A line on at least this share of the pages, page numbers aside, is a running head; so is the first or last line of
# several pages, such as the name of a chapter.
_RUNNING = 0.5
_FEWEST_PAGES = 4
_FEWEST_EDGES = 3
_PARAGRAPH_END = re.compile(r"(?<=[.!?:])[ \t]*\n(?=\s*[A-Z0-9•–-])|\n[ \t]*\n")


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a PDF file.

    Raises:
        UnreadableFile: If it is damaged, encrypted, without text, or pypdf is not installed.
    """
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise UnreadableFile("needs the extra: pip install 'encoder-surgery[documents]'") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # damage is the reason of UnreadableFile
    try:
        pdf = PdfReader(BytesIO(read_bytes(file.path)))
        if pdf.is_encrypted and not pdf.decrypt(""):
            raise UnreadableFile("encrypted")
        pages = [page.extract_text() or "" for page, _ in zip(pdf.pages, range(_MOST_PAGES), strict=False)]
        title = (pdf.metadata.title if pdf.metadata else None) or ""
    except UnreadableFile:
        raise
    except Exception as error:  # pypdf raises errors of many kinds on damaged files
        raise UnreadableFile(f"damaged PDF ({first_line(error)[:120]})") from error
    blocks = tuple(Block(paragraph) for paragraph in join_pages(pages))
    if not blocks:
        raise UnreadableFile("no text: scanned pages or drawings")
    yield Document(file.name, file.name, " ".join(str(title).split()), blocks)


def join_pages(pages: Sequence[str]) -> Iterator[str]:
    """Yield the paragraphs of pages, without running heads and page numbers, with hyphenated words joined."""
    text = _HYPHENATED.sub("", "\n".join(_lines_of_text(pages)))
    for paragraph in _PARAGRAPH_END.split(text):
        flat = " ".join(paragraph.split())
        if any(character.isalnum() for character in flat):
            yield flat


def _lines_of_text(pages: Sequence[str]) -> Iterator[str]:
    """Yield the lines of pages, apart from running heads and page numbers."""
    lines = [[line for line in page.splitlines() if line.strip()] for page in pages]
    counts = Counter(key for page in lines for key in {_key(line) for line in page})
    edges = Counter(key for page in lines for key in {_key(line) for line in (*page[:1], *page[-1:])})
    most = max(_FEWEST_PAGES, _RUNNING * len(pages))
    for page in lines:
        for number, line in enumerate(page):
            key = _key(line)
            at_edge = number in (0, len(page) - 1) and (not key or edges[key] >= _FEWEST_EDGES)
            if not at_edge and (not key or counts[key] < most):
                yield line


def _key(line: str) -> str:
    return _NUMBER.sub("", " ".join(line.split()))
