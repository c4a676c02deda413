"""Byte-pair encoding with fewer tokens: the merges that build a kept token stay, with their intermediate tokens.

A word's tokens follow from its characters by merges, the earliest in the list first. The merges applied inside a token
are those that build it alone, so with them a word whose tokens all stay is split as before.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

__all__ = ["BytePairs", "read_byte_pairs"]


@dataclass(frozen=True)
class BytePairs:
    """The merges of a tokenizer.

    Attributes:
        merges: Pairs of tokens, the earliest first.
        prefix: Prefix of tokens inside a word; often empty.
        suffix: Suffix of the last token of a word; often empty.
    """

    merges: tuple[tuple[str, str], ...]
    prefix: str = ""
    suffix: str = ""

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in reversed(list(enumerate(self.merges)))}

    @cached_property
    def _sources(self) -> dict[str, list[tuple[str, str]]]:
        """All pairs that give a token."""
        found: dict[str, list[tuple[str, str]]] = {}
        for pair in self.merges:
            found.setdefault(self.join(*pair), []).append(pair)
        return found

    def join(self, left: str, right: str) -> str:
        """Return the token that a pair becomes."""
        return left + right.removeprefix(self.prefix)

    def body(self, token: str) -> str:
        """Return the characters of a token, without the marks of its position in the word."""
        bare = token.removeprefix(self.prefix) if len(token) > len(self.prefix) else token
        return bare.removesuffix(self.suffix) if len(bare) > len(self.suffix) else bare

    def characters(self, token: str) -> list[str]:
        """Return the tokens of a token's single characters, from which it is built."""
        body = self.body(token)
        inside = bool(self.prefix) and token.startswith(self.prefix) and token != self.prefix
        found = [f"{self.prefix if inside or i else ''}{character}" for i, character in enumerate(body)]
        if self.suffix and token.endswith(self.suffix) and token != self.suffix:
            found[-1] += self.suffix
        return found

    def close(self, tokens: Iterable[str]) -> set[str]:
        """Return tokens with all others that are needed to build them."""
        closed: set[str] = set()
        for token in tokens:
            if token not in closed:
                closed |= self._build(token)
        return closed

    def _build(self, token: str) -> set[str]:
        """Return a token with the intermediate ones on the way to it."""
        symbols = self.characters(token)
        made = {token}
        while len(symbols) > 1:
            ranked = [(self._ranks[pair], i) for i, pair in enumerate(pairwise(symbols)) if pair in self._ranks]
            if not ranked:
                break
            at = min(ranked)[1]
            symbols[at : at + 2] = [self.join(*symbols[at : at + 2])]
            made.add(symbols[at])
        return made if symbols == [token] else self._all_sources(token)

    def _all_sources(self, token: str) -> set[str]:
        """Return a token that its own characters do not give, with everything that could ever become it."""
        found, waiting = {token}, [token]
        while waiting:
            parts = {part for pair in self._sources.get(waiting.pop(), ()) for part in pair}
            waiting += parts - found
            found |= parts
        return found

    def keep(self, kept: set[str]) -> list[tuple[str, str]]:
        """Return the merges whose parts and result are all kept."""
        return [
            (left, right)
            for left, right in self.merges
            if left in kept and right in kept and self.join(left, right) in kept
        ]


def read_byte_pairs(model: Mapping[str, Any]) -> BytePairs:
    """Read the merges of a tokenizer.json's model, which writes a pair as a list or with a space between."""
    pairs = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in model["merges"])
    return BytePairs(
        tuple((left, right) for left, right in pairs),
        model.get("continuing_subword_prefix") or "",
        model.get("end_of_word_suffix") or "",
    )
