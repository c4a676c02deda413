"""Resolution of specs into models and hookpoints, with each model opened once; and ranking of specs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, product

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_model, refuse_part
from probe.encoding.paired import PairedEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric, Composite
from probe.evaluation.fusion import Fusion, RunFusion
from probe.experiments.given import (
    Compress,
    GivenSpecs,
    OpenedEncoder,
    OpenSaved,
    Rankable,
    ResolvedSpecs,
    Spec,
    as_specs,
    name_baseline,
    open_pair,
    with_readers,
)
from probe.experiments.matrix import rank_datasets
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, OtherEncoder, rank_candidates
from probe.experiments.two_towers import pair_towers
from probe.layers.hookpoint import TOKENS, Hookpoint, SpecParts, split_fusion, split_spec
from probe.metrics.run_fusion import check_rule
from probe.metrics.similarity import OWN
from probe.models.info import ModelProfile
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN
from probe.sources.several import GivenDatasets, as_datasets
from probe.store.store import Store

__all__ = ["ResolvedSpecs", "pair_towers", "rank", "resolve_sides", "resolve_specs"]


def rank(
    specs: GivenSpecs,
    dataset: GivenDatasets,
    *,
    baseline: "Rankable | None" = None,
    run_rules: Sequence[str] = (),
    options: RunOptions | None = None,
    open_saved: OpenSaved | None = None,
    compress: Compress | None = None,
    sort: str = MEAN,
) -> Leaderboard:
    """Rank any encoders: hookpoints of any number of models, their fusions, and models in memory.

    Args:
        specs: `[name=]model[@layers][:pooling]` each, or several joined by `+`; default: the last layer and the
            model's own pooling; `tokens` uses late interaction. For data sets with images, hookpoints of towers. A
            folder's path, a loaded model, a `SentenceTransformer`, an encoder of this package or any object with
            `encode_query` and `encode_document` is a spec too; `{"mine": model}` names it.
        dataset: A data set, or its name or path; or several, which give a `DatasetMatrix`.
        baseline: Spec, or its name, that all others are tested against; default: the first.
        run_rules: For every fusion, also fuse the rankings of its parts by these rules, `rrf` or `combsum`.
        options: Run options.
        open_saved: Opens saved folders; `adaptors.rank` passes a function that opens all kinds.
        compress: Compresses the documents of the encoders; `adaptors.rank` passes it.
        sort: Order of the rows over several data sets: `mean`, or the name of one of them.

    Returns:
        The leaderboard.

    Raises:
        ProbeError: If an argument is invalid, or a model or the data is unavailable; before any encoding.
    """
    options = RunOptions.of(options)
    given = as_specs(specs)
    first = given[0] if baseline is None else name_baseline(baseline, given)
    resolved = resolve_specs(
        list(dict.fromkeys([first, *given])),
        options.load,
        options.store,
        run_rules=run_rules,
        tokens=True,
        open_saved=open_saved,
        similarity=options.similarity,
    )
    datasets = as_datasets(dataset)

    def rank_on(name: str, data: Dataset) -> Leaderboard:
        """Rank on one data set."""
        paired = pair_towers(resolved, data, options.load, store=options.store)
        here = options.named(name) if len(datasets) > 1 else options
        return rank_candidates(
            paired.candidates,
            data,
            str(paired.baseline),
            options=here,
            fusions=(*paired.fusions, *(compress(paired, data, here) if compress else ())),
            others=paired.others,
        )

    return rank_datasets(datasets, rank_on, sort=sort, seed=options.seed)


def resolve_specs(
    specs: Sequence[Spec],
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
        specs: `[name=]model[@layers][:pooling]` each, or several joined by `+`; default: the last layer and the
            model's own pooling. If parts of a fusion have several layers, all combinations are fused. Encoders in
            memory are given by `as_specs`.
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
    others = [spec for spec in specs if isinstance(spec, OtherEncoder)]
    read = [spec for spec in specs if not isinstance(spec, OtherEncoder)]
    late = [spec for spec in read if run_rules and tokens and isinstance(spec, str) and _joins_tokens(spec)]
    if late and specs[0] in late:
        raise CallError(f"'{specs[0]}' is a fusion of rankings and cannot be the baseline: put another encoder first")
    joined = [spec for spec in read if spec not in late]
    parts = [split_fusion(spec) for spec in late]
    readers, groups = _open_groups(
        [*joined, *chain(*parts)], options, store, tokens=tokens, open_saved=open_saved, similarity=similarity
    )
    encoders = list(dict.fromkeys(encoder for group in groups[: len(joined)] for encoder in group))
    fusions = [encoder.points for encoder in encoders if isinstance(encoder, Fusion) and not _is_hookpoint(encoder)]
    found = iter([_alone(group) for group in groups[len(joined) :]])
    fusions += [points for names in parts for points in _cross([next(found) for _ in names])]
    baseline = specs[0] if isinstance(specs[0], OtherEncoder) else groups[0][-1]
    resolved = _gather_up(readers, [*encoders, *_fuse_rankings(fusions, run_rules)], baseline)
    return replace(resolved, others=tuple(others))


def _joins_tokens(spec: str) -> bool:
    names = split_fusion(spec)
    return len(names) > 1 and any(split_spec(name).pooling == TOKENS for name in names)


def _open_groups(
    specs: Sequence[str | OpenedEncoder],
    options: LoadOptions | None,
    store: Store | None,
    *,
    tokens: bool = False,
    open_saved: OpenSaved | None,
    similarity: str,
) -> tuple[dict[str, LayerReader], list[list[Composite]]]:
    """Return readers by their names in tables, with every model opened once, and the encoders of every spec."""
    readers: dict[str, LayerReader] = {}
    named: dict[str, LayerReader | PairedEncoder] = {}
    groups: list[list[Composite]] = []
    for spec in specs:
        parts = [split_spec(part) for part in split_fusion(spec)] if isinstance(spec, str) else []
        opened = _find_opened(spec, parts, open_saved=open_saved, options=options, store=store)
        if opened is not None:
            readers = with_readers(readers, opened.readers)
            groups.append([opened.encoder])
            continue
        for model in dict.fromkeys(part.model for part in parts if part.model not in named):
            named[model] = open_model(model, options, store, similarity=similarity)
        used = [named[part.model] for part in parts]
        pair = next((model for model in used if isinstance(model, PairedEncoder)), None)
        if pair is not None:
            _refuse_parts(pair, parts)
            readers = with_readers(readers, pair.readers)
            groups.append([open_pair(pair).encoder])
            continue
        single = [model for model in used if isinstance(model, LayerReader)]
        readers = with_readers(readers, single)
        points = _cross([_expand(part, reader.model, tokens) for part, reader in zip(parts, single, strict=True)])
        groups.append([Fusion(several) for several in points])
    return readers, groups


def _refuse_parts(pair: PairedEncoder, parts: Sequence[SpecParts]) -> None:
    """Reject layers, poolings and fusions of a router as a whole."""
    if len(parts) > 1:
        raise CallError(
            f"'{pair.name}' is a router, with different encoders for queries and documents: fuse one of its routes, "
            f"such as {pair.name}@document"
        )
    refuse_part(pair, parts[0].layers, parts[0].pooling)


def _find_opened(
    spec: str | OpenedEncoder,
    parts: Sequence[SpecParts],
    *,
    open_saved: OpenSaved | None,
    options: LoadOptions | None,
    store: Store | None,
) -> OpenedEncoder | None:
    """Return an encoder that is already in memory, or a saved one."""
    if isinstance(spec, OpenedEncoder):
        return spec
    saved = open_saved(parts, options, store) if open_saved else None
    return None if saved is None else OpenedEncoder(*saved)


def _gather_up(
    readers: Mapping[str, LayerReader],
    encoders: Sequence[Composite | RunFusion],
    baseline: "Composite | OtherEncoder",
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
    baseline: str | None = None,
) -> ResolvedSpecs:
    """Open an encoder for queries and one for documents, ranked as a pair and individually.

    The baseline is the documents' encoder on both sides. If another is given, only the pair and that one are ranked.

    Raises:
        CallError: If one of them has several encoders.
    """
    specs = [documents, queries, *([] if baseline is None else [baseline])]
    readers, groups = _open_groups(specs, options, store, open_saved=open_saved, similarity=similarity)
    for spec, encoders in zip(specs, groups, strict=True):
        if len(encoders) != 1:
            raise CallError(f"'{spec}' has {len(encoders)} encoders: expected one per side")
    (index,), (asker,), *others = groups
    pair = Asymmetric(asker, index)
    if others:
        return _gather_up(readers, [others[0][0], pair], others[0][0])
    return _gather_up(readers, list(dict.fromkeys([index, asker, pair])), index)


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
