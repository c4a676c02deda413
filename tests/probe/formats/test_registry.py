"""Formats by name, and one kind of error for whatever is wrong with a file."""

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from probe.formats import decoding
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.registry import FORMATS, find_format, known_suffixes, read_documents


def read_file(path: Path) -> list[Document]:
    return list(read_documents(SourceFile(path, path.name), RecordFields()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.md", "Markdown"),
        ("A.MD", "Markdown"),
        ("a.mdx", "Markdown"),
        ("a.markdown", "Markdown"),
        ("a.html.gz", "HTML"),
        ("ls.1", "man page"),
        ("ls.1.gz", "man page"),
        ("File::Spec.3pm.gz", "man page"),
        ("openssl.3ssl", "man page"),
        ("README", "text"),
        ("README.Debian", "text"),
        ("changelog.Debian.gz", "text"),
        ("LICENSE", "text"),
        ("README.md", "Markdown"),
        ("a.tar.gz", None),
        ("liba.so.1", None),
        ("liba.so.1.2", None),
        ("app.log.1", "text"),
        ("Makefile", None),
        (".md", None),
        ("photo.jpg", None),
        ("a.ipynb", "notebook"),
        ("a.parquet", "Parquet"),
        ("a.py", "source code"),
        ("a.docx", "office and other"),
    ],
)
def test_formats_are_found_by_name(name: str, expected: str | None) -> None:
    found = find_format(Path("folder.d") / name)
    assert (found.name if found else None) == expected


def test_suffixes_belong_to_one_format_each_and_readers_exist() -> None:
    suffixes = [suffix for one in FORMATS for suffix in one.suffixes]
    assert sorted(set(suffixes)) == sorted(suffixes) == sorted(known_suffixes())
    assert all(find_spec(f"probe.formats.{one.module}") for one in FORMATS)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("odd\nsecond line"), r"^cannot be parsed \(ValueError: odd\)$"),
        (RecursionError(), "nested too deeply"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (UnreadableFile("empty"), "^empty$"),
    ],
)
def test_errors_of_parsers_are_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
        raise error

    monkeypatch.setattr(decoding, "read", fail)
    with pytest.raises(UnreadableFile, match=reason):
        read_file(tmp_path / "a.txt")


def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(UnreadableFile, match=r"needs the extra: pip install 'encoder-surgery\[documents\]'"):
        read_file(tmp_path / "a.pdf")


@pytest.mark.parametrize(
    ("name", "contents", "reason"),
    [
        ("a.txt", b"------\n", "no text"),
        ("a.md", b"<!-- nothing -->", "no text"),
        ("a.html", b"<nav>Home</nav>", "nothing but navigation"),
        ("a.md", b"\x00\x01\x02\x03" * 50, "binary content"),
        ("a.xyz", b"text", "unknown file type"),
    ],
)
def test_files_without_text_are_refused(tmp_path: Path, name: str, contents: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(UnreadableFile, match=reason):
        read_file(tmp_path / name)
