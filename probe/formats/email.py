"""E-mail: messages and mailboxes, without quoted replies, signatures and attachments."""

import mailbox
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as policy
from io import StringIO

from probe.formats.decoding import paragraphs, read_bytes
from probe.formats.document import Block, Document, RecordFields, SourceFile, UnreadableFile
from probe.formats.html import html_contents

__all__ = ["read"]

_SIGNATURE = "-- "


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield a document per message of a `.eml` or `.mbox` file; the subject is its title.

    Raises:
        UnreadableFile: If no message has a subject or text.
    """
    found = False
    for number, message in enumerate(_messages(file), start=1):
        title = " ".join(str(message.get("subject") or "").split())
        blocks = tuple(_body(message))
        if not blocks:
            continue
        found = True
        name = str(message.get("message-id") or "").strip(" <>\r\n") if _is_mailbox(file) else ""
        yield Document(name or (f"{file.name}:{number}" if number > 1 else file.name), file.name, title, blocks)
    if not found:
        raise UnreadableFile("no message with text")


def _messages(file: SourceFile) -> Iterator[EmailMessage]:
    if not _is_mailbox(file):
        yield message_from_bytes(read_bytes(file.path), policy=policy)
        return
    if file.path.suffix.lower() == ".gz":
        raise UnreadableFile("compressed mailbox: decompress it first")
    box = mailbox.mbox(str(file.path), create=False)
    try:
        for key in box.iterkeys():
            yield message_from_bytes(box.get_bytes(key), policy=policy)
    finally:
        box.close()


def _is_mailbox(file: SourceFile) -> bool:
    return file.name.lower().removesuffix(".gz").endswith(".mbox")


def _body(message: EmailMessage) -> Iterator[Block]:
    part = message.get_body(("plain", "html"))
    if part is None:
        return
    try:
        text = part.get_content()
    except (LookupError, ValueError):
        text = bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")
    if part.get_content_subtype() == "html":
        yield from html_contents(text).blocks
        return
    yield from (Block(paragraph) for paragraph in paragraphs(StringIO(_own_words(text))))


def _own_words(text: str) -> str:
    """Return a message without what it quotes and without its signature."""
    lines = text.splitlines()
    end = next((number for number, line in enumerate(lines) if line == _SIGNATURE), len(lines))
    return "\n".join(line for line in lines[:end] if not line.startswith(">"))
