"""Notebooks of every version: headings and text of Markdown cells, code of code cells, no outputs."""

import json
import warnings
from pathlib import Path
from typing import Any

import nbformat
import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.markdown import read


def read_notebook(path: Path, contents: Any) -> Document:
    path.write_text(contents if isinstance(contents, str) else json.dumps(contents), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (document,) = read(SourceFile(path, path.name), RecordFields())
    return document


def cells() -> list[dict[str, Any]]:
    output = {"output_type": "stream", "name": "stdout", "text": ["a secret output"]}
    return [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Kites\n", "\n", "How kites *fly* in the wind."]},
        {"cell_type": "raw", "metadata": {}, "source": "raw text for a converter"},
        {"cell_type": "code", "metadata": {}, "source": "fly(3)\n\n`x`", "outputs": [output], "execution_count": 1},
        {"cell_type": "markdown", "metadata": {}, "source": "## Strings\nOf [linen](strings.md)."},
    ]


EXPECTED = [
    ("prose", ("Kites",), "How kites fly in the wind."),
    ("code", ("Kites",), "fly(3)\n\n`x`"),
    ("prose", ("Kites", "Strings"), "Of linen."),
]


def shown(document: Document) -> list[tuple[Any, ...]]:
    return [(block.kind, block.headings, block.text) for block in document.blocks]


@pytest.mark.parametrize("minor", [2, 5])
def test_markdown_and_code_are_read_and_outputs_are_not(tmp_path: Path, minor: int) -> None:
    notebook = {"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": cells()}
    document = read_notebook(tmp_path / "a.ipynb", notebook)
    assert shown(document) == EXPECTED
    assert (document.title, [link.target for link in document.links]) == ("Kites", ["strings.md"])


def test_notebooks_of_version_3_are_read(tmp_path: Path) -> None:
    document = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": cells()})
    old = nbformat.convert(document, 3)
    assert "worksheets" in old
    assert shown(read_notebook(tmp_path / "a.ipynb", nbformat.writes(old, version=3))) == EXPECTED


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ("{", "not a notebook"),
        ("[1, 2]", "not a notebook"),
        ('{"cells": 3}', "not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [3]}', "not a notebook"),
        (
            '{"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [{"cell_type": "markdown"}]}',
            "not a notebook",
        ),
        ("[" * 100_000, "not a notebook"),
        ('{"nbformat": 99, "nbformat_minor": 0, "metadata": {}, "cells": []}', "not a notebook"),
        ('{"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": []}', "no text"),
    ],
)
def test_damaged_and_empty_notebooks_say_so(tmp_path: Path, contents: str, reason: str) -> None:
    with pytest.raises(UnreadableFile, match=reason):
        read_notebook(tmp_path / "a.ipynb", contents)
