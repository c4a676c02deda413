"""Sentences and words of plain text."""

import re

__all__ = ["count_words", "is_unspaced", "split_sentences", "word_spans", "words_of"]

_END = re.compile(r"(?<=[.!?।؟])[\"'\u201d\u2019)\]]*\s+(?=[\"'\u201c\u2018(\[]*[^\W_a-z])|(?<=[。！？])\s*")
# In texts without any capital letter.
_LOWER_END = re.compile(r"(?<=[.!?])\s+")
# An abbreviation, an initial or a number before a full stop does not end a sentence.
_SHORTENED = r"e\.g|i\.e|etc|vs|cf|approx|resp|incl|al|fig|eq|sec|no|vol|dr|mr|mrs|ms|st|z\.b|p\.ex"
_NO_END = re.compile(rf"(?:\b(?:{_SHORTENED})|\b[A-Z])\.$", re.IGNORECASE)
# In scripts written without spaces, every character counts as a word: Thai, Lao, Burmese, Khmer, kana, Chinese.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_TERM = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['\u2019][^\W_]+)?")
_CHARACTER = re.compile(rf"[{_UNSPACED}]")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text with collapsed white space."""
    sentences: list[str] = []
    start = 0
    for match in (_LOWER_END if text.islower() else _END).finditer(text):
        before = text[start : match.start()]
        if _NO_END.search(before[-12:]):
            continue
        sentences.append(text[start : match.end()].strip())
        start = match.end()
    return [sentence for sentence in (*sentences, text[start:].strip()) if sentence]


def word_spans(text: str) -> list[tuple[int, int]]:
    """Return start and end of every word."""
    return [match.span() for match in _WORD.finditer(text)]


def count_words(text: str) -> int:
    """Count words; in scripts written without spaces, every character is one."""
    return sum(1 for _ in _WORD.finditer(text))


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return _TERM.findall(text.lower())


def is_unspaced(text: str) -> bool:
    """Return whether a text is written without spaces between words, as Chinese, Japanese and Thai are."""
    return len(_CHARACTER.findall(text)) > 0.2 * len(text)
