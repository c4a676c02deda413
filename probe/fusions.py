"""Score fusions of hookpoints from the cosines of their parts, without ever joining vectors.

A fusion joins unit vectors, each weighted by the root of its weight; its cosine is then the weighted mean of the
cosines of its parts. Every layer of one model with every layer of another thus costs no more products than the layers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.dataset import Dataset
from probe.encoder import Embeddings
from probe.evaluation import Evaluation, Part
from probe.hookpoint import Hookpoint, Place
from probe.metrics import Metric, score_run
from probe.reader import LayerReader
from probe.search import TopK
from probe.states import Progress, Side, SideStates, document_side, query_side, read_side
from probe.store import Store

__all__ = ["Fusion", "sweep_fusions"]

# Ids of C documents, and every query's cosine with them `(Q, C)` per place.
_Compared = tuple[tuple[str, ...], dict[Place, Embeddings]]


@dataclass(frozen=True)
class Fusion:
    """Several hookpoints as one encoder, all with the same weight.

    Attributes:
        points: The hookpoints, layer and pooling written out; a single one stands for itself.
    """

    points: tuple[Hookpoint, ...]

    def __str__(self) -> str:
        return "+".join(map(str, self.points))


class _Model:
    """One model's share of the work: its parts by place, and what it cost."""

    def __init__(self, reader: LayerReader, places: Sequence[Place], label: str) -> None:
        """Read a model at some places; `label` tells its progress from that of others."""
        self.reader = reader
        self.seconds: Counter[int] = Counter()
        self.parts: dict[Place, Part] = {}
        self.truncated_documents = 0
        self.truncated_queries = 0
        self._places = places
        self._label = label

    def read_queries(self, dataset: Dataset, kept: tuple[Store | None, Progress]) -> None:
        """Read the queries."""
        chunks = list(self._read(query_side(self.reader, dataset), kept))
        self.truncated_queries = sum(chunk.truncated for chunk in chunks)
        for place in self._places:
            self.parts[place] = Part(np.concatenate([chunk.vectors[place] for chunk in chunks]))

    def read_documents(self, dataset: Dataset, kept: tuple[Store | None, Progress]) -> Iterator[_Compared]:
        """Yield the ids of every chunk of documents, and their cosines `(Q, C)` per place."""
        for chunk in self._read(document_side(self.reader, dataset), kept):
            self.seconds.update(chunk.seconds)
            self.truncated_documents += chunk.truncated
            yield chunk.ids, {place: self.parts[place].compare(vectors) for place, vectors in chunk.vectors.items()}

    def _read(self, side: Side, kept: tuple[Store | None, Progress]) -> Iterator[SideStates]:
        store, progress = kept
        name = f"{side.name}{self._label}"
        return read_side(self.reader, side, self._places, store, lambda _, done, total: progress(name, done, total))


def sweep_fusions(
    readers: Mapping[str, LayerReader],
    fusions: Sequence[Fusion],
    dataset: Dataset,
    metrics: Sequence[Metric],
    kept: tuple[Store | None, Progress],
) -> tuple[list[Evaluation], dict[str, tuple[int, int]]]:
    """Score fusions of several models in one pass over the texts; the models read them side by side.

    Args:
        readers: The models' readers, by the name their hookpoints have.
        fusions: What to score, single hookpoints included.
        dataset: Documents, queries and judgements; the judgements are looked at only to score.
        metrics: What to compute.
        kept: Where states are read and kept, if anywhere, and who is told about every batch.

    Returns:
        One evaluation per fusion, and per model the documents and the queries longer than it takes.
    """
    points = list(dict.fromkeys(point for fusion in fusions for point in fusion.points))
    models = {
        name: _Model(reader, _places_of(points, name), f" ({name})" if len(readers) > 1 else "")
        for name, reader in readers.items()
    }
    for model in models.values():
        model.read_queries(dataset, kept)
    depth = max(metric.cutoff for metric in metrics)
    tops = {fusion: TopK(dataset.queries.ids, depth) for fusion in fusions}
    for chunk in zip(*[model.read_documents(dataset, kept) for model in models.values()], strict=True):
        found = dict(zip(models, (compared for _, compared in chunk), strict=True))
        for fusion, top in tops.items():
            parts = [found[point.model][point.place] for point in fusion.points]
            top.add(chunk[0][0], parts[0] if len(parts) == 1 else np.mean(parts, axis=0, dtype=np.float32))
    scores = {fusion: score_run(top.run(), dataset.qrels, metrics) for fusion, top in tops.items()}
    evaluations = [_evaluate(fusion, scores[fusion], models, len(dataset.documents)) for fusion in fusions]
    return evaluations, {name: (m.truncated_documents, m.truncated_queries) for name, m in models.items()}


def _places_of(points: Sequence[Hookpoint], model: str) -> list[Place]:
    return [point.place for point in points if point.model == model]


def _evaluate(
    fusion: Fusion, scores: dict[Metric, NDArray[np.float64]], models: Mapping[str, _Model], documents: int
) -> Evaluation:
    parts = [models[point.model].parts[point.place] for point in fusion.points]
    deepest: dict[str, int] = {}
    for point in fusion.points:
        deepest[point.model] = max(deepest.get(point.model, 0), point.place[0])
    seconds = sum(models[name].seconds[layer] for name, layer in deepest.items())
    return Evaluation(
        encoder=str(fusion),
        dim=sum(part.dim for part in parts),
        scores=scores,
        collapsed=all(part.collapsed for part in parts),
        ms_per_text=1000 * seconds / documents,
        parameters=sum(models[name].reader.model.parameters[layer] for name, layer in deepest.items()),
        hookpoint=fusion.points[0] if len(fusion.points) == 1 else None,
    )
