"""The formats of files that can be read, by suffix."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from probe.errors import first_line
from probe.formats.document import Document, Reader, RecordFields, SourceFile, UnreadableFile
from probe.formats.pandoc import PANDOC_FORMATS

__all__ = ["FORMATS", "Format", "find_format", "known_suffixes", "read_documents"]


@dataclass(frozen=True)
class Format:
    """A format of files.

    Attributes:
        name: Name in tables.
        suffixes: Endings of file names, lower case.
        module: File of this room with the reader.
        extra: The extra with the reader's package; empty if none is needed.
    """

    name: str
    suffixes: tuple[str, ...]
    module: str
    extra: str = ""


_CODE = (
    *(".py", ".pyi", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".java", ".kt", ".scala", ".go", ".rs", ".swift"),
    *(".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh", ".cs", ".m", ".mm", ".php", ".rb", ".pl", ".pm", ".lua", ".jl"),
    *(".sh", ".bash", ".zsh", ".ps1", ".sql", ".hs", ".ml", ".ex", ".exs", ".erl", ".clj", ".lisp", ".el", ".f90"),
    *(".vue", ".dart", ".zig", ".nim", ".proto", ".tf", ".r"),
    *(".pyx", ".pxd", ".cu", ".cuh", ".hxx", ".groovy", ".gradle", ".fs", ".f", ".f95", ".tcl", ".cmake", ".v", ".sv"),
)
FORMATS = (
    Format("Markdown", (".md", ".markdown", ".mdx", ".mkd", ".qmd", ".rmd"), "markdown"),
    Format("reStructuredText", (".rst", ".rest"), "rst"),
    Format("HTML", (".html", ".htm", ".xhtml"), "html"),
    Format("text", (".txt", ".text", ".log"), "text"),
    Format("notebook", (".ipynb",), "markdown"),
    Format("CSV", (".csv",), "records"),
    Format("TSV", (".tsv", ".tab"), "records"),
    Format("JSON lines", (".jsonl", ".ndjson"), "records"),
    Format("JSON", (".json",), "records"),
    Format("Parquet", (".parquet",), "records"),
    Format("e-mail", (".eml", ".mbox"), "email"),
    Format("source code", _CODE, "source_code"),
    Format("PDF", (".pdf",), "pdf", "documents"),
    Format("man page", tuple(f".{section}" for section in range(1, 10)), "pandoc", "documents"),
    Format("office and other", tuple(PANDOC_FORMATS), "pandoc", "documents"),
)
_BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes}
_MAN_PAGE = next(one for one in FORMATS if one.name == "man page")
_TEXT = next(one for one in FORMATS if one.name == "text")
# Names of text files without a suffix.
_PLAIN_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "changes", "changelog", "news", "authors", "todo", "install", "notice")
)


def find_format(path: Path) -> Format | None:
    """Return the format of a file by its name, or None. The ending `.gz` is ignored; Parquet is never compressed."""
    name = path.name.lower().removesuffix(".gz")
    stem, dot, suffix = name.rpartition(".")
    if not stem or not dot:
        return _TEXT if name in _PLAIN_NAMES else None
    found = _BY_SUFFIX.get(f".{suffix}")
    if found is None and suffix[:1] in "123456789" and suffix[1:].isalpha() and len(suffix) <= 8:
        return _MAN_PAGE  # sections such as 3pm
    return found


def known_suffixes() -> tuple[str, ...]:
    """Return all suffixes, in the order of the formats."""
    return tuple(_BY_SUFFIX)


def read_documents(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        UnreadableFile: If its format is unknown, or it cannot be read.
    """
    found = find_format(file.path)
    if found is None:
        raise UnreadableFile("unknown file type")
    reader = cast(Reader, import_module(f"probe.formats.{found.module}").read)
    try:
        yield from reader(file, fields)
    except UnreadableFile:
        raise
    except OSError as error:
        raise UnreadableFile(error.strerror or first_line(error)) from error
    except (
        Exception
    ) as error:  # parsers raise errors of all kinds on damaged files, and one file must not stop the rest
        raise UnreadableFile(f"cannot be parsed ({type(error).__name__}: {first_line(error)[:100]})") from error
