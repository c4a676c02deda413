"""Source code: docstrings and comments with the function or class that they describe. Code is parsed, never run."""

import ast
import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from probe.formats.decoding import read_text
from probe.formats.document import Block, Document, RecordFields, SourceFile, UnreadableFile

__all__ = ["read"]

_LARGEST = 1 << 22
# Average length of the lines of minified code.
_MINIFIED = 300
_FEWEST_WORDS = 4
_LICENCE = re.compile(r"copyright|licen[cs]e|SPDX|all rights reserved", re.IGNORECASE)
_OPENING = r"^\s*(?:/\*[*!]?|\*/|\*(?!\*)|//[/!]?|#[!:]?|--\[*|;+|%+|\"{3}|'{3})?[ \t]?"
_CLOSING = r"\s*(?:\*+/|\]\]|\"{3}|'{3})\s*$"
_EDGES = re.compile(f"{_OPENING}|{_CLOSING}")
_ARGUMENT_TAGS = r"param(?:\[\w+\])?|arg|tparam|throws|exception|raises"
_TAGS = (
    (
        re.compile(r"^\s*[@\\](?:param(?:\[\w+\])?|arg|tparam|throws|exception|raises)\s+(?:\{[^}]*\}\s*)?(\S+)", re.M),
        r"\1:",
    ),
    (re.compile(r"^\s*[@\\](?:returns?|result)\b\s*(?:\{[^}]*\}\s*)?", re.M), "Returns "),
    (re.compile(r"^\s*[@\\](?:brief|details|summary|description|note|remarks?|file|fileoverview)\b\s*", re.M), ""),
    (re.compile(r"^\s*:(?:param|arg|raises?|type|var|ivar|keyword)\s+(?:[\w.\[\], |]+\s+)?([\w*.]+):", re.M), r"\1:"),
    (re.compile(r"^\s*:(?:returns?|rtype|yields?):", re.M), "Returns"),
    (re.compile(r":[\w:.+-]+:`(?:[~!.]*)([^`<]*?)(?:\s*<[^`>]*>)?`"), r"\1"),
    (re.compile(r"`{1,2}([^`\n]+)`{1,2}_{0,2}"), r"\1"),
    (re.compile(r"\{@(?:link|code|linkplain|literal)\s+([^}]*)\}"), r"\1"),
    (re.compile(r"</?(?:p|code|pre|b|i|em|strong|ul|ol|li|a|tt|br|h\d)\b[^>]*>", re.IGNORECASE), " "),
    (re.compile(r"^\.\. [\w-]+::.*$", re.M), ""),
)


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a file of source code.

    Raises:
        UnreadableFile: If it has no comments and no docstrings, is minified, too large or binary.
    """
    text = read_text(file.path)
    if len(text) > _LARGEST:
        raise UnreadableFile(f"source code larger than {_LARGEST >> 20} MiB")
    if len(text) > _MINIFIED * 10 and len(text) > _MINIFIED * (text.count("\n") + 1):
        raise UnreadableFile("minified code")
    python = _read_python(text) if file.name.endswith((".py", ".pyi")) else None
    found = _read_tokens(text, file.name, python or _Comments(), docstrings=python is None)
    if not found.blocks:
        raise UnreadableFile("code without comments or docstrings")
    yield Document(file.name, file.name, file.name.rpartition("/")[2], tuple(found.blocks), dropped=found.dropped)


@dataclass
class _Comments:
    """The comments of a file."""

    blocks: list[Block] = field(default_factory=list)
    dropped: int = 0

    def add(self, comment: str, headings: Sequence[str], *, at_top: bool = False) -> None:
        """Add a comment without its marks, unless it is a licence or has no words to speak of."""
        if at_top and _LICENCE.search(comment):
            self.dropped += 1
            return
        for paragraph in _paragraphs(comment):
            if _is_readable(paragraph):
                self.blocks.append(Block(paragraph, tuple(headings), "prose", headings[-1] if headings else ""))


def _paragraphs(comment: str) -> list[str]:
    for pattern, plain in _TAGS:
        comment = pattern.sub(plain, comment)
    parts = re.split(r"\n\s*\n|\n(?=\s*[\w*.]+ ?:\s)", comment)
    return [" ".join(part.split()) for part in parts]


def _is_readable(text: str) -> bool:
    """Return whether a text is made of words rather than of code or lines."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    marks = sum(text.count(mark) for mark in "{}[]();=<>|&$@#*_\\~^")
    return len(words) >= _FEWEST_WORDS and marks <= 0.1 * len(text)


def _read_python(text: str) -> _Comments | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        found = _Comments()
        _add_docstrings(tree, (), found)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return found


def _add_docstrings(node: Any, headings: tuple[str, ...], found: _Comments) -> None:
    docstring = ast.get_docstring(node, clean=True)
    if docstring:
        found.add(docstring, headings)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _add_docstrings(child, (*headings, child.name), found)


def _read_tokens(text: str, name: str, found: _Comments, *, docstrings: bool) -> _Comments:
    """Add comments of any language: each belongs to the definition right after it, or else to the one before."""
    from pygments.lexers import get_lexer_for_filename
    from pygments.token import Comment, Name, String
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_for_filename(name.rpartition("/")[2], text[:1000])
    except ClassNotFound as error:
        raise UnreadableFile("code in an unknown language") from error
    pending = _Pending(docstrings)
    for kind, value in lexer.get_tokens(text):
        if kind in String.Doc or (kind in Comment and not any(kind in other for other in _not_prose(Comment))):
            pending.comment(value, found, docstring=kind in String.Doc)
        elif kind in Name.Function or kind in Name.Class:
            pending.definition(value, found)
        else:
            pending.code(value, found)
    pending.close(found)
    return found


def _not_prose(comment: Any) -> tuple[Any, ...]:
    return comment.Preproc, comment.PreprocFile, comment.Hashbang


@dataclass
class _Pending:
    """Comment lines that wait for the definition they belong to."""

    docstrings: bool
    lines: list[str] = field(default_factory=list)
    heading: str = ""
    blank_lines: int = 0
    code_lines: int = 0
    seen_code: bool = False

    def comment(self, value: str, found: _Comments, *, docstring: bool) -> None:
        """Add a comment; after a blank line or code it begins a new one."""
        if docstring and not self.docstrings:
            return
        if self.lines and (self.blank_lines > 1 or self.code_lines):
            self._end(found, self.heading)
        self.blank_lines = value.endswith("\n")
        cleaned = inspect.cleandoc("\n".join(_EDGES.sub("", line) for line in value.splitlines()))
        self.lines.append(cleaned)

    def definition(self, name: str, found: _Comments) -> None:
        """Give the waiting comment to a definition."""
        self._end(found, name)
        self.heading = name
        self.seen_code = True

    def code(self, value: str, found: _Comments) -> None:
        """Pass over code; far below a comment nothing belongs to it."""
        self.blank_lines += value.count("\n")
        if value.strip():
            self.seen_code = self.seen_code or not self.lines
            self.code_lines += value.count("\n") + (self.blank_lines > 0)
            self.blank_lines = 0
        if self.lines and self.code_lines > 2:
            self._end(found, self.heading)

    def close(self, found: _Comments) -> None:
        """Add what still waits at the end of the file."""
        self._end(found, self.heading)

    def _end(self, found: _Comments, heading: str) -> None:
        if self.lines:
            found.add("\n".join(self.lines), (heading,) if heading else (), at_top=not self.seen_code)
        self.lines, self.code_lines = [], 0
