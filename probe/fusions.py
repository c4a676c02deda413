"""Score fusions of hookpoints from the cosines of their parts, without ever joining vectors.

A fusion joins unit vectors, each weighted by the root of its weight; its cosine is then the weighted mean of the
cosines of its parts. Every layer of one model with every layer of another thus costs no more products than the layers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probe.dataset import Dataset
from probe.encoder import Embeddings
from probe.evaluation import Evaluation, Ranking
from probe.hookpoint import Hookpoint, Place
from probe.metrics import Metric, score_run
from probe.reader import LayerReader
from probe.search import TopK
from probe.states import Progress, Side, SideStates, document_side, query_side, read_side
from probe.store import Store

__all__ = ["Fusion", "sweep_fusions"]


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
    """One model's share of the work: its rankings by place, and what it cost."""

    def __init__(self, reader: LayerReader, places: Sequence[Place]) -> None:
        """Read a model at some places."""
        self.reader = reader
        self.places = places
        self.rankings: dict[Place, Ranking] = {}
        self.seconds: Counter[int] = Counter()
        self.truncated = [0, 0]

    def read(self, side: Side, kept: tuple[Store | None, Progress]) -> Iterator[SideStates]:
        """Yield the states of a side."""
        store, progress = kept
        name = f"{side.name} ({self.reader.model.source.name})"
        return read_side(self.reader, side, self.places, store, lambda step, done, total: progress(name, done, total))

    def add(self, chunk: SideStates) -> dict[Place, Embeddings]:
        """Rank a chunk of documents; returns the cosines `(Q, C)` per place."""
        self.seconds.update(chunk.seconds)
        self.truncated[0] += chunk.truncated
        return {place: self.rankings[place].add(chunk.ids, vectors) for place, vectors in chunk.vectors.items()}


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
        name: _Model(reader, [point.place for point in points if point.model == name])
        for name, reader in readers.items()
    }
    for model in models.values():
        _read_queries(model, dataset, metrics, kept)
    depth = max(metric.cutoff for metric in metrics)
    tops = {fusion: TopK(dataset.queries.ids, depth) for fusion in fusions if len(fusion.points) > 1}
    sides = [model.read(document_side(model.reader, dataset), kept) for model in models.values()]
    for chunks in zip(*sides, strict=True):
        found = {name: model.add(chunk) for (name, model), chunk in zip(models.items(), chunks, strict=True)}
        for fusion, top in tops.items():
            parts = [found[point.model][point.place] for point in fusion.points]
            top.add(chunks[0].ids, np.mean(parts, axis=0, dtype=np.float32))
    evaluations = [_evaluate(fusion, tops.get(fusion), models, dataset, metrics) for fusion in fusions]
    return evaluations, {name: (model.truncated[0], model.truncated[1]) for name, model in models.items()}


def _read_queries(
    model: _Model, dataset: Dataset, metrics: Sequence[Metric], kept: tuple[Store | None, Progress]
) -> None:
    chunks = list(model.read(query_side(model.reader, dataset), kept))
    model.truncated[1] = sum(chunk.truncated for chunk in chunks)
    for place in model.places:
        vectors = np.concatenate([chunk.vectors[place] for chunk in chunks])
        model.rankings[place] = Ranking(vectors, dataset, metrics)


def _evaluate(
    fusion: Fusion, top: TopK | None, models: Mapping[str, _Model], dataset: Dataset, metrics: Sequence[Metric]
) -> Evaluation:
    rankings = [models[point.model].rankings[point.place] for point in fusion.points]
    deepest: dict[str, int] = {}
    for point in fusion.points:
        deepest[point.model] = max(deepest.get(point.model, 0), point.place[0])
    seconds = sum(models[name].seconds[layer] for name, layer in deepest.items())
    return Evaluation(
        encoder=str(fusion),
        dim=sum(ranking.dim for ranking in rankings),
        scores=rankings[0].scores() if top is None else score_run(top.run(), dataset.qrels, metrics),
        collapsed=all(ranking.collapsed() for ranking in rankings),
        ms_per_text=1000 * seconds / len(dataset.documents),
        parameters=sum(models[name].reader.model.parameters[layer] for name, layer in deepest.items()),
        hookpoint=fusion.points[0] if top is None else None,
    )
