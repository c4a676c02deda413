"""Turn specs as typed into models and hookpoints; the one place that knows every kind of encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from probe.errors import CallError
from probe.fusions import Fusion, RunFusion
from probe.hookpoint import Hookpoint, SpecParts, split_fusion, split_spec
from probe.opening import open_reader
from probe.profile import LoadOptions, ModelProfile
from probe.ranking import Contestant
from probe.reader import LayerReader, select_hookpoints
from probe.run_fusion import check_rule
from probe.store import Store
from surgery.fused_folder import is_fused, open_fused
from surgery.fusing import FusedModel

__all__ = ["ResolvedSpecs", "resolve_specs"]


@dataclass(frozen=True)
class ResolvedSpecs:
    """What specs name.

    Attributes:
        contestants: One per model, in the order of first mention.
        fusions: Fusions of several hookpoints, and of their rankings.
        baseline: The first spec's encoder; its deepest, where it names several.
    """

    contestants: tuple[Contestant, ...]
    fusions: tuple[Fusion | RunFusion, ...]
    baseline: Hookpoint | Fusion


def resolve_specs(
    specs: Sequence[str],
    options: LoadOptions | None = None,
    store: Store | None = None,
    run_rules: Sequence[str] = (),
) -> ResolvedSpecs:
    """Open what the specs name, every model once.

    Args:
        specs: `model[@layers][:pooling]`, each, or several of them joined by `+`; layers left out = last, pooling left
            out = the model's own. Where the parts of a fusion name several layers, each is fused with each. A folder
            that holds a fused model stands by itself.
        options: How to load the models.
        store: Where facts of models are kept, if anywhere.
        run_rules: For every fusion that joins vectors, also fuse the rankings of its parts by these rules.

    Returns:
        The models with their hookpoints, and the fusions.

    Raises:
        CallError: A spec is malformed, or names a layer, a pooling or a rule that is not there.
        ModelError: A model cannot be loaded.
    """
    readers: dict[str, LayerReader] = {}
    groups: list[list[Fusion]] = []
    for spec in specs:
        parts = [split_spec(part) for part in split_fusion(spec)]
        if any(is_fused(part.model) for part in parts):
            model = _open_saved(parts, options, store)
            readers |= {reader.model.source.name: reader for reader in model.readers}
            groups.append([model.fusion])
            continue
        for name in dict.fromkeys(part.model for part in parts if part.model not in readers):
            readers[name] = open_reader(name, options, store)
        groups.append(_combine([_expand(part, readers[part.model].model) for part in parts]))
    encoders = list(dict.fromkeys(fusion for group in groups for fusion in group))
    first = groups[0][-1]
    fused = tuple(fusion for fusion in encoders if len(fusion.points) > 1)
    return ResolvedSpecs(
        tuple(Contestant(reader, _points_of(name, encoders)) for name, reader in readers.items()),
        (*fused, *_fuse_rankings(fused, run_rules)),
        first.points[0] if len(first.points) == 1 else first,
    )


def _open_saved(parts: Sequence[SpecParts], options: LoadOptions | None, store: Store | None) -> FusedModel:
    if len(parts) > 1 or parts[0].layers or parts[0].pooling:
        folder = next(part.model for part in parts if is_fused(part.model))
        raise CallError(f"'{folder}' is a fused model: it stands by itself, without layer, pooling or '+'")
    return open_fused(parts[0].model, options, store)


def _points_of(name: str, encoders: Sequence[Fusion]) -> tuple[Hookpoint, ...]:
    alone = [fusion.points[0] for fusion in encoders if len(fusion.points) == 1]
    return tuple(point for point in alone if point.model == name)


def _fuse_rankings(fusions: Sequence[Fusion], rules: Sequence[str]) -> list[RunFusion]:
    for rule in rules:
        check_rule(rule)
    if rules and not fusions:
        raise CallError("rankings are fused beside fusions: name one, as minilm@6:mean+mpnet:mean")
    return list(dict.fromkeys(RunFusion(fusion.points, rule) for fusion in fusions for rule in rules))


def _combine(groups: Sequence[Sequence[Hookpoint]]) -> list[Fusion]:
    """Fuse each hookpoint of every group with each of the others; a hookpoint is not fused with itself."""
    fusions = [Fusion(points) for points in product(*groups) if len(set(points)) == len(points)]
    if not fusions:
        raise CallError(f"'{'+'.join(str(group[0]) for group in groups)}' fuses a hookpoint with itself")
    return fusions


def _expand(parts: SpecParts, model: ModelProfile) -> tuple[Hookpoint, ...]:
    return select_hookpoints(model, parts.layers or "last", [parts.pooling or "own"])
