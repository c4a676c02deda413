"""Man pages and office files are read through pandoc; a failure is one clear reason."""

import gzip
import subprocess
from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.pandoc import pandoc_format, read

pypandoc = pytest.importorskip("pypandoc")

MAN = r"""
.TH TOOL 1 "2020-01-01" "Tool 1.0"
.SH NAME
tool \- does \fIsomething\fR
.SH OPTIONS
.TP
\fB\-x\fR, \fB\-\-long\fR
Explained.
"""


def read_one(path: Path) -> Document:
    return next(read(SourceFile(path, path.name), RecordFields()))


def office_file(folder: Path, name: str, text: bytes = b"# Head\n\nA *text*.\n") -> Path:
    command = [pypandoc.get_pandoc_path(), "--from", "markdown", "--output", str(folder / name)]
    subprocess.run(command, input=text, check=True)
    return folder / name


def test_a_man_page_has_its_name_as_title_and_no_troff_or_date(tmp_path: Path) -> None:
    (tmp_path / "tool.1.gz").write_bytes(gzip.compress(MAN.encode()))
    found = read_one(tmp_path / "tool.1.gz")
    assert found.title == "TOOL"
    assert [(block.text, block.headings, block.kind) for block in found.blocks] == [
        ("tool - does something", ("NAME",), "prose"),
        ("-x, --long: Explained.", ("OPTIONS",), "list"),
    ]


@pytest.mark.parametrize("name", ["a.docx", "a.odt", "a.epub"])
def test_an_office_file_without_title_takes_its_first_heading(tmp_path: Path, name: str) -> None:
    found = read_one(office_file(tmp_path, name))
    assert found.title == "Head"
    assert [(block.text, block.headings) for block in found.blocks] == [("A text.", ("Head",))]


def test_numbers_of_footnotes_do_not_stick_to_words(tmp_path: Path) -> None:
    found = read_one(office_file(tmp_path, "a.docx", b"# Head\n\nWord[^1] here.\n\n[^1]: The note.\n"))
    assert [block.text for block in found.blocks] == ["Word here.", "The note."]


def test_the_format_of_a_compressed_file_is_that_of_its_inner_name() -> None:
    assert pandoc_format("A.DOCX.GZ", b"") == "docx"
    assert pandoc_format("ls.1.gz", b".TH LS 1") == "man"
    assert pandoc_format("ls.1", b".Dd May 1\n.Dt LS 1") == "mdoc"


def test_a_page_that_only_names_another_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "other.1").write_text(".so man1/tool.1\n", encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"^no text$"):
        read_one(tmp_path / "other.1")


def test_a_damaged_file_is_refused_with_what_pandoc_says(tmp_path: Path) -> None:
    (tmp_path / "bad.docx").write_text("no archive", encoding="utf-8")
    with pytest.raises(UnreadableFile, match=r"pandoc cannot read it .*docx"):
        read_one(tmp_path / "bad.docx")
