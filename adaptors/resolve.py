"""Turn specs as typed into models and hookpoints; the one place that knows every kind of encoder."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from probe.errors import CallError
from probe.fusions import Fusion
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
        fusions: Fusions of several hookpoints.
        baseline: The first spec's encoder; its deepest, where it names several.
    """

    contestants: tuple[Contestant, ...]
    fusions: tuple[Fusion, ...]
    baseline: Hookpoint | Fusion


def resolve_specs(
    specs: Sequence[str], options: LoadOptions | None = None, store: Store | None = None
) -> ResolvedSpecs:
    """Open what the specs name, every model once.

    Args:
        specs: `model[@layers][:pooling]`, each, or several of them joined by `+`; layers left out = last, pooling left
            out = the model's own. Where the parts of a fusion name several layers, each is fused with each.
        options: How to load the models.
        store: Where facts of models are kept, if anywhere.

    Returns:
        The models with their hookpoints, and the fusions.

    Raises:
        CallError: A spec is malformed, or names a layer or pooling its model does not have.
        ModelError: A model cannot be loaded.
    """
    parsed = [[split_spec(part) for part in _split_fusion(spec)] for spec in specs]
    names = dict.fromkeys(part.model for parts in parsed for part in parts)
    readers = {name: open_reader(name, options, store) for name in names}
    expanded = [_combine([_expand(part, readers[part.model].model) for part in parts]) for parts in parsed]
    encoders = list(dict.fromkeys(fusion for group in expanded for fusion in group))
    alone = [fusion.points[0] for fusion in encoders if len(fusion.points) == 1]
    contestants = tuple(
        Contestant(reader, tuple(point for point in alone if point.model == name)) for name, reader in readers.items()
    )
    first = expanded[0][-1]
    return ResolvedSpecs(
        contestants,
        tuple(fusion for fusion in encoders if len(fusion.points) > 1),
        first.points[0] if len(first.points) == 1 else first,
    )


def _combine(groups: Sequence[Sequence[Hookpoint]]) -> list[Fusion]:
    """Fuse each hookpoint of every group with each of the others; a hookpoint is not fused with itself."""
    fusions = [Fusion(points) for points in product(*groups) if len(set(points)) == len(points)]
    if not fusions:
        raise CallError(f"'{'+'.join(str(group[0]) for group in groups)}' fuses a hookpoint with itself")
    return fusions


def _expand(parts: SpecParts, model: ModelProfile) -> tuple[Hookpoint, ...]:
    return select_hookpoints(model, parts.layers or "last", [parts.pooling or "own"])


def _split_fusion(spec: str) -> list[str]:
    """Split a spec at its plus signs, unless it names an existing folder as it stands."""
    if os.path.isdir(_PLACE.sub("", spec)):
        return [spec]
    parts = spec.split("+")
    if not all(parts):
        raise CallError(
            f"'{spec}' joins nothing: expected hookpoints on both sides of '+', as minilm@6:mean+mpnet:mean"
        )
    return parts
