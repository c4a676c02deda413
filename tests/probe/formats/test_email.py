"""Messages and mailboxes are read without quotes, signatures and attachments."""

import gzip
from pathlib import Path

import pytest

from probe.formats.document import Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.email import read

FIRST = "From: a@b\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <1@x>\n\nNew words.\n> old words\n-- \nMe\n"
SECOND = "From: c@d\nSubject: Second\nMessage-ID: <2@x>\n\nMore words.\n"
MAILBOX = f"From a@b Thu Jan  1 00:00:00 2026\n{FIRST}\nFrom c@d Thu Jan  1 00:00:00 2026\n{SECOND}"


def read_all(path: Path) -> list[Document]:
    return list(read(SourceFile(path, path.name), RecordFields()))


def test_a_message_has_its_subject_as_title_and_only_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_text(FIRST, encoding="utf-8")
    (found,) = read_all(tmp_path / "a.eml")
    assert (found.id, found.title, [block.text for block in found.blocks]) == ("a.eml", "Grüße", ["New words."])


@pytest.mark.parametrize("name", ["b.mbox", "B.MBOX"])
def test_a_mailbox_has_a_document_per_message(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(MAILBOX, encoding="utf-8")
    assert [(found.id, found.title) for found in read_all(tmp_path / name)] == [("1@x", "Grüße"), ("2@x", "Second")]


def test_a_compressed_mailbox_is_refused_instead_of_read_as_one_message(tmp_path: Path) -> None:
    (tmp_path / "b.mbox.gz").write_bytes(gzip.compress(MAILBOX.encode()))
    with pytest.raises(UnreadableFile, match="decompress"):
        read_all(tmp_path / "b.mbox.gz")


def test_attachments_are_ignored(tmp_path: Path) -> None:
    head = 'Subject: S\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n'
    parts = "--x\nContent-Type: text/plain\n\nBody.\n--x\nContent-Type: text/plain\n"
    attachment = "Content-Disposition: attachment; filename=a.txt\n\nAttached.\n--x--\n"
    (tmp_path / "a.eml").write_text(head + parts + attachment, encoding="utf-8")
    assert [block.text for block in read_all(tmp_path / "a.eml")[0].blocks] == ["Body."]
