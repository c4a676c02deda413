"""Tokens counted in texts, and compared before and after tokens were dropped."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.errors import ModelError

__all__ = ["Splitter", "TokenChanges", "compare_tokens", "count_tokens"]

_BATCH = 256


@dataclass(frozen=True)
class Splitter:
    """Splits texts into tokens as a model does, without a limit.

    Attributes:
        tokenizer: A `tokenizers.Tokenizer`.
        special: Whether special tokens are added around a text.
    """

    tokenizer: Any
    special: bool

    @classmethod
    def of(cls, pipeline: Any, name: str) -> "Splitter":
        """Return the splitter of a SentenceTransformer; `name` is the model's name in messages.

        Raises:
            ModelError: Its tokenizer is written in Python.
        """
        from tokenizers import Tokenizer

        held = pipeline.tokenizer
        static = isinstance(held, Tokenizer)
        backend = held if static else getattr(held, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ModelError(
                f"'{name}' has a slow tokenizer, {type(held).__name__}: expected a fast one; if transformers can "
                "convert it, AutoTokenizer.from_pretrained(folder, use_fast=True).save_pretrained(folder) writes it"
            )
        copied = Tokenizer.from_str(backend.to_str())
        copied.no_truncation()
        copied.no_padding()
        return cls(copied, not static)

    @cached_property
    def known_ids(self) -> frozenset[int]:
        """The ids of all tokens."""
        return frozenset(self.tokenizer.get_vocab().values())

    @property
    def added_ids(self) -> frozenset[int]:
        """The ids of special and other added tokens."""
        return frozenset(self.tokenizer.get_added_tokens_decoder())

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return max(self.known_ids) + 1

    def split(self, texts: Iterable[str]) -> list[Any]:
        """Return the encodings of texts."""
        found: list[Any] = self.tokenizer.encode_batch(list(texts), add_special_tokens=self.special)
        return found

    def ids(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ids: list[int] = self.split([text])[0].ids
        return ids


@dataclass(frozen=True)
class TokenChanges:
    """How dropped tokens change texts.

    Attributes:
        texts: Number of texts; one with two different prompts counts twice.
        tokens: Number of their tokens before.
        changed_texts: Texts with a dropped token.
        changed_tokens: Tokens that are split differently.
    """

    texts: int
    tokens: int
    changed_texts: int
    changed_tokens: int

    @property
    def share(self) -> float:
        """Share of the tokens that are split differently."""
        return self.changed_tokens / max(1, self.tokens)


def count_tokens(splitter: Splitter, texts: Iterable[str], size: int) -> NDArray[np.int64]:
    """Return how often each token occurs in texts `(size,)`."""
    counts = np.zeros(size, np.int64)
    for encodings in _split_all(splitter, texts):
        ids = np.concatenate([np.asarray(one.ids, np.int64) for one in encodings])
        counts += np.bincount(ids, minlength=size)
    return counts


def compare_tokens(
    texts: Iterable[str], before: Splitter, after: Splitter, *, ids: Mapping[int, int], name: str
) -> TokenChanges:
    """Compare the tokens of texts, which must be the same if none of them was dropped.

    Args:
        texts: The texts.
        before: The original tokenizer.
        after: The one with fewer tokens.
        ids: New ids by old ones.
        name: The model's name in messages.

    Raises:
        ModelError: A text without dropped tokens is split differently.
    """
    found = TokenChanges(0, 0, 0, 0)
    for batch in _batches(texts):
        for text, old, new in zip(batch, before.split(batch), after.split(batch), strict=True):
            mapped = [ids.get(one) for one in old.ids]
            complete = None not in mapped
            if complete and mapped != new.ids:
                raise ModelError(
                    f"the trimmed tokenizer of '{name}' splits a text differently although all its tokens were kept: "
                    f"{text[:80]!r}; nothing was saved"
                )
            found = TokenChanges(
                found.texts + 1,
                found.tokens + len(mapped),
                found.changed_texts + (not complete),
                found.changed_tokens + (0 if complete else _count_changed(old, new, ids)),
            )
    return found


def _count_changed(old: Any, new: Any, ids: Mapping[int, int]) -> int:
    """Return how many tokens of a text are no longer there, at the same place."""
    were = Counter((ids.get(one), span) for one, span in zip(old.ids, old.offsets, strict=True))
    are = Counter(zip(new.ids, new.offsets, strict=True))
    return (were - are).total()


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    waiting = iter(texts)
    while batch := list(islice(waiting, _BATCH)):
        yield batch


def _split_all(splitter: Splitter, texts: Iterable[str]) -> Iterator[list[Any]]:
    for batch in _batches(texts):
        yield splitter.split(batch)
