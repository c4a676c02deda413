"""Man pages, office documents and other formats that pandoc converts to HTML (extra `documents`).

Pandoc runs in its sandbox: it reads the file that is given and nothing else. A single converter for all of these
formats gives headings, links and lists in one form.
"""

import subprocess
from collections.abc import Iterator
from functools import cache

from probe.formats.decoding import read_bytes
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import html_contents

__all__ = ["PANDOC_FORMATS", "pandoc_format", "read"]

# Pandoc's name of a format, by suffix.
PANDOC_FORMATS = {
    ".adoc": "asciidoc",
    ".asciidoc": "asciidoc",
    ".docx": "docx",
    ".epub": "epub",
    ".fb2": "fb2",
    ".mediawiki": "mediawiki",
    ".odt": "odt",
    ".org": "org",
    ".pod": "pod",
    ".pptx": "pptx",
    ".rtf": "rtf",
    ".tex": "latex",
    ".textile": "textile",
    ".typ": "typst",
    ".xlsx": "xlsx",
}
_SECONDS = 60
_HEAP = ("+RTS", "-M1G", "-RTS")
# Dates of man pages hold release names.
_NO_DATE = ("--metadata", "date=")
# Written for documents without a title: the name of the input.
_NO_TITLE = "<title>-</title>"
_NOTE_MARKS = "a[role=doc-noteref], a[role=doc-backlink]"


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the document of a file that pandoc converts.

    Raises:
        UnreadableFile: If pandoc is not installed, takes longer than a minute, fails or finds no text.
    """
    data = read_bytes(file.path)
    found = html_contents(_convert(data, pandoc_format(file.name, data)))
    if not found.blocks:
        raise UnreadableFile("no text")
    yield Document(file.name, file.name, found.title, found.blocks, found.links, dropped=found.dropped)


def pandoc_format(name: str, data: bytes) -> str:
    """Return pandoc's name of a file's format; man pages are told from mdoc pages by their first macro."""
    name = name.lower().removesuffix(".gz")
    suffix = name[name.rfind(".") :]
    if suffix in PANDOC_FORMATS:
        return PANDOC_FORMATS[suffix]
    return "mdoc" if any(line.startswith(b".Dd") for line in data.splitlines()[:200]) else "man"


def _convert(data: bytes, kind: str) -> str:
    command = [_executable(), "--sandbox", "--standalone", "--from", kind, "--to", "html", "--wrap", "none"]
    command += [*_NO_DATE, *_HEAP]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnreadableFile(f"pandoc needs more than {_SECONDS} seconds") from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise UnreadableFile(f"pandoc cannot read it ({lines[0][:120] if lines else f'exit {done.returncode}'})")
    return _without_note_marks(done.stdout.decode("utf-8", "replace").replace(_NO_TITLE, "", 1))


def _without_note_marks(html: str) -> str:
    """Return a page without the numbers of footnotes, which would stick to words, and the arrows back to them."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html)
    marks = tree.css(_NOTE_MARKS)
    for mark in marks:
        mark.decompose()
    return (tree.html or "") if marks else html


@cache
def _executable() -> str:
    try:
        import pypandoc

        return str(pypandoc.get_pandoc_path())
    except (ImportError, OSError) as error:
        raise UnreadableFile("needs the extra: pip install 'encoder-surgery[documents]'") from error
