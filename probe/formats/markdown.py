"""Markdown, with tables and front matter, and notebooks with cells of Markdown and code, by way of HTML."""

import re
import tomllib
import warnings
from collections.abc import Iterator
from html import escape
from typing import Any

from probe.formats.decoding import read_text
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import Contents, html_contents

__all__ = ["markdown_contents", "read"]

_FRONT_MATTER = re.compile(
    r"\A(?P<mark>---|\+\+\+)[ \t]*\n(?P<values>.*?\n)?(?:(?P=mark)|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL
)
# mkdocstrings: `::: module`, with indented options.
_GENERATED = re.compile(r"^::: ?[\w.]+[ \t]*\n(?:[ \t]+\S.*\n?|[ \t]*\n(?=[ \t]+\S))*", re.MULTILINE)
# What other dialects add to lines of text: fences of containers, modules of MDX, alerts, boxes of tasks, references
# to footnotes, attributes, names of emoji.
_NOT_TEXT = re.compile(
    r"^:{3,}.*|^(?:import|export) .*(?: from ['\"]|[={]).*|^\[![A-Z]+\]|^\[[ xX]\](?=\s)|\[\^[^\]\s]+\]:?"
    r"|\{:?[#.][^{}]*\}|\{:\s[^{}]*\}|(?<![\w:]):[a-z][a-z0-9_+-]+:(?![\w:])"
)
_ID = re.compile(r"\{:?\s*#([\w-]+)[^{}]*\}\s*$")
_NO_SLUG = re.compile(r"[^\w\- ]")


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a Markdown file or a Jupyter notebook; outputs of notebooks are left out.

    Raises:
        UnreadableFile: If it is binary, empty, too large or nested too deeply, or no notebook.
    """
    text = read_text(file.path).replace("\r\n", "\n")
    if file.path.name.lower().removesuffix(".gz").endswith(".ipynb"):
        text = _notebook_as_markdown(text)
    front = _FRONT_MATTER.match(text)
    found = markdown_contents(text[front.end() :] if front else text)
    title = (_front_title(front) if front else "") or found.title
    yield Document(file.name, file.name, title, found.blocks, found.links, dropped=found.dropped)


def markdown_contents(text: str) -> Contents:
    """Return the contents of Markdown text.

    Raises:
        UnreadableFile: If it is nested too deeply.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.add_render_rule("text", _render_text)
    try:
        return html_contents(parser.render(_GENERATED.sub("\n", text)), _Slugs())
    except RecursionError as error:
        raise UnreadableFile("nested too deeply") from error


def _render_text(renderer: Any, tokens: Any, index: int, *rest: Any) -> str:
    text = tokens[index].content
    own_id = _ID.search(text)
    anchor = f'<a id="{own_id[1]}"></a>' if own_id else ""
    return escape(_NOT_TEXT.sub("", text), quote=False) + anchor


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


def _front_title(front: re.Match[str]) -> str:
    import yaml

    text = front["values"] or ""
    try:
        values: Any = tomllib.loads(text) if front["mark"] == "+++" else yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
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
