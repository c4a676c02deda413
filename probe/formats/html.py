"""HTML: contents without navigation, by headings. Other formats become HTML first, so they share this reader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from probe.formats.decoding import decode, read_bytes
from probe.formats.document import Block, Document, Link, RecordFields, SourceFile, UnreadableFile
from probe.formats.page_walk import PageWalk

__all__ = ["Contents", "html_contents", "read"]

_MAIN = ("main", "[role=main]", "article")
_TITLE_MARKS = (" — ", " – ", " | ", " · ", " :: ", " - ", " « ", " » ")


@dataclass(frozen=True)
class Contents:
    """The readable part of a page.

    Attributes:
        title: The page's title, or its first heading.
        blocks: Paragraphs, list items, table rows and code.
        links: Links to other places of the same site.
        dropped: Number of navigation elements that were left out.
    """

    title: str
    blocks: tuple[Block, ...]
    links: tuple[Link, ...]
    dropped: int


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of an HTML file.

    Raises:
        UnreadableFile: If it is binary, empty, too large or nested too deeply.
    """
    data = read_bytes(file.path)
    metas = _meta_elements(data)
    if any((one.get("http-equiv") or "").lower() == "refresh" and "url=" in _content(one) for one in metas):
        raise UnreadableFile("redirects to another page")
    charsets = (one.get("charset") or _content(one).partition("charset=")[2].strip(" '\";") for one in metas)
    found = html_contents(decode(data, next(filter(None, charsets), None)))
    yield Document(file.name, file.name, found.title, found.blocks, found.links, dropped=found.dropped)


def _meta_elements(data: bytes) -> list[dict[str, str | None]]:
    from selectolax.lexbor import LexborHTMLParser

    return [node.attributes for node in LexborHTMLParser(data[:4096].decode("ascii", "ignore")).css("meta")]


def _content(meta: dict[str, str | None]) -> str:
    return (meta.get("content") or "").lower()


def html_contents(html: str, slug: Callable[[str], str] | None = None) -> Contents:
    """Return the readable part of a page.

    Args:
        html: The page, or a part of one.
        slug: Makes the anchor of a heading without an id from its text.

    Raises:
        UnreadableFile: If elements are nested too deeply.
    """
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    if tree.body is None:
        return Contents("", (), (), 0)
    walk = PageWalk(slug)
    walk.run(_main_part(tree))
    title = tree.css_first("head title")
    name = " ".join(title.text().split()) if title is not None else ""
    return Contents(_clean_title(name, walk.first), tuple(walk.blocks), tuple(walk.links), walk.dropped)


def _main_part(tree: Any) -> Any:
    """Return the element with the contents, if the page names a single one; otherwise its body."""
    for selector in _MAIN:
        found = tree.css(selector)
        if len(found) == 1:
            return found[0]
    return tree.body


def _clean_title(title: str, heading: str) -> str:
    """Return a title without the name of the site, if the first heading tells which part that is."""
    if not title or not heading:
        return title or heading
    parts = [title]
    for mark in _TITLE_MARKS:
        parts = [piece for part in parts for piece in part.split(mark)]
    same = next((part for part in parts if part.strip().casefold() == heading.casefold()), None)
    return heading if same is not None else title
