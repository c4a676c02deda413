"""Jupyter notebooks: their Markdown and code; outputs are left out."""

import json
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

    try:
        notebook = nbformat.reads(read_text(file.path), as_version=4)  # type: ignore[no-untyped-call]
    except (
        json.JSONDecodeError,
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
        KeyError,
        AttributeError,
    ) as error:
        raise UnreadableFile("not a notebook") from error
    cells = [text for cell in notebook.cells if (text := _as_markdown(cell, notebook.metadata))]
    if not cells:
        raise UnreadableFile("no text")
    found = markdown_contents("\n\n".join(cells))
    yield Document(file.name, file.name, found.title, found.blocks, found.links)


def _as_markdown(cell: Any, metadata: Any) -> str:
    source = str(cell.source)
    if cell.cell_type == "markdown":
        return source
    if cell.cell_type != "code" or not source.strip():
        return ""
    fence = "`" * 8
    return f"{fence}\n{source}\n{fence}"
