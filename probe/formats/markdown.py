"""Markdown, with tables and front matter, and notebooks with cells of Markdown and code, by way of HTML."""

import re
import warnings
from collections.abc import Iterator
from typing import Any

from probe.formats.decoding import read_text
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import Contents, html_contents

__all__ = ["markdown_contents", "read"]

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
# Directives of documentation generators, which are not Markdown: MyST's fences, Jekyll's and MDX's lines.
_DIRECTIVE = re.compile(r"^(?:\{%.*?%\}|:{3,}.*|(?:import|export) .* from .*)$", re.MULTILINE)
_NO_SLUG = re.compile(r"[^\w\- ]")


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a Markdown file or a Jupyter notebook; outputs of notebooks are left out.

    Raises:
        UnreadableFile: If it is binary, empty, too large or nested too deeply, or no notebook.
    """
    text = read_text(file.path)
    if file.path.name.lower().removesuffix(".gz").endswith(".ipynb"):
        text = _notebook_as_markdown(text)
    front = _FRONT_MATTER.match(text)
    found = markdown_contents(text[front.end() :] if front else text)
    title = (_front_title(front[1]) if front else "") or found.title
    yield Document(file.name, file.name, title, found.blocks, found.links, dropped=found.dropped)


def markdown_contents(text: str) -> Contents:
    """Return the contents of Markdown text.

    Raises:
        UnreadableFile: If it is nested too deeply.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    try:
        return html_contents(parser.render(_DIRECTIVE.sub("", text)), _Slugs())
    except RecursionError as error:
        raise UnreadableFile("nested too deeply") from error


def _notebook_as_markdown(text: str) -> str:
    import nbformat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Read without validation, which complains of much that does no harm here.
            notebook = nbformat.convert(nbformat.reader.reads(text), 4)  # type: ignore[no-untyped-call]
        cells = [cell for cell in map(_cell_as_markdown, notebook.cells) if cell]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, nbformat.ValidationError) as error:
        raise UnreadableFile("not a notebook") from error
    if not cells:
        raise UnreadableFile("no text")
    return "\n\n".join(cells)


def _cell_as_markdown(cell: Any) -> str:
    source = str(cell.source)
    if cell.cell_type == "markdown":
        return source
    if cell.cell_type != "code" or not source.strip():
        return ""
    fence = "`" * 8
    return f"{fence}\n{source}\n{fence}"


def _front_title(text: str) -> str:
    import yaml

    try:
        values: Any = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        return ""
    title = values.get("title") if isinstance(values, dict) else None
    return " ".join(str(title).split()) if isinstance(title, str | int | float) else ""


class _Slugs:
    """The anchors of headings, as GitHub makes them."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def __call__(self, heading: str) -> str:
        slug = _NO_SLUG.sub("", heading.strip().lower()).replace(" ", "-")
        count = self._seen.get(slug, 0)
        self._seen[slug] = count + 1
        return f"{slug}-{count}" if count else slug
