"""Source code: docstrings and comments with the function or class that they describe. Code is parsed, never run."""

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

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
_MODIFIERS = (
    r"(?:(?:export|default|public|private|protected|internal|static|final|abstract|async|pub(?:\([^)]*\))?|unsafe"
    r"|extern(?:\s+\"C\")?|const|inline|virtual|override|open|sealed|data|declare|typedef|local|partial|suspend"
    r"|template\s*<[^>]*>|readonly|mut|fileprivate)\s+)*"
)
_DEFINITION = re.compile(
    rf"^\s*{_MODIFIERS}(?:function\*?|func|fun|fn|def[pm]?|defmodule|defmacro|class|struct|interface|enum(?:\s+class)?|trait|type"
    r"|impl(?:<[^>]*>)?|module|namespace|union|object|record|sub|proc|protocol|extension|package|macro_rules!"
    r"|(?i:CREATE\s+(?:OR\s+REPLACE\s+)?(?:\w+\s+)?(?:FUNCTION|TABLE|VIEW|PROCEDURE|TRIGGER|TYPE)))\s+"
    r"(?i:IF\s+NOT\s+EXISTS\s+)?(?:\([^)]*\)\s*)?(?:[A-Z][A-Z0-9_]{3,}\s+)?([\w$.:~]*[\w$])"
)
_ASSIGNED = re.compile(
    r"^\s*(?:(?:export|const|let|var|local|static)\s+)*([\w$.]+)\s*(?:=|:|<-)\s*(?:async\s+)?(?:function\b|\([^()]*\)\s*=>|\w+\s*=>)"
)
_METHOD = re.compile(r"^\s*(?:(?:static|async|get|set)\s+|\*\s*)*(#?[\w$]+)\s*\([^;]*\)\s*(?::[^{=]+)?\{\s*$")
_C_FUNCTION = re.compile(r"^(?:[A-Za-z_][\w:<>]*[\s*&]+)+([\w:~]+)\s*\([^;={}]*\)?\s*(?:const\s*)?\{?\s*$")
_STATEMENTS = frozenset(("if", "for", "while", "switch", "catch", "function", "return", "with", "constructor", "else"))
# Lines between a comment and its definition: annotations, attributes, template parameters, a return type.
_ATTRIBUTE = re.compile(r"^\s*(?:@|#\[|\[|template\b|__|[\w\s*&:<>,]+$)")
_LINE_COMMENT = re.compile(r"\s*(?:/\*|\{-|<!--|--\[|\(\*|=begin|\"\"\"|''')")
_MOST_ATTRIBUTES = 4
# Lexers that mark calls as they mark definitions.
_MARK_CALLS = frozenset(("S", "SQL", "PostgreSQL SQL dialect"))


@dataclass(frozen=True)
class _Comment:
    """A comment, or several lines of comments that belong together.

    Attributes:
        text: The comment with its marks.
        line: Line where it begins, from 1.
        last: Line where it ends.
        column: Column where it begins.
        alone: Whether no code stands before it on its line.
        is_docstring: Whether it is a string that documents what encloses it.
        headings: The definition it belongs to, with those around that.
    """

    text: str
    line: int
    last: int
    column: int
    alone: bool
    is_docstring: bool = False
    headings: tuple[str, ...] = ()


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
    for comment in _find_comments(text, name, docstrings=docstrings is None):
        words = strip_marks(comment.text)
        if comment.line <= _TOP_LINES and is_generated(words):
            raise UnreadableFile("generated code")
        words, has_licence = strip_licence(words)
        dropped += has_licence
        if words:
            placed.append((comment.line, _as_blocks(words, comment)))
    return placed, dropped


def _as_blocks(words: str, comment: _Comment) -> list[Block]:
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


def _find_comments(text: str, name: str, *, docstrings: bool) -> list[_Comment]:
    """Return the comments of source code in the order of the file.

    Args:
        text: The code.
        name: Name of the file, which says the language.
        docstrings: Whether strings that are documentation count as comments.

    Raises:
        UnreadableFile: If the language is unknown.
    """
    lexer = _find_lexer(text, name)
    lines = text.split("\n")
    comments: list[_Comment] = []
    named: dict[int, str] = {}
    for line, column, kind, value in _tokens(lexer, text):
        if kind == "definition":
            named.setdefault(line, value)
        elif kind == "comment" or docstrings:
            _add(comments, _as_comment(value, lines, line, column=column, is_docstring=kind == "docstring"))
    return _place(comments, lines, {} if lexer.name in _MARK_CALLS else named)


def _find_lexer(text: str, name: str) -> Any:
    from pygments.lexers import get_lexer_for_filename
    from pygments.util import ClassNotFound

    try:
        return get_lexer_for_filename(name, text[:1000])
    except ClassNotFound as error:
        raise UnreadableFile("code in an unknown language") from error


def _tokens(lexer: Any, text: str) -> Iterator[tuple[int, int, str, str]]:
    """Yield line, column, kind and text of comments, docstrings and names of definitions."""
    from pygments.token import Comment as Mark
    from pygments.token import Name, String

    silent = (Mark.Preproc, Mark.PreprocFile, Mark.Hashbang)
    starts = [0, *(found.end() for found in re.finditer("\n", text))]
    held: tuple[int, str] | None = None
    for index, kind, value in lexer.get_tokens_unprocessed(text):
        is_comment = kind in Mark and not any(kind in one for one in silent)
        if held and not (is_comment and index == held[0] + len(held[1]) and not held[1].endswith("\n")):
            yield (*_position(starts, held[0]), "comment", held[1])
            held = None
        if is_comment:
            held = (held[0], held[1] + value) if held else (index, value)
        elif kind in String.Doc:  # some lexers count comments such as `/** */` and Perl's POD to it
            marked = value.lstrip()[:1] in ("/", "#", "=")
            yield (*_position(starts, index), "comment" if marked else "docstring", value)
        elif kind is Name.Function or kind is Name.Class:
            yield (*_position(starts, index), "definition", value)
    if held:
        yield (*_position(starts, held[0]), "comment", held[1])


def _position(starts: list[int], index: int) -> tuple[int, int]:
    line = bisect_right(starts, index)
    return line, index - starts[line - 1]


def _as_comment(value: str, lines: list[str], line: int, *, column: int, is_docstring: bool) -> _Comment:
    lead = len(value) - len(value.lstrip())  # some lexers count the white space before a comment to it
    line, value = line + value[:lead].count("\n"), value.strip()
    written = lines[line - 1]
    column = len(written) - len(written.lstrip()) if not written[:column].strip() else column
    return _Comment(value, line, line + value.count("\n"), column, not written[:column].strip(), is_docstring)


def _add(comments: list[_Comment], comment: _Comment) -> None:
    """Add a comment, or join it to the line of the same comment right above it."""
    before = comments[-1] if comments else None
    joined = (
        before is not None
        and comment.alone
        and before.last + 1 == comment.line
        and before.column == comment.column
        and not any(one.is_docstring or _LINE_COMMENT.match(one.text) for one in (before, comment))
    )
    if before is not None and joined:
        comments[-1] = replace(before, text=f"{before.text}\n{comment.text}", last=comment.last)
    else:
        comments.append(comment)


def _place(comments: list[_Comment], lines: list[str], named: dict[int, str]) -> list[_Comment]:
    """Give every comment the definitions it belongs to, by indentation."""
    silent = {line for one in comments if one.alone for line in range(one.line, one.last + 1)}
    code = {number: line for number, line in enumerate(lines, 1) if line.strip() and number not in silent}
    definitions = {number: name for number, line in code.items() if (name := _defined_name(line, named.get(number)))}
    placed, stack = [], list[tuple[int, str]]()
    waiting = iter([*comments, None])
    comment = next(waiting)
    for number in range(1, len(lines) + 1):
        while comment is not None and comment.line == number and comment.alone:
            around = tuple(name for column, name in stack if column < comment.column)
            followed = None if comment.is_docstring else _following(comment, code, definitions)
            placed.append(replace(comment, headings=(*around, followed) if followed else around))
            comment = next(waiting)
        if number in code:
            _enter(stack, code[number], definitions.get(number))
        while comment is not None and comment.line == number:
            around = tuple(name for column, name in stack if column <= _indent(lines[number - 1]))
            placed.append(replace(comment, headings=around))
            comment = next(waiting)
    return placed


def _enter(stack: list[tuple[int, str]], line: str, name: str | None) -> None:
    """Leave the definitions that end before a line, and enter the one it begins."""
    begins = name is not None or (line.lstrip()[0] not in "{}()[]#;,|&:" and not line.rstrip().endswith(":"))
    while begins and stack and stack[-1][0] >= _indent(line):
        stack.pop()
    if name is not None:
        stack.append((_indent(line), name))


def _following(comment: _Comment, code: dict[int, str], definitions: dict[int, str]) -> str | None:
    """Return the definition that follows a comment without a blank line."""
    for number in range(comment.last + 1, comment.last + 1 + _MOST_ATTRIBUTES):
        if number in definitions and _indent(code[number]) == comment.column:
            return definitions[number]
        if number not in code or not _ATTRIBUTE.match(code[number]):
            break
    return None


def _defined_name(line: str, named: str | None) -> str | None:
    for pattern in (_DEFINITION, _ASSIGNED):
        if found := pattern.match(line):
            return found[1]
    if named is not None and not line.lstrip().startswith("template"):  # whose parameters count as classes
        return named
    found = _METHOD.match(line) or _C_FUNCTION.match(line)
    return found[1] if found and found[1] not in _STATEMENTS else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
