"""Source code: docstrings and comments with the function or class that they describe. Code is parsed, never run."""

import ast
import warnings
from collections.abc import Iterator
from typing import Any

from probe.formats.code_outline import Comment, find_comments
from probe.formats.comment_text import comment_blocks, docstring_blocks, is_generated, strip_licence, strip_marks
from probe.formats.decoding import read_text
from probe.formats.document import Block, Document, RecordFields, SourceFile, UnreadableFile

__all__ = ["read"]

# 2 MiB. Longer files are data or several files joined; a lexer would take minutes.
_LARGEST = 1 << 21
# Average length of the lines of minified code.
_MINIFIED = 300
_TOP_LINES = 30
_PYTHON = (".py", ".pyi")

_Placed = tuple[int, list[Block]]


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a file of source code.

    Raises:
        UnreadableFile: If it has no comments and no docstrings, is minified, generated, too large or binary.
    """
    text = read_text(file.path).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > _LARGEST:
        raise UnreadableFile(f"source code larger than {_LARGEST >> 20} MiB")
    if len(text) > _MINIFIED * 10 and len(text) > _MINIFIED * (text.count("\n") + 1):
        raise UnreadableFile("minified code")
    name = file.name.rpartition("/")[2]
    placed, dropped = _read_code(text, name.removesuffix(".gz"))
    blocks = [block for _, found in sorted(placed, key=lambda one: one[0]) for block in found]
    if not blocks:
        raise UnreadableFile("code without comments or docstrings")
    yield Document(file.name, file.name, name, tuple(blocks), dropped=dropped)


def _read_code(text: str, name: str) -> tuple[list[_Placed], int]:
    """Return the blocks of docstrings and comments with their lines, and the number of licences left out."""
    docstrings = _read_docstrings(text) if name.lower().endswith(_PYTHON) else None
    placed, dropped = docstrings or ([], 0)
    for comment in find_comments(text, name, docstrings=docstrings is None):
        words = strip_marks(comment.text)
        if comment.line <= _TOP_LINES and is_generated(words):
            raise UnreadableFile("generated code")
        words, has_licence = strip_licence(words)
        dropped += has_licence
        if words:
            placed.append((comment.line, _as_blocks(words, comment)))
    return placed, dropped


def _as_blocks(words: str, comment: Comment) -> list[Block]:
    return (docstring_blocks if comment.is_docstring else comment_blocks)(words, comment.headings)


def _read_docstrings(text: str) -> tuple[list[_Placed], int] | None:
    """Return the docstrings of Python code, or None if this Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        found = list(_docstrings(tree, ()))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    placed, dropped = [], 0
    for line, docstring, headings in found:
        words, has_licence = strip_licence(docstring)
        dropped += has_licence
        placed.append((line, docstring_blocks(words, headings)))
    return placed, dropped


def _docstrings(node: Any, headings: tuple[str, ...]) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    docstring = ast.get_docstring(node, clean=True)
    if docstring:
        yield node.body[0].lineno, docstring, headings
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(child, (*headings, child.name))
