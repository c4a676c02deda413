"""The content of tokenizer.json: which of its tokens must stay, and the same file with fewer tokens."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from probe.errors import ModelError
from surgery.vocabulary.algorithms import ALGORITHMS, Algorithm, name_algorithm, tokens_of

__all__ = ["TokenizerFile", "parse_tokenizer", "renumber"]


# Parts that refer to tokens by their ids.
_WITH_IDS = ("post_processor", "padding")


@dataclass(frozen=True)
class TokenizerFile:
    """A parsed tokenizer.json.

    Attributes:
        content: Its JSON object.
        algorithm: How it splits words.
    """

    content: Mapping[str, Any]
    algorithm: Algorithm

    @property
    def _model(self) -> Mapping[str, Any]:
        model: Mapping[str, Any] = self.content["model"]
        return model

    @cached_property
    def _added(self) -> dict[str, int]:
        return {one["content"]: one["id"] for one in self.content.get("added_tokens") or ()}

    @cached_property
    def _words(self) -> dict[str, int]:
        return tokens_of(self._model)

    def owns(self, number: int) -> bool:
        """Return whether an id is one of the model's own tokens, which precede those that were only added."""
        return number in self._own_ids

    @cached_property
    def _own_ids(self) -> frozenset[int]:
        return frozenset(self._words.values())

    def fixed(self) -> set[int]:
        """Return the ids that must stay: added and special tokens, bytes and single characters.

        Raises:
            ModelError: A character has no token, so a word could become unknown.
        """
        bert_words = '"BertPreTokenizer"' in json.dumps(self.content.get("pre_tokenizer"))
        named = self.algorithm.fixed(self._model, frozenset(self._added), bert_words)
        unknown = {self._words[token] for token in (self._model.get("unk_token"),) if token in self._words}
        unknown |= {self._model["unk_id"]} if self._model.get("unk_id") is not None else set()
        ids = {*self._added.values(), *(self._words[token] for token in named), *unknown}
        return ids.union(*(_referred(self.content.get(part)) for part in _WITH_IDS))

    def close(self, ids: Collection[int]) -> set[int]:
        """Return ids with those of all tokens that are needed to build them."""
        named = {token for token, number in self._words.items() if number in ids}
        return {*ids, *(self._words[token] for token in self.algorithm.close(self._model, named))}

    def reduce(self, ids: Mapping[int, int]) -> dict[str, Any]:
        """Return the JSON object with the tokens of a mapping from old ids to new ones; all else is unchanged."""
        added = [{**one, "id": ids[one["id"]]} for one in self.content.get("added_tokens") or ()]
        return {
            **self.content,
            "added_tokens": sorted(added, key=lambda one: int(one["id"])),
            "model": self.algorithm.reduce(self._model, ids),
            **{part: _map_ids(self.content[part], ids) for part in _WITH_IDS if part in self.content},
        }


def parse_tokenizer(text: str, name: str) -> TokenizerFile:
    """Parse the text of a tokenizer.json; `name` is the model's name in messages.

    Raises:
        ModelError: Its algorithm is none of those that can lose tokens.
    """
    content = json.loads(text)
    kind = name_algorithm(content["model"])
    if kind not in ALGORITHMS:
        raise ModelError(
            f"'{name}' has a tokenizer of the type {kind}, in which words without a token are unknown: expected "
            f"{', '.join(ALGORITHMS)}"
        )
    return TokenizerFile(content, ALGORITHMS[kind])


def renumber(kept: Iterable[int], padding: int | None, file: TokenizerFile) -> dict[int, int]:
    """Return the new ids of kept tokens, in the order of the old ones; the padding keeps its id where it can.

    Models such as RoBERTa count positions from the id of the padding.
    """
    order = sorted(kept)
    if padding in order and file.owns(padding):
        order.remove(padding)
        order.insert(min(padding, sum(map(file.owns, order))), padding)
    return {old: new for new, old in enumerate(order)}


def _referred(part: Any) -> Iterable[int]:
    """Yield the token ids in a post-processor or padding."""
    if isinstance(part, dict):
        for key, value in part.items():
            yield from _ids_in(key, value)
            yield from _referred(value)
    elif isinstance(part, list):
        for one in part:
            yield from _referred(one)


def _ids_in(key: str, value: Any) -> Iterable[int]:
    if key == "pad_id":
        yield value
    elif key == "ids":
        yield from value
    elif key in ("sep", "cls"):
        yield value[1]


def _map_ids(part: Any, ids: Mapping[int, int]) -> Any:
    if isinstance(part, list):
        return [_map_ids(one, ids) for one in part]
    if not isinstance(part, dict):
        return part
    mapped: dict[str, Any] = {}
    for key, value in part.items():
        if key == "pad_id":
            mapped[key] = ids[value]
        elif key == "ids":
            mapped[key] = [ids[one] for one in value]
        elif key in ("sep", "cls") and isinstance(value, list):
            mapped[key] = [value[0], ids[value[1]]]
        else:
            mapped[key] = _map_ids(value, ids)
    return mapped
