"""Queries made from passages: the kinds, and the rules that every one of them keeps."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal, get_args

from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.formats.sentences import count_words, words_of

__all__ = [
    "KINDS",
    "Query",
    "QueryKind",
    "draw",
    "drop_ambiguous",
    "gives_away",
    "is_readable",
    "replace_block",
    "shared_share",
]

QueryKind = Literal["own", "question", "heading", "link", "generated", "sentence", "keywords"]
KINDS: tuple[QueryKind, ...] = get_args(QueryKind)

# Share of letters and spaces in a query.
_LETTERS = 0.8
_MARKUP = re.compile(
    r"[{}<>|\\`~^*_=#\[\]→⇒←•·►▪]|::|--|\w;\w|\.\.\.|…|&\w+;|[$%]\w|:[-\w]|\w,\S*\w|\( |^\W*[–-]|\w!\s+[a-z]"
)
_ADDRESS = re.compile(r"https?:|www\.|@|/\w+/|^/|\s/\w|\b[a-z]{2,}\.[A-Za-z]{2,}|\w\.\w+\.\w{2}")
# Hashes, calls, "(s)" aside, and names such as `maxLength`; names such as `TypeScript` and `macOS` are words of people.
_CODE = re.compile(
    r"\b(?=[a-f]*\d)[0-9a-f]{7,}\b|\(\d+\):|\s\.\w|\s\+\s|\w\((?!s\)|es\))|\b0x|\b[a-z]{2,}[A-Z][a-z]|\s--?\w"
)
_DATE = re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d\b|\bv?\d+\.\d+(?:\.\d+)*\b|\bv\d+\b")


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
    if count_words(text) not in words or any(one.search(text) for one in (_MARKUP, _ADDRESS, _CODE, _DATE)):
        return False
    letters = sum(character.isalpha() or character.isspace() for character in text)
    return letters >= _LETTERS * len(text) and text.count("(") == text.count(")") and text.count('"') % 2 == 0


def shared_share(text: str, other: str) -> float:
    """Return the share of a text's words that occur in another."""
    words = set(words_of(text))
    return len(words & set(words_of(other))) / max(1, len(words))


def gives_away(text: str, rest: str, terms: TermTable) -> bool:
    """Return whether a text shares a word with the rest of its passage that no other passage has."""
    return any(terms.frequency(word) <= 1 for word in terms.telling_words(text) & set(words_of(rest)))


def drop_ambiguous(queries: Iterable[Query]) -> tuple[list[Query], int]:
    """Return queries without those whose words another query has, and how many these are.

    Queries of one text that lead to the same passages are one, of the first kind in `KINDS`. Those that lead to
    different passages name none of them; only own queries and questions are joined, since all of their answers count.
    """
    groups: dict[str, list[Query]] = {}
    total = 0
    for query in queries:
        groups.setdefault(" ".join(words_of(query.text)), []).append(query)
        total += 1
    found = [query for group in groups.values() for query in _settle(group)]
    return found, total - len(found)


def _settle(group: Sequence[Query]) -> Sequence[Query]:
    first = min(group, key=lambda query: KINDS.index(query.kind))
    same = [query for query in group if query.kind == first.kind]
    if first.kind in ("own", "question"):
        grades = {one: grade for query in same for one, grade in _grades(query)}
        return [replace(first, relevant=tuple(grades), grades=tuple(grades.values()))] if len(same) > 1 else [first]
    return [first] if all(set(query.relevant) == set(first.relevant) for query in group) else []


def _grades(query: Query) -> Iterable[tuple[str, int]]:
    return zip(query.relevant, query.grades or (1,) * len(query.relevant), strict=True)


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
