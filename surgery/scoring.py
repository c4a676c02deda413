"""Retrieval scores of a changed model beside the original, for its model card."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import name_reader
from probe.encoding.reader import LayerReader
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import Hookpoint
from probe.models.loaded import LoadedModel
from probe.models.sources import ModelSource
from probe.results.leaderboard import Leaderboard
from surgery.cutting.cut import keep
from surgery.fusing.model import FusedModel

__all__ = ["card_section", "score_cut", "score_fused", "score_kept", "score_trimmed"]


def score_cut(
    reader: LayerReader, after: int, pooling: str | None, *, dataset: Dataset, options: RunOptions
) -> Leaderboard:
    """Rank a layer beside the full model; by the cut law, a model cut after it scores the same.

    Pooling None is the original's own.
    """
    return rank_layers(reader, dataset, str(after), poolings=[pooling or "own"], options=options)


def score_kept(
    model: LoadedModel, blocks: Sequence[int], pooling: str | None, *, dataset: Dataset, options: RunOptions
) -> Leaderboard:
    """Rank a model with chosen blocks beside the full model; pooling None is the original's own."""
    name = f"{model.source.name}, blocks {','.join(map(str, blocks))}"
    # No longer the hub's model: published scores do not apply.
    kept = replace(keep(model, blocks), source=ModelSource(name, model.source.folder))
    original = Hookpoint(model.source.name, model.depth, own_pooling(model))
    candidates = [
        Candidate(LayerReader(model), (original,)),
        Candidate(LayerReader(kept), (Hookpoint(name, kept.depth, pooling or own_pooling(model)),)),
    ]
    return rank_candidates(candidates, dataset, str(original), options=options)


def score_fused(model: FusedModel, dataset: Dataset, options: RunOptions) -> Leaderboard:
    """Rank a fused model beside its parts, the first as baseline, and beside equal weights if its weights differ."""
    fusion = model.fusion
    candidates = [Candidate(reader, model.points_of(reader)) for reader in model.readers]
    if fusion.weights is None:
        return rank_candidates(candidates, dataset, str(fusion.points[0]), options=options, fusions=[fusion])
    weights = ", ".join(f"{share:.2f}" for share in fusion.shares)
    weighted = replace(fusion, name=f"{fusion} (weights {weights})")
    equal = replace(fusion, weights=None, method="concat" if fusion.method == "concat" else "mean")
    return rank_candidates(candidates, dataset, str(fusion.points[0]), options=options, fusions=[weighted, equal])


def score_trimmed(
    original: LayerReader, trimmed: LayerReader, tokens: int, *, dataset: Dataset, options: RunOptions
) -> Leaderboard:
    """Rank a model with fewer tokens, read from its files, beside the original, by their own vectors."""
    renamed = name_reader(trimmed, f"{original.model.source.name}, {tokens} tokens")
    # Where it was scored is gone when the card is read: the card is in the folder itself.
    renamed.model = replace(renamed.model, source=replace(renamed.model.source, folder=Path(), typed=""))
    candidates = [Candidate(reader, (_own_vectors(reader),)) for reader in (original, renamed)]
    return rank_candidates(candidates, dataset, str(_own_vectors(original)), options=options)


def _own_vectors(reader: LayerReader) -> Hookpoint:
    return Hookpoint(reader.model.source.name, reader.model.depth, own_pooling(reader.model))


def card_section(board: Leaderboard) -> str:
    """Return a leaderboard as a section of a model card, in Markdown."""
    return f"## Retrieval\n\n{board.to_markdown()}"
