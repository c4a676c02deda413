"""Resolution of specs into models and hookpoints, with each model opened once; and ranking of specs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from pathlib import Path

from probe.data.dataset import Dataset
from probe.data.loading import as_dataset
from probe.encoding.hookpoints import for_similarity, select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric, Composite
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.tower_pair import other_tower, pair_up
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.experiments.two_towers import open_other
from probe.layers.hookpoint import TOKENS, Hookpoint, SpecParts, split_fusion, split_spec
from probe.metrics.run_fusion import check_rule
from probe.metrics.similarity import OWN
from probe.models.info import ModelProfile
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.store.store import Store

__all__ = ["OpenSaved", "ResolvedSpecs", "pair_towers", "rank", "resolve_sides", "resolve_specs"]

# Opens a saved folder, given its models' readers; None if a spec is not a saved folder.
OpenSaved = Callable[
    [Sequence[SpecParts], LoadOptions | None, Store | None], tuple[tuple[LayerReader, ...], Composite] | None
]


@dataclass(frozen=True)
class ResolvedSpecs:
    """The encoders of specs.

    Attributes:
        candidates: One per model, in order of first occurrence.
        fusions: Encoders of several hookpoints or with an adaptor, and fusions of rankings.
        baseline: The first spec's encoder; the deepest if the spec has several layers.
    """

    candidates: tuple[Candidate, ...]
    fusions: tuple[Composite | RunFusion, ...]
    baseline: Composite


def rank(
    specs: Sequence[str],
    dataset: str | Path | Dataset,
    *,
    baseline: str | None = None,
    run_rules: Sequence[str] = (),
    options: RunOptions | None = None,
    open_saved: OpenSaved | None = None,
) -> Leaderboard:
    """Rank hookpoints of any number of models, and their fusions.

    Args:
        specs: `model[@layers][:pooling]` each, or several joined by `+`; default: the last layer and the model's own
            pooling; `tokens` uses late interaction. For data sets with images, hookpoints of towers.
        dataset: A data set, or its name or path.
        baseline: Spec that all others are tested against; default: the first.
        run_rules: For every fusion, also fuse the rankings of its parts by these rules, `rrf` or `combsum`.
        options: Run options.
        open_saved: Opens saved folders; `adaptors.rank` passes a function that opens all kinds.

    Returns:
        The leaderboard.

    Raises:
        ProbeError: If an argument is invalid, or a model or the data is unavailable; before any encoding.
    """
    options = options or RunOptions()
    named = _check_specs(specs, baseline)
    resolved = resolve_specs(
        named,
        options.load,
        options.store,
        run_rules=run_rules,
        tokens=True,
        open_saved=open_saved,
        similarity=options.similarity,
    )
    data = as_dataset(dataset)
    resolved = pair_towers(resolved, data, options.load, store=options.store)
    return rank_candidates(resolved.candidates, data, str(resolved.baseline), options=options, fusions=resolved.fusions)


def _check_specs(specs: Sequence[str], baseline: str | None) -> list[str]:
    if isinstance(specs, str) or not specs:
        raise CallError(f"expected a list of specs, such as ['minilm@5:mean', 'minilm'], found {specs!r}")
    others = [spec for spec in specs if not isinstance(spec, str)]
    if others:
        raise CallError(f"expected specs such as 'minilm@5:mean', found a {type(others[0]).__name__}: use evaluate()")
    return list(dict.fromkeys([baseline or specs[0], *specs]))


def resolve_specs(
    specs: Sequence[str],
    options: LoadOptions | None = None,
    store: Store | None = None,
    *,
    run_rules: Sequence[str] = (),
    tokens: bool = False,
    open_saved: OpenSaved | None = None,
    similarity: str = OWN,
) -> ResolvedSpecs:
    """Open the models of specs, each once.

    Args:
        specs: `model[@layers][:pooling]` each, or several joined by `+`; default: the last layer and the model's own
            pooling. If parts of a fusion have several layers, all combinations are fused.
        options: Load options.
        store: Store of model facts, if any.
        run_rules: For every fusion of vectors, also fuse the rankings of its parts by these rules; fusions with
            tokens, whose vectors cannot be joined, fuse only rankings.
        tokens: Whether token hookpoints (`model:tokens`) are allowed.
        open_saved: Opens saved folders.
        similarity: Similarity function of the vectors.

    Returns:
        The models with their hookpoints, and the fusions.

    Raises:
        CallError: If a spec is malformed, or its layer, pooling or rule does not exist.
        ModelError: If a model cannot be loaded.
    """
    for rule in run_rules:
        check_rule(rule)
    late = [spec for spec in specs if run_rules and tokens and _joins_tokens(spec)]
    if late and specs[0] in late:
        raise CallError(f"'{specs[0]}' is a fusion of rankings and cannot be the baseline: put another encoder first")
    joined = [spec for spec in specs if spec not in late]
    parts = [split_fusion(spec) for spec in late]
    readers, groups = _open_groups(
        [*joined, *chain(*parts)], options, store, tokens=tokens, open_saved=open_saved, similarity=similarity
    )
    encoders = list(dict.fromkeys(encoder for group in groups[: len(joined)] for encoder in group))
    fusions = [encoder.points for encoder in encoders if isinstance(encoder, Fusion) and not _is_hookpoint(encoder)]
    found = iter([_alone(group) for group in groups[len(joined) :]])
    fusions += [points for names in parts for points in _cross([next(found) for _ in names])]
    return _gather_up(readers, [*encoders, *_fuse_rankings(fusions, run_rules)], groups[0][-1])


def _joins_tokens(spec: str) -> bool:
    names = split_fusion(spec)
    return len(names) > 1 and any(split_spec(name).pooling == TOKENS for name in names)


def _open_groups(
    specs: Sequence[str],
    options: LoadOptions | None,
    store: Store | None,
    *,
    tokens: bool = False,
    open_saved: OpenSaved | None,
    similarity: str,
) -> tuple[dict[str, LayerReader], list[list[Composite]]]:
    """Return readers by name, with every model opened once, and the encoders of every spec."""
    readers: dict[str, LayerReader] = {}
    groups: list[list[Composite]] = []
    for spec in specs:
        parts = [split_spec(part) for part in split_fusion(spec)]
        saved = open_saved(parts, options, store) if open_saved else None
        if saved is not None:
            opened, encoder = saved
            readers |= {reader.model.source.name: reader for reader in opened}
            groups.append([encoder])
            continue
        for name in dict.fromkeys(part.model for part in parts if part.model not in readers):
            readers[name] = for_similarity(open_reader(name, options, store), similarity)
        points = _cross([_expand(part, readers[part.model].model, tokens) for part in parts])
        groups.append([Fusion(several) for several in points])
    return readers, groups


def _gather_up(
    readers: dict[str, LayerReader], encoders: Sequence[Composite | RunFusion], baseline: Composite
) -> ResolvedSpecs:
    alone = [encoder for encoder in encoders if _is_hookpoint(encoder)]
    return ResolvedSpecs(
        tuple(Candidate(reader, _points_of(name, alone)) for name, reader in readers.items()),
        tuple(encoder for encoder in encoders if not _is_hookpoint(encoder)),
        baseline,
    )


def _is_hookpoint(encoder: Composite | RunFusion) -> bool:
    return isinstance(encoder, Fusion) and len(encoder.points) == 1


def resolve_sides(
    queries: str,
    documents: str,
    options: LoadOptions | None = None,
    *,
    store: Store | None = None,
    open_saved: OpenSaved | None = None,
    similarity: str = OWN,
) -> ResolvedSpecs:
    """Open an encoder for queries and one for documents, ranked as a pair and individually.

    The baseline is the documents' encoder on both sides.

    Raises:
        CallError: If one of them has several encoders.
    """
    readers, groups = _open_groups([documents, queries], options, store, open_saved=open_saved, similarity=similarity)
    for spec, encoders in zip((documents, queries), groups, strict=True):
        if len(encoders) != 1:
            raise CallError(f"'{spec}' has {len(encoders)} encoders: expected one per side")
    (index,), (asker,) = groups
    return _gather_up(readers, list(dict.fromkeys([index, asker, Asymmetric(asker, index)])), index)


def pair_towers(
    resolved: ResolvedSpecs, dataset: Dataset, options: LoadOptions | None = None, *, store: Store | None = None
) -> ResolvedSpecs:
    """Pair every hookpoint of a tower with the full other tower; without images, return the specs unchanged.

    Raises:
        CallError: If a model supports only text, or a spec is a fusion.
        ModelError: If a tower cannot be loaded.
    """
    if not dataset.images:
        return resolved
    joined = [fusion for fusion in resolved.fusions if not isinstance(fusion, Asymmetric)]
    if joined:
        raise CallError(
            f"'{joined[0]}' is not a hookpoint of a tower, but '{dataset.name}' has images: use clip@image.5 or similar"
        )
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    for name, reader in list(readers.items()):
        if other_tower(name) not in readers:
            readers[other_tower(name)] = open_other(reader, options, store)
    models = {name: reader.model for name, reader in readers.items()}
    points = [point for candidate in resolved.candidates for point in candidate.hookpoints]
    pairs = [pair_up(point, models, dataset) for point in points]
    return replace(
        resolved,
        candidates=tuple(Candidate(reader, ()) for reader in readers.values()),
        fusions=(*pairs, *resolved.fusions),
    )


def _points_of(name: str, alone: Sequence[Composite | RunFusion]) -> tuple[Hookpoint, ...]:
    return tuple(point for encoder in alone for point in encoder.points if point.model == name)


def _fuse_rankings(fusions: Sequence[tuple[Hookpoint, ...]], rules: Sequence[str]) -> list[RunFusion]:
    if rules and not fusions:
        raise CallError("fused rankings need a fusion: add one, such as minilm@6:mean+mpnet:mean")
    return list(dict.fromkeys(RunFusion(points, rule) for points in fusions for rule in rules))


def _alone(encoders: Sequence[Composite]) -> list[Hookpoint]:
    """Return the hookpoints of encoders with a single hookpoint each."""
    if not all(_is_hookpoint(encoder) for encoder in encoders):
        raise CallError(f"'{encoders[0]}' is not a hookpoint: rankings of tokens can be fused only with hookpoints")
    return [encoder.points[0] for encoder in encoders]


def _cross(groups: Sequence[Sequence[Hookpoint]]) -> list[tuple[Hookpoint, ...]]:
    """Return all combinations of one hookpoint per group, except of a hookpoint with itself."""
    joined = [points for points in product(*groups) if len(set(points)) == len(points)]
    if not joined:
        raise CallError(f"'{'+'.join(str(group[0]) for group in groups)}' fuses a hookpoint with itself: use two")
    return joined


def _expand(parts: SpecParts, model: ModelProfile, tokens: bool) -> tuple[Hookpoint, ...]:
    return select_hookpoints(model, parts.layers or "last", [parts.pooling or "own"], tokens=tokens)
