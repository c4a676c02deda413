"""Time per query and per document of the full model and the candidates, and the depths that are fast enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from adaptors.finetuning.encoder import open_trainable
from adaptors.slimming.goal import SlimGoal
from probe.data.dataset import Dataset
from probe.models.loaded import LoadedModel
from surgery.cutting.cut import cut
from surgery.speed import Speed, measure_speed

__all__ = ["FULL_NAME", "Timing", "fast_depths", "time_models"]

FULL_NAME = "full model"
_QUERIES, _DOCUMENTS = 16, 64
# Share by which a limit may be missed on average and still be met by a measurement.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Timing:
    """The speed of the models, by name; the full model's among them.

    Attributes:
        speeds: The speeds.
        words: How they were measured.
    """

    speeds: Mapping[str, Speed]
    words: str


def time_models(full: str, folders: Mapping[str, Path], dataset: Dataset) -> Timing:
    """Measure models side by side, each as plain sentence-transformers serves it.

    Args:
        full: The full model.
        folders: Folders of candidates by name.
        dataset: Its queries and documents are encoded.
    """
    encoders: dict[str, Any] = {FULL_NAME: open_trainable(full).model}
    encoders |= {name: SentenceTransformer(str(folder), device="cpu") for name, folder in folders.items()}
    queries = list(dataset.queries.texts[:_QUERIES])
    documents = [text for _, text in islice(dataset.documents, _DOCUMENTS)]
    words = (
        f"sentence-transformers in float32 on the CPU, in turns: {len(queries)} queries one by one, {len(documents)} "
        "documents in batches of 32"
    )
    return Timing(measure_speed(encoders, queries, documents), words)


def fast_depths(full: LoadedModel, goal: SlimGoal, queries: Sequence[str]) -> list[int]:
    """Return the numbers of blocks, below the full model's, that are expected to be fast enough; 0 is static.

    The time of a depth follows from those of the full model and of one with half of its blocks.
    """
    depth = full.depth
    depths = list(range(depth))
    if goal.max_ms is None:
        return depths
    half = max(1, depth // 2)
    models = {number: open_trainable(cut(full, number)).model for number in dict.fromkeys((depth, half))}
    some = list(queries[:_QUERIES])
    speeds = measure_speed({str(number): model for number, model in models.items()}, some, some[:1])
    whole, part = speeds[str(depth)].ms_per_query, speeds[str(half)].ms_per_query
    each = (whole - part) / max(1, depth - half)
    times = {number: part + each * (number - half) for number in depths if number}
    return [0, *(number for number, found in times.items() if found <= goal.max_ms * (1 - _TOLERANCE))]
