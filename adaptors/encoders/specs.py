"""Turn specs, including saved folders, into encoders; the only module that knows every kind of encoder."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from adaptors.encoders.adapted import AdaptedEncoder, AdaptedModel
from adaptors.encoders.description import is_adapted
from adaptors.encoders.folder import open_adapted
from adaptors.encoders.target import check_pair
from adaptors.quantizing.ranking import compress_specs
from probe.encoding import opening
from probe.encoding.opening import Openable
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric, Composite
from probe.evaluation.fusion import Fusion
from probe.experiments import gate as known_gate
from probe.experiments import specs as known
from probe.experiments.given import GivenSpecs, Rankable, Readable, ResolvedSpecs
from probe.experiments.options import RunOptions
from probe.layers.hookpoint import SpecParts, split_fusion, split_name, split_spec
from probe.metrics.non_inferiority import GateGoal
from probe.metrics.similarity import OWN
from probe.models.options import LoadOptions
from probe.results.gate import GateResult
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN
from probe.sources.several import GivenDatasets
from probe.store.store import Store
from surgery.fusing.folder import is_fused, open_fused
from surgery.fusing.model import FusedModel, refuse_towers

__all__ = ["gate", "load_encoder", "rank", "resolve_gate", "resolve_sides", "resolve_specs"]


def load_encoder(model: Openable, options: LoadOptions | None = None) -> Encoder:
    """Open an encoder by its spec.

    Args:
        model: `[name=]model[@layer][:pooling]`, several of them joined by `+`, or the folder of a fused or an adapted
            model or of a router, as a string or a path. Default layer: last; default pooling: the model's own. A model
            in memory is read at its last layer, and an encoder is returned unchanged.
        options: How to load models given by name.

    Returns:
        The encoder.

    Raises:
        CallError: The spec is malformed, names several encoders, or is late interaction.
        ModelError: A model cannot be loaded.
    """
    if not isinstance(model, str | Path):
        return cast(Encoder, model) if isinstance(model, Readable) else opening.load_encoder(model, options)
    spec = str(model)
    parts = split_fusion(spec)
    if len(parts) == 1 and not _is_saved(split_spec(spec).model):
        return opening.load_encoder(spec, options)
    if len(parts) > 1:
        refuse_towers(parts)
    resolved = resolve_specs([spec], options)
    if len(resolved.fusions) != 1:
        raise CallError(f"'{spec}' means {len(resolved.fusions)} encoders: expected a single one")
    (encoder,) = resolved.fusions
    readers = tuple(candidate.reader for candidate in resolved.candidates)
    if isinstance(encoder, AdaptedEncoder):
        return AdaptedModel(FusedModel(readers, encoder.fusion), encoder)
    if not isinstance(encoder, Fusion):
        raise CallError(f"'{spec}' is not a text encoder: expected hookpoints or a folder")
    return FusedModel(readers, encoder)


def rank(
    specs: GivenSpecs,
    dataset: GivenDatasets,
    *,
    baseline: "Rankable | None" = None,
    run_rules: Sequence[str] = (),
    options: RunOptions | None = None,
    sort: str = MEAN,
) -> Leaderboard:
    """Rank encoders side by side, like `probe.rank`.

    Folders of fused and adapted models are valid specs, too, and the options may have sizes of stored vectors.
    """
    return known.rank(
        specs,
        dataset,
        baseline=baseline,
        run_rules=run_rules,
        options=options,
        open_saved=_open_saved,
        compress=compress_specs,
        sort=sort,
    )


def gate(
    candidate: "Rankable",
    dataset: GivenDatasets,
    *,
    baseline: "Rankable",
    documents: str | None = None,
    goal: GateGoal | None = None,
    options: RunOptions | None = None,
) -> GateResult:
    """Test a candidate against a baseline, like `probe.gate`; folders of fused and adapted models are specs too."""
    return known_gate.gate(
        candidate,
        dataset,
        baseline=baseline,
        documents=documents,
        goal=goal,
        options=options,
        resolve=resolve_gate,
    )


def _is_saved(model: str) -> bool:
    folder = split_name(model)[1]
    return is_fused(folder) or is_adapted(folder)


def _open_saved(
    parts: Sequence[SpecParts], options: LoadOptions | None, store: Store | None
) -> tuple[tuple[LayerReader, ...], Composite] | None:
    model = next((part.model for part in parts if _is_saved(part.model)), None)
    if model is None:
        return None
    name, folder = split_name(model)
    if len(parts) > 1 or parts[0].layers or parts[0].pooling:
        kind = "an adapted encoder" if is_adapted(folder) else "a fused model"
        raise CallError(f"'{folder}' is {kind}: give the folder alone, without layer, pooling or '+'")
    if is_adapted(folder):
        adapted = open_adapted(folder, options, store)
        return adapted.readers, replace(adapted.encoder, name=name or adapted.encoder.name)
    fused = open_fused(folder, options, store)
    return fused.readers, replace(fused.fusion, name=name or fused.fusion.name)


# The function of probe, extended by folders of fused and adapted models.
resolve_specs = partial(known.resolve_specs, open_saved=_open_saved)


def resolve_sides(
    queries: str,
    documents: str,
    options: LoadOptions | None = None,
    *,
    store: Store | None = None,
    similarity: str = OWN,
) -> ResolvedSpecs:
    """Open an encoder for queries and one for documents, like `probe`; folders of adapted models are valid, too.

    Raises:
        CallError: One of them has several encoders, or is a map to another encoder than the other one.
    """
    return _check_maps(
        known.resolve_sides(queries, documents, options, store=store, open_saved=_open_saved, similarity=similarity)
    )


def resolve_gate(
    candidate: Rankable, baseline: Rankable, documents: str | None = None, *, options: RunOptions
) -> known_gate.GatePair:
    """Open a candidate and a baseline, like `probe`; folders of fused and adapted models are valid, too.

    Raises:
        CallError: One of them has several encoders, or is a map to another encoder than that of the documents.
    """
    pair = known_gate.resolve_gate(candidate, baseline, documents, options=options, open_saved=_open_saved)
    _check_maps(pair.resolved)
    return pair


def _check_maps(resolved: ResolvedSpecs) -> ResolvedSpecs:
    """Return encoders if every map among them is beside the encoder it was fitted to."""
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    for one in resolved.fusions:
        if isinstance(one, Asymmetric):
            check_pair(one, readers)
    return resolved
