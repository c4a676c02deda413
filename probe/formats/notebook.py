"""Jupyter notebooks: their Markdown and code; outputs are left out."""

import warnings
from collections.abc import Iterator
from typing import Any

from probe.formats.decoding import read_text
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.markdown import markdown_contents

__all__ = ["read"]


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a notebook.

    Raises:
        UnreadableFile: If it is not a notebook.
    """
    import nbformat

    text = read_text(file.path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Read without validation, which complains of much that does no harm here.
            notebook = nbformat.convert(nbformat.reader.reads(text), 4)  # type: ignore[no-untyped-call]
        cells = [text for cell in notebook.cells if (text := _as_markdown(cell))]
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError, nbformat.ValidationError) as error:
        raise UnreadableFile("not a notebook") from error
    if not cells:
        raise UnreadableFile("no text")
    found = markdown_contents("\n\n".join(cells))
    yield Document(file.name, file.name, found.title, found.blocks, found.links)


def _as_markdown(cell: Any) -> str:
    source = str(cell.source)
    if cell.cell_type == "markdown":
        return source
    if cell.cell_type != "code" or not source.strip():
        return ""
    fence = "`" * 8
    return f"{fence}\n{source}\n{fence}"
