"""Turn specs as typed into models and hookpoints; the one place that knows every kind of encoder."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from probe.errors import CallError
from probe.hookpoint import Hookpoint, SpecParts, split_spec
from probe.opening import open_reader
from probe.profile import LoadOptions, ModelProfile
from probe.ranking import Contestant
from probe.reader import select_hookpoints
from probe.store import Store

__all__ = ["ResolvedSpecs", "resolve_specs"]

_PLACE = re.compile(r"(@[^@/]*?)?(:[a-z]+)?$")


@dataclass(frozen=True)
class ResolvedSpecs:
    """What specs name.

    Attributes:
        contestants: One per model, in the order of first mention.
        baseline: The first spec's hookpoint; its deepest, where it names several.
    """

    contestants: tuple[Contestant, ...]
    baseline: Hookpoint


def resolve_specs(
    specs: Sequence[str], options: LoadOptions | None = None, store: Store | None = None
) -> ResolvedSpecs:
    """Open what the specs name, every model once.

    Args:
        specs: `model[@layers][:pooling]`, each; layers left out = last, pooling left out = the model's own.
        options: How to load the models.
        store: Where facts of models are kept, if anywhere.

    Returns:
        The models with their hookpoints.

    Raises:
        CallError: A spec is malformed, or names a layer or pooling its model does not have.
        ModelError: A model cannot be loaded.
    """
    parsed = [_split_single(spec) for spec in specs]
    readers = {name: open_reader(name, options, store) for name in dict.fromkeys(part.model for part in parsed)}
    points = [_expand(part, readers[part.model].model) for part in parsed]
    contestants = tuple(
        Contestant(reader, tuple(dict.fromkeys(point for group in points for point in group if point.model == name)))
        for name, reader in readers.items()
    )
    return ResolvedSpecs(contestants, points[0][-1])


def _expand(parts: SpecParts, model: ModelProfile) -> tuple[Hookpoint, ...]:
    return select_hookpoints(model, parts.layers or "last", [parts.pooling or "own"])


def _split_single(spec: str) -> SpecParts:
    if "+" in spec and not os.path.isdir(_PLACE.sub("", spec)):
        raise CallError(f"'{spec}' is a fusion ('+'), which this release cannot build: rank its parts one by one")
    return split_spec(spec)
