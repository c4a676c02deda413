"""Lengths of texts in a model's tokens, without loading its weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from probe.errors import ModelError
from probe.formats.sentences import word_spans
from probe.models.published_config import read_model_config
from probe.models.sources import find_source

__all__ = ["TokenCounter", "count_by_words", "open_counter"]

# Length of passages for models without a limit, or with one of thousands of tokens.
_LONGEST = 512
# Special tokens around a text.
_SPECIAL = 4


@dataclass(frozen=True)
class TokenCounter:
    """Counts the tokens of texts.

    Attributes:
        model: Name of the model.
        limit: Most tokens of a passage with its title, special tokens and prompt aside.
        tokenizer: A tokenizer with `encode_batch`.
    """

    model: str
    limit: int
    tokenizer: Any

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, special tokens aside."""
        return [len(one) for one in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]


@dataclass(frozen=True)
class _Words:
    """The words of a text, in the form of a tokenizer's result."""

    offsets: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.offsets)


class _WordTokenizer:
    """Counts words in place of tokens."""

    def encode(self, text: str, add_special_tokens: bool = False) -> _Words:
        """Return the spans of the words."""
        return _Words(word_spans(text))

    def encode_batch(self, texts: list[str], add_special_tokens: bool = False) -> list[_Words]:
        """Return the spans of the words of each text."""
        return [self.encode(text) for text in texts]


def count_by_words(limit: int) -> TokenCounter:
    """Return a counter of words, for passages that depend on no model."""
    return TokenCounter("words", limit, _WordTokenizer())


def open_counter(model: str, max_tokens: int | None = None) -> TokenCounter:
    """Open the tokenizer of a model.

    Args:
        model: Alias, hub id or folder.
        max_tokens: Most tokens of a passage; default: the model's maximum input, at most 512.

    Raises:
        CallError: If the model does not exist.
        ModelError: If its files are unavailable, or it has no fast tokenizer.
    """
    source = find_source(model)
    config = read_model_config(source.folder)
    tokenizer = _load_tokenizer(source.folder, config.transformer, source.name)
    most = max_tokens or min(config.max_tokens or _LONGEST, _LONGEST)
    prompt = len(tokenizer.encode(config.document_prompt, add_special_tokens=False)) if config.document_prompt else 0
    return TokenCounter(source.name, max(8, most - _SPECIAL - prompt), tokenizer)


def _load_tokenizer(folder: Any, transformer: Any, name: str) -> Any:
    from tokenizers import Tokenizer

    file = next((path for path in (transformer / "tokenizer.json", folder / "tokenizer.json") if path.is_file()), None)
    if file is None:
        from transformers import AutoTokenizer

        loaded = getattr(AutoTokenizer.from_pretrained(transformer), "backend_tokenizer", None)
    else:
        loaded = Tokenizer.from_file(str(file))
    if loaded is None:
        raise ModelError(f"'{name}' has no fast tokenizer to count tokens with: give another --model, such as minilm")
    loaded.no_truncation()
    loaded.no_padding()
    return loaded
