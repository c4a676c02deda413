"""Bytes become text whatever their encoding, and everything else is refused with a reason."""

import gzip
import tracemalloc
from pathlib import Path

import pytest

from probe.formats.decoding import decode, open_text, read, read_bytes, read_text
from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile

GERMAN = "Der Bär läuft über die schöne Brücke, während die Möwen dort oben kreisen und der Fluss weiterfließt. "
JAPANESE = "これは日本語の文章です。文字コードを正しく判定できるかどうかを確認します。"
RUSSIAN = "Это довольно длинный русский текст, по которому можно определить кодировку файла. "


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "utf-8-sig"),
        (GERMAN, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-16-be"),
        (GERMAN, "utf-32"),
        (GERMAN, "utf-32-le"),
        (GERMAN * 3, "latin-1"),
        ("A plain text with one café.", "cp1252"),
        ("It\u2019s “quoted” – once.", "cp1252"),
        (JAPANESE * 3, "shift_jis"),
        (JAPANESE * 3, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (RUSSIAN * 3, "cp1251"),
        (RUSSIAN * 3, "koi8_r"),
    ],
)
def test_encodings_are_found(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


def test_declared_encoding_counts_after_utf8() -> None:
    assert decode("łódź".encode("iso-8859-2"), "iso-8859-2") == "łódź"
    assert decode("łódź".encode(), "iso-8859-2") == "łódź"
    assert decode(b"plain", "no-such-encoding") == "plain"


def test_few_damaged_bytes_leave_the_rest_utf8() -> None:
    assert decode((GERMAN * 20).encode() + b"\xff\xfe" + GERMAN.encode()).startswith(GERMAN)


def test_letters_after_a_long_start_in_ascii_decide() -> None:
    assert decode(b"plain words " * 20_000 + (GERMAN * 3).encode("latin-1")).endswith(GERMAN)


@pytest.mark.parametrize(
    "data", [b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0", bytes(range(256)) * 20, b"PK\x03\x04\x14\0\0\0"]
)
def test_binary_content_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="binary content"):
        decode(data)


@pytest.mark.parametrize("data", [b"", b" \n\t\n"])
def test_files_without_text_are_empty(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(UnreadableFile, match=r"^empty$"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(UnreadableFile, match=r"^empty$"), open_text(tmp_path / "a.txt"):
        pass


def test_compressed_files_are_read_and_bombs_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"text"))
    assert read_text(path) == "text"
    path.write_bytes(gzip.compress(b"x" * 5_000_000))
    with pytest.raises(UnreadableFile, match="larger than 1 MiB"):
        read_bytes(path, 1 << 20)


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"x" * 1000, mtime=0)[:-20]])
def test_damaged_compression_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.txt.gz").write_bytes(data)
    with pytest.raises(UnreadableFile, match="damaged gzip file"):
        read_bytes(tmp_path / "a.txt.gz")


def test_vanished_file_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"(?i)no such file"):
        read_bytes(tmp_path / "gone.txt")


def read_parts(path: Path) -> list[Document]:
    return list(read(SourceFile(path, "notes/a.txt"), RecordFields()))


def test_paragraphs_stand_between_blank_lines_without_rules(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"Title\r\n=====\r\n\r\none\r\n  two\r\n \r\n------\r\nthree")
    (document,) = read_parts(tmp_path / "a.txt")
    assert [block.text for block in document.blocks] == ["Title", "one two", "three"]
    assert (document.id, document.path) == ("notes/a.txt", "notes/a.txt")


def test_large_files_are_read_in_parts_and_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(f"{'words ' * 100}\n\n" * 40_000, encoding="utf-8")
    tracemalloc.start()
    parts = paragraphs = 0
    for document in read(SourceFile(path, "a.txt"), RecordFields()):
        parts += 1
        paragraphs += len(document.blocks)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (parts > 10, paragraphs) == (True, 40_000)
    assert 2 * most < path.stat().st_size


def test_endless_line_is_split_without_losing_words(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("word " * 100_000, encoding="utf-8")
    blocks = [block.text for document in read_parts(tmp_path / "a.txt") for block in document.blocks]
    assert len(blocks) > 1
    assert "".join(blocks).replace(" ", "") == "word" * 100_000
