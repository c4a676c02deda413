"""Queries made from passages: the kinds, and the rules that every one of them keeps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal, get_args

from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.formats.sentences import count_words, words_of

__all__ = ["KINDS", "Query", "QueryKind", "draw", "is_readable", "replace_block"]

QueryKind = Literal["own", "question", "heading", "link", "generated", "sentence", "keywords"]
KINDS: tuple[QueryKind, ...] = get_args(QueryKind)

_LETTERS = 0.72
_MARKUP = re.compile(
    r"[{}<>|\\`~^*_=#\[\]]|::|--|\.\.\.|…|https?:|www\.|@|\w\(\)|\b0x|/\w+/|&\w+;|\$\w|\w\.\w+\.\w|^\W*[•·►▪–-]"
)
_DATE = re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d\b|\bv?\d+\.\d+(?:\.\d+)*\b")


@dataclass(frozen=True)
class Query:
    """A query with the passages that answer it.

    Attributes:
        text: The query.
        kind: Where it comes from.
        relevant: Ids of the passages that answer it.
        document: Id of their document; decides the split.
        grades: Grades of the passages; None: 1 each.
    """

    text: str
    kind: QueryKind
    relevant: tuple[str, ...]
    document: str
    grades: tuple[int, ...] | None = None


def is_readable(text: str, words: range) -> bool:
    """Return whether a text reads like a person's query: words, no markup, code, addresses, versions or dates."""
    if count_words(text) not in words or _MARKUP.search(text) or _DATE.search(text):
        return False
    letters = sum(character.isalpha() or character.isspace() for character in text)
    return letters >= _LETTERS * len(text) and text.count("(") == text.count(")") and text.count('"') % 2 == 0


def shared_share(text: str, other: str) -> float:
    """Return the share of a text's words that occur in another."""
    words = set(words_of(text))
    return len(words & set(words_of(other))) / max(1, len(words))


def gives_away(text: str, rest: str, terms: TermTable) -> bool:
    """Return whether a text shares a word with the rest of its passage that no other passage has."""
    return any(terms.frequency(word) <= 1 for word in set(words_of(text)) & set(words_of(rest)))


def draw(name: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on a name and the seed alone, so more documents change no draw."""
    data = blake2b(f"{seed}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(data, "big") / 2**64


def replace_block(passage: Passage, number: int, texts: Sequence[str]) -> Passage:
    """Return a passage with the text of one block replaced; a block without text is removed."""
    text = " ".join(filter(None, texts))
    block = passage.blocks[number]
    changed = (replace(block, text=text),) if text else ()
    return replace(passage, blocks=(*passage.blocks[:number], *changed, *passage.blocks[number + 1 :]))
