"""Passages: documents split by their structure, up to the length that a model reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from probe.documents.token_count import TokenCounter
from probe.formats.document import Block, Document, Link
from probe.formats.sentences import count_words, split_sentences

__all__ = ["TITLE_MARK", "Passage", "split_document"]

TITLE_MARK = " > "
# A section with fewer words is joined with its neighbour.
_SHORT = 25
# The title may take this share of a passage's tokens; beyond that, outer headings are left out.
_TITLE_SHARE = 0.25


@dataclass(frozen=True)
class Passage:
    """A passage of a document.

    Attributes:
        document: Id of its document; queries of one document go to one split.
        path: Name of its file.
        headings: The document's title and the headings above it, outermost first.
        blocks: Its blocks in reading order.
        anchor: Fragment by which links refer to it.
        questions: Questions that the document answers, on its first passage.
        links: Links of the document, on its first passage.
        line: Line of the record in its file, if any.
        id: Id in the corpus.
    """

    document: str
    path: str
    headings: tuple[str, ...]
    blocks: tuple[Block, ...]
    anchor: str = ""
    questions: tuple[str, ...] = ()
    links: tuple[Link, ...] = field(default=(), repr=False)
    line: int | None = None
    id: str = ""

    @property
    def title(self) -> str:
        """The headings as one line."""
        return TITLE_MARK.join(self.headings)

    @property
    def text(self) -> str:
        """The blocks as one text."""
        return "\n".join(block.text for block in self.blocks)


@dataclass(frozen=True)
class _Piece:
    block: Block
    tokens: int


def split_document(document: Document, counter: TokenCounter) -> Iterator[Passage]:
    """Yield passages that fit a model's input, each under one path of headings where sections are long enough.

    Paragraphs that are too long are split between sentences, sentences that are too long between words.

    Args:
        document: A document, or a part of one.
        counter: Counts tokens, and knows how many a passage may have.
    """
    first = True
    for passage in _join_short(list(_sections(document))):
        title = _fit_title(passage.headings, counter)
        room = counter.limit - (counter.count([TITLE_MARK.join(title)])[0] if title else 0)
        for blocks in _pack(_pieces(passage.blocks, room, counter), room):
            ready = replace(passage, headings=title, blocks=blocks)
            if first:
                ready, first = replace(ready, questions=document.questions, links=document.links), False
            yield ready


def _sections(document: Document) -> Iterator[Passage]:
    """Yield the runs of blocks under the same headings."""
    for (headings, anchor), blocks in groupby(document.blocks, key=lambda block: (block.headings, block.anchor)):
        title = document.title if not headings or not _same(document.title, headings[0]) else ""
        path = (title, *headings) if title else headings
        yield Passage(document.id, document.path, path, tuple(blocks), anchor, line=document.line)


def _same(one: str, other: str) -> bool:
    return one.casefold().strip() == other.casefold().strip()


def _join_short(sections: Sequence[Passage]) -> Iterator[Passage]:
    """Join short sections with the one before, under the headings that both have."""
    held: Passage | None = None
    for section in sections:
        if held is None:
            held = section
        elif _is_short(held) or _is_short(section):
            held = _join(held, section)
        else:
            yield held
            held = section
    if held is not None:
        yield held


def _is_short(section: Passage) -> bool:
    words = 0
    for block in section.blocks:
        words += count_words(block.text)
        if words >= _SHORT:
            return False
    return True


def _join(one: Passage, other: Passage) -> Passage:
    common = []
    for left, right in zip(one.headings, other.headings, strict=False):
        if left != right:
            break
        common.append(left)
    blocks = (*_with_headings(one, len(common)), *_with_headings(other, len(common)))
    anchor = one.anchor if len(one.headings) <= len(other.headings) else other.anchor
    return replace(one, headings=tuple(common), blocks=blocks, anchor=anchor)


def _with_headings(section: Passage, known: int) -> tuple[Block, ...]:
    """Return the blocks of a section, the first one preceded by the headings that the title will not have."""
    own = ": ".join(section.headings[known:])
    if not own:
        return section.blocks
    return (Block(f"{own}:", kind="table"), *section.blocks)


def _fit_title(headings: tuple[str, ...], counter: TokenCounter) -> tuple[str, ...]:
    """Return the innermost headings that fit into the title's share of a passage."""
    if not headings:
        return ()
    counts = counter.count(headings)
    most = int(counter.limit * _TITLE_SHARE)
    while counts and sum(counts) + len(counts) > most:
        counts = counts[1:]
    return headings[len(headings) - len(counts) :]


def _pieces(blocks: Sequence[Block], room: int, counter: TokenCounter) -> Iterator[_Piece]:
    for block, tokens in zip(blocks, _count_lines([block.text for block in blocks], counter), strict=True):
        if tokens <= room:
            yield _Piece(block, tokens)
        else:
            yield from _split_block(block, room, counter)


def _count_lines(lines: Sequence[str], counter: TokenCounter) -> list[int]:
    """Count lines with the line break before them, which is a token of its own in some models."""
    return counter.count([f"\n{line}" for line in lines])


def _split_block(block: Block, room: int, counter: TokenCounter) -> Iterator[_Piece]:
    parts = block.text.splitlines() if block.kind == "code" else split_sentences(block.text)
    mark = "\n" if block.kind == "code" else " "
    held: list[str] = []
    size = 0
    for part, tokens in zip(parts, _count_lines(parts, counter), strict=True):
        if held and size + tokens > room:
            yield _Piece(replace(block, text=mark.join(held)), size)
            held, size = [], 0
        if tokens > room:
            yield from (_Piece(replace(block, text=piece), count) for piece, count in _split_words(part, room, counter))
            continue
        held.append(part)
        size += tokens
    if held:
        yield _Piece(replace(block, text=mark.join(held)), size)


def _split_words(text: str, room: int, counter: TokenCounter) -> Iterator[tuple[str, int]]:
    """Cut a text without sentences at the tokens' own borders.

    A word that is cut in two may have more tokens than before; such pieces are cut again.
    """
    spans = counter.tokenizer.encode(text, add_special_tokens=False).offsets
    for start in range(0, len(spans), room):
        part = spans[start : start + room]
        piece = text[part[0][0] : part[-1][1]].strip()
        size = _count_lines([piece], counter)[0]
        if size > room and len(part) > 1:
            yield from _split_words(piece, len(part) // 2, counter)
        elif piece:
            yield piece, size


def _pack(pieces: Iterator[_Piece], room: int) -> Iterator[tuple[Block, ...]]:
    """Yield groups of pieces that fill the room."""
    held: list[_Piece] = []
    for piece in pieces:
        if held and sum(one.tokens for one in held) + piece.tokens > room:
            yield tuple(one.block for one in held)
            held = []
        held.append(piece)
    if held:
        yield tuple(one.block for one in held)
