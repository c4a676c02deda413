"""PDF files: paragraphs without running heads; files without readable text are refused."""

import logging
from pathlib import Path

import pytest

from probe.formats.document import RecordFields, SourceFile, UnreadableFile
from probe.formats.pdf import join_pages, read

pypdf = pytest.importorskip("pypdf")


def refuse(path: Path) -> str:
    with pytest.raises(UnreadableFile) as caught:
        next(read(SourceFile(path, path.name), RecordFields()))
    return str(caught.value)


def test_running_heads_and_page_numbers_are_left_out() -> None:
    pages = [f"The Manual\nContents of {'abcde'[number]} end.\nPage {number}" for number in range(5)]
    assert list(join_pages(pages)) == [f"Contents of {letter} end." for letter in "abcde"]


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
    assert refuse(tmp_path / "blank.pdf") == "no text: perhaps scanned pages"
    assert refuse(tmp_path / "locked.pdf") == "encrypted"
    with caplog.at_level(logging.WARNING):
        assert refuse(tmp_path / "cut.pdf").startswith("damaged PDF")
    assert not caplog.records
