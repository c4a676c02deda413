"""A static cut in tables: read from its files, as anybody else reads it."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from adaptors.static.model import StaticModel
from adaptors.static.save import write_static
from probe.data.dataset import Dataset
from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import name_reader, open_reader
from probe.encoding.reader import LayerReader
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import Hookpoint
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard

__all__ = ["score_static", "static_candidate"]


def static_candidate(model: StaticModel) -> Candidate:
    """Return a static cut as a row of a table, called after the full model: `minilm-static@0:own`."""
    with TemporaryDirectory(prefix="encoder-surgery-") as scratch:
        write_static(model, Path(scratch))
        opened = open_reader(scratch, LoadOptions(dtype="float32", device="cpu"))
    reader = name_reader(opened, f"{model.teacher.source.name}-static")
    # Where it was read from is gone when the table is read.
    reader.model = replace(reader.model, source=replace(reader.model.source, folder=Path(), typed=""))
    return Candidate(reader, (_own(reader),))


def score_static(full: LayerReader, model: StaticModel, *, dataset: Dataset, options: RunOptions) -> Leaderboard:
    """Rank a static cut beside the full model."""
    candidates = [Candidate(full, (_own(full),)), static_candidate(model)]
    return rank_candidates(candidates, dataset, str(_own(full)), options=options)


def _own(reader: LayerReader) -> Hookpoint:
    return Hookpoint(reader.model.source.name, reader.model.depth, own_pooling(reader.model))
