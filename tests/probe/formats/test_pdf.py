"""PDF files: paragraphs without running heads; files without readable text are refused."""

import logging
from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.pdf import join_pages, read

pypdf = pytest.importorskip("pypdf")


def refuse(path: Path) -> str:
    with pytest.raises(UnreadableFile) as caught:
        next(read(SourceFile(path, path.name), RecordFields()))
    return str(caught.value)


def read_page(folder: Path, operators: str, password: str | None = None) -> Document:
    """Write a page of text and read it."""
    from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(200, 200)
    values = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica", "/Encoding": "/WinAnsiEncoding"}
    font = DictionaryObject({NameObject(key): NameObject(value) for key, value in values.items()})
    fonts = DictionaryObject({NameObject("/F"): font})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F 12 Tf 20 150 Td {operators} ET".encode())
    page[NameObject("/Contents")] = writer._add_object(stream)
    writer.add_metadata({"/Title": "A \n Title"})
    if password is not None:
        writer.encrypt(password, "owner", algorithm="RC4-128")
    writer.write(folder / "page.pdf")
    return next(read(SourceFile(folder / "page.pdf", "page.pdf"), RecordFields()))


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [f"The Manual\nContents of {'abcde'[number]} end.\nPage {number}" for number in range(5)]
    assert list(join_pages(pages)) == [f"Contents of {letter} end." for letter in "abcde"]


def test_the_head_of_a_chapter_on_a_few_pages_is_left_out_and_numbers_of_the_text_are_kept() -> None:
    letters = "abcdefghij"
    pages = [f"Words {letter}\n12\nmore {letter}." for letter in letters]
    pages[2:5] = [f"Chapter 2: Tools {number}\n{page}" for number, page in enumerate(pages[2:5])]
    assert list(join_pages(pages)) == [f"Words {letter} 12 more {letter}." for letter in letters]


def test_a_file_has_its_title_and_paragraphs(tmp_path: Path) -> None:
    found = read_page(tmp_path, "(First line) Tj 0 -14 Td (of it.) Tj 0 -14 Td (Then more.) Tj")
    assert (found.id, found.title) == ("page.pdf", "A Title")
    assert [block.text for block in found.blocks] == ["First line of it.", "Then more."]


def test_a_page_of_drawings_is_refused_rather_than_empty(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="drawings"):
        read_page(tmp_path, "0 0 m 10 10 l S")


def test_a_file_locked_by_an_empty_password_is_read(tmp_path: Path) -> None:
    found = read_page(tmp_path, "(Open.) Tj", password="")
    assert [block.text for block in found.blocks] == ["Open."]


def test_hyphenated_words_and_lines_are_joined() -> None:
    assert list(join_pages(["A para-\ngraph of\ntwo lines.\nThe next one."])) == [
        "A paragraph of two lines.",
        "The next one.",
    ]


def test_encrypted_empty_and_damaged_files_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(tmp_path / "blank.pdf")
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    (tmp_path / "cut.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<<")
    assert refuse(tmp_path / "blank.pdf") == "no text: scanned pages or drawings"
    assert refuse(tmp_path / "locked.pdf") == "encrypted"
    with caplog.at_level(logging.WARNING):
        assert refuse(tmp_path / "cut.pdf").startswith("damaged PDF")
    assert not caplog.records
