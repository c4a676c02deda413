"""What each tokenization algorithm needs to keep, so that no text becomes unknown, and kept tokens are found."""

import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from probe.errors import ModelError
from surgery.vocabulary.bpe import read_byte_pairs

__all__ = ["ALGORITHMS", "Algorithm", "name_algorithm", "tokens_of"]

Model = Mapping[str, Any]
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True)
class Algorithm:
    """An algorithm that splits words into tokens.

    Attributes:
        fixed: The tokens that must stay, of a model, its added tokens and whether words are split as by BERT.
        close: The tokens that are needed besides the chosen ones, with these.
        reduce: The model with the tokens of a mapping from old ids to new ones.
    """

    fixed: Callable[[Model, frozenset[str], bool], set[str]]
    close: Callable[[Model, set[str]], set[str]]
    reduce: Callable[[Model, Mapping[int, int]], dict[str, Any]]


def name_algorithm(model: Model) -> str:
    """Return the algorithm of a tokenizer.json's model; old files do not name it."""
    if "type" in model:
        return str(model["type"])
    if isinstance(model["vocab"], list):
        return "Unigram"
    return "BPE" if "merges" in model else "WordPiece"


def tokens_of(model: Model) -> dict[str, int]:
    """Return the ids of a model's tokens, without added ones."""
    if isinstance(model["vocab"], list):
        return {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _fixed_wordpiece(model: Model, added: frozenset[str], bert_words: bool) -> set[str]:
    """Keep single characters, and tokens whose first character is none by itself.

    The longest token that fits is taken, so only words with a dropped token change. They stay known if every character
    can be a token wherever it is.
    """
    tokens, prefix = tokens_of(model), model.get("continuing_subword_prefix", "##")
    stay, missing = set(), set[str]()
    for token in tokens.keys() - added - {model["unk_token"]}:
        inside = token.startswith(prefix) and len(token) > len(prefix)
        body = token.removeprefix(prefix) if inside else token
        occurs = len(body) == 1 or not (bert_words and any(map(_is_word_alone, body)))
        if len(body) == 1 or (occurs and not inside and body[:1] not in tokens):
            stay.add(token)
        if occurs and len(body) > 1:
            missing.update(one for one in (body if inside else body[1:]) if f"{prefix}{one}" not in tokens)
    _refuse_uncovered(missing, "inside a word")
    return stay


def _is_word_alone(character: str) -> bool:
    """Return whether BERT makes a word of a character wherever it is, so that no longer token can contain it."""
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _fixed_unigram(model: Model, added: frozenset[str], bert_words: bool) -> set[str]:
    """Keep single characters, bytes, and the least likely piece, whose score is the measure of unknown characters.

    The likeliest segmentation of a word stays the likeliest among fewer.
    """
    unknown = model.get("unk_id")
    unknowns = added if unknown is None else added | {model["vocab"][unknown][0]}
    scores = {piece: score for piece, score in model["vocab"] if piece not in unknowns}
    missing = {one for piece in scores for one in piece if not _BYTE.fullmatch(piece) and one not in scores}
    if not model.get("byte_fallback"):
        _refuse_uncovered(missing)
    least = min(model["vocab"], key=lambda entry: entry[1])[0]
    return {piece for piece in scores if len(piece) == 1 or _BYTE.fullmatch(piece)} | {least}


def _fixed_bpe(model: Model, added: frozenset[str], bert_words: bool) -> set[str]:
    """Keep single characters and bytes; and words that are found whole although some of their characters are none."""
    tokens, pairs = tokens_of(model), read_byte_pairs(model)
    return {
        token
        for token in tokens.keys() - added
        if len(pairs.body(token)) == 1
        or _BYTE.fullmatch(token)
        or (model.get("ignore_merges") and not tokens.keys() >= set(pairs.characters(token)))
    }


def _refuse_uncovered(missing: Iterable[str], where: str = "") -> None:
    """Refuse a vocabulary in which a dropped token could make a word unknown.

    Raises:
        ModelError: A character of a token is no token by itself.
    """
    found = sorted(missing)
    if found:
        raise ModelError(
            f"the vocabulary has no token for {', '.join(map(repr, found[:3]))}{f' {where}' if where else ''} alone "
            f"({len(found)} such characters), so a word could become unknown without some token: it cannot be trimmed"
        )


def _reduce_dict(model: Model, ids: Mapping[int, int]) -> dict[str, Any]:
    kept = {token: ids[old] for token, old in model["vocab"].items() if old in ids}
    return {**model, "vocab": dict(sorted(kept.items(), key=lambda entry: entry[1]))}


def _reduce_bpe(model: Model, ids: Mapping[int, int]) -> dict[str, Any]:
    reduced = _reduce_dict(model, ids)
    merges = read_byte_pairs(model).keep(set(reduced["vocab"]))
    as_text = bool(model["merges"]) and isinstance(model["merges"][0], str)
    return {**reduced, "merges": [" ".join(pair) if as_text else list(pair) for pair in merges]}


def _reduce_unigram(model: Model, ids: Mapping[int, int]) -> dict[str, Any]:
    order = sorted((new, old) for old, new in ids.items() if old < len(model["vocab"]))
    unknown = model.get("unk_id")
    return {
        **model,
        "vocab": [model["vocab"][old] for _, old in order],
        "unk_id": None if unknown is None else ids[unknown],
    }


def _close_nothing(model: Model, tokens: set[str]) -> set[str]:
    return tokens


def _close_bpe(model: Model, tokens: set[str]) -> set[str]:
    return read_byte_pairs(model).close(tokens)


ALGORITHMS = {
    "WordPiece": Algorithm(_fixed_wordpiece, _close_nothing, _reduce_dict),
    "BPE": Algorithm(_fixed_bpe, _close_bpe, _reduce_bpe),
    "Unigram": Algorithm(_fixed_unigram, _close_nothing, _reduce_unigram),
}
