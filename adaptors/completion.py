"""Bring pairs to the same number of negatives: their own first, then drawn ones, and none that is relevant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from adaptors.tuning_rows import Pairwise
from probe.defects import Defects

__all__ = ["complete_pairs", "text_key"]


def text_key(text: str) -> str:
    """Return what two texts have in common that differ in nothing but case and white space."""
    return " ".join(text.split()).casefold()


def complete_pairs(
    pairs: Sequence[Pairwise], found: Mapping[str, Sequence[str]], count: int, seed: int, defects: Defects
) -> Iterator[Pairwise]:
    """Yield the pairs that come to `count` negatives.

    Args:
        pairs: The pairs with their own negatives.
        found: Further documents by the key of their query; those that may be no negatives are passed over.
        count: Negatives of every pair.
        seed: Of the draw, where more were found than are needed.
        defects: Told what is left out.

    Yields:
        Pairs with their own negatives first, then drawn ones in the order in which they were found.
    """
    dice = np.random.default_rng(seed)
    relevant: dict[str, set[str]] = {}
    for pair in pairs:
        relevant.setdefault(text_key(pair.query), {"", text_key(pair.query)}).add(text_key(pair.positive))
    for pair in pairs:
        query = text_key(pair.query)
        own = _pick_own(pair, relevant[query], count, defects)
        others = list(_without(found.get(query, ()), relevant[query] | own.keys()).values())
        needed = count - len(own)
        if needed > len(others):
            defects.add(f"pairs with fewer than {count} negatives (left out)", _place(pair))
            continue
        drawn = np.sort(dice.choice(len(others), needed, replace=False))
        yield replace(pair, negatives=(*own.values(), *(others[number] for number in drawn)))


def _pick_own(pair: Pairwise, relevant: set[str], count: int, defects: Defects) -> dict[str, str]:
    own = _without(pair.negatives, relevant)
    if len(own) < len(pair.negatives):
        defects.add("pairs with a negative that is relevant, empty or there twice (without it)", _place(pair))
    if len(own) > count:
        defects.add(f"pairs with more than {count} negatives of their own (the first {count} kept)", _place(pair))
    return dict(list(own.items())[:count])


def _without(texts: Iterable[str], barred: set[str]) -> dict[str, str]:
    """Return texts by their keys, the first of each; none whose key is barred."""
    kept: dict[str, str] = {}
    for text in texts:
        if text_key(text) not in barred:
            kept.setdefault(text_key(text), text)
    return kept


def _place(pair: Pairwise) -> str:
    return pair.place or f"'{pair.query[:40]}'"
