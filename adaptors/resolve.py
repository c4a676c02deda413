"""Turn specs as typed into models and hookpoints; the one place that knows every kind of encoder."""

import os
from collections.abc import Sequence

from probe.errors import CallError
from probe.hookpoint import Hookpoint, SpecParts, split_spec
from probe.loading import LoadOptions, load_model
from probe.ranking import Contestant
from probe.reader import LayerReader, select_hookpoints

__all__ = ["resolve_specs"]


def resolve_specs(specs: Sequence[str], options: LoadOptions | None = None) -> tuple[Contestant, ...]:
    """Load what the specs name, every model once.

    Args:
        specs: `model[@layers][:pooling]`, each; layers left out = last, pooling left out = the model's own.
        options: How to load the models.

    Returns:
        One contestant per model, in the order of first mention.

    Raises:
        CallError: A spec is malformed, or names a layer or pooling its model does not have.
        ModelError: A model cannot be loaded.
    """
    by_model: dict[str, list[SpecParts]] = {}
    for spec in specs:
        parts = _split_single(spec)
        by_model.setdefault(parts.model, []).append(parts)
    return tuple(_load_contestant(model, parts, options) for model, parts in by_model.items())


def _split_single(spec: str) -> SpecParts:
    if "+" in spec and not os.path.isdir(spec):
        raise CallError(f"'{spec}' is a fusion ('+'), which this release cannot build: rank its parts one by one")
    return split_spec(spec)


def _load_contestant(name: str, specs: Sequence[SpecParts], options: LoadOptions | None) -> Contestant:
    model = load_model(name, options)
    points: list[Hookpoint] = []
    for parts in specs:
        points += select_hookpoints(model, parts.layers or "last", [parts.pooling or "own"])
    return Contestant(LayerReader(model), tuple(dict.fromkeys(points)))
