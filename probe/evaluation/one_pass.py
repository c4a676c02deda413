"""Scoring of hookpoints and their fusions in one pass over the texts.

The cosine of a concatenation is the weighted mean of the cosines of its blocks: combining every layer of one model with
every layer of another needs no more matrix products than the layers alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from probe.data.dataset import Dataset
from probe.data.training_record import Learned, join_learned
from probe.encoding.chunk_states import RunContext, prompted_queries
from probe.encoding.maxsim_reader import late_reader
from probe.encoding.reader import LayerReader
from probe.evaluation.composite import Composite, SimilarityChoice
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import RunFusion
from probe.evaluation.records import AdaptorFacts, Evaluation, StorageFacts
from probe.evaluation.scan import Cost, Engine, Scan, points_of, read_points, scan_here
from probe.evaluation.scorers import score_device
from probe.evaluation.tower_pair import TowerPair
from probe.evaluation.tracker import TopKTracker
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.layers.operations import text_flops
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.similarity import OWN
from probe.metrics.vectors import Embeddings
from probe.models.info import ModelProfile
from probe.results.query_examples import leaders

__all__ = ["sweep_fusions", "typical_tokens"]

# Number of documents sampled for the typical length, and characters per token in them.
_EXAMPLES = 256
_LETTERS = 4
# Special tokens of every text.
_SPECIALS = 2


class _Model:
    """One model's share of the work, and its cost."""

    def __init__(self, reader: LayerReader, label: str) -> None:
        """Create the record of a model; `label` distinguishes its progress from that of others."""
        self.reader = reader
        self.seconds: Counter[int] = Counter()
        self.truncated_documents = 0
        self.truncated_queries = 0
        self.timed = True
        self._label = label

    def read_queries(self, dataset: Dataset, tracker: TopKTracker, context: RunContext) -> dict[Hookpoint, Embeddings]:
        """Return the queries' states `(Q, D)` by hookpoint; token states stay in the reader and are `(0, D)` here."""
        side, points = prompted_queries(self.reader, dataset), points_of(tracker, self.reader, "queries")
        if not points:
            return {}
        chunks = list(read_points(self.reader, side, tracker, context=context, label=self._label))
        self.truncated_queries = sum(chunk.truncated for chunk in chunks)
        tokens = [key for key in points if key[1] == TOKENS]
        if tokens:
            self.reader = late_reader(self.reader, side, chunks, layer_poolings=tokens)
        states = {key: [chunk.vectors[key] for chunk in chunks] for key in points if key not in tokens}
        states |= {key: [np.empty((0, self.reader.model.width), np.float32)] for key in tokens}
        return {point: np.concatenate(states[key]) for key, point in points.items()}

    def add(self, cost: Cost) -> None:
        """Add the cost of a chunk of documents."""
        self.seconds.update(cost.seconds)
        self.truncated_documents += cost.truncated
        self.timed = self.timed and cost.timed


def sweep_fusions(
    readers: Mapping[str, LayerReader],
    encoders: Sequence[Composite | RunFusion],
    dataset: Dataset,
    *,
    metrics: Sequence[Metric],
    context: RunContext,
    engine: Engine = scan_here,
    similarity: str = OWN,
) -> tuple[list[Evaluation], dict[str, tuple[int, int]]]:
    """Score fusions of several models in one pass over the texts, with the models side by side.

    Args:
        readers: Readers of the models, by the model names in hookpoints.
        encoders: Encoders to score, including single hookpoints.
        dataset: The data set; its relevance labels are used only for scoring.
        metrics: Metrics to compute.
        context: Store, and callback after every batch.
        engine: Runs the pass over the documents; queries are encoded here.
        similarity: Similarity function of the vectors; `own` is each model's.

    Returns:
        One evaluation per encoder, and the number of truncated documents and queries by model.
    """
    own = {name: reader.model.similarity for name, reader in readers.items()}
    depth = max(metric.cutoff for metric in metrics)
    device = score_device(reader.model.device for reader in readers.values())
    tracker = TopKTracker.over(dataset, encoders, depth, similarities=SimilarityChoice(similarity, own), device=device)
    models = {name: _Model(reader, f" ({name})" if len(readers) > 1 else "") for name, reader in readers.items()}
    _scan(tracker, models, dataset, context=context, engine=engine)
    costs = _Costs(models, len(dataset.documents), typical_tokens(dataset))
    evaluations = [_evaluate(encoder, tracker, costs, dataset=dataset, metrics=metrics) for encoder in encoders]
    return evaluations, {name: (m.truncated_documents, m.truncated_queries) for name, m in models.items()}


def _scan(
    tracker: TopKTracker,
    models: Mapping[str, _Model],
    dataset: Dataset,
    *,
    context: RunContext,
    engine: Engine,
) -> None:
    """Encode the queries, then the documents, with all models."""
    queries: dict[Hookpoint, Embeddings] = {}
    for model in models.values():
        queries |= model.read_queries(dataset, tracker, context)
    tracker.take_queries(queries)
    reading = {name: model.reader for name, model in models.items() if points_of(tracker, model.reader)}
    for found in engine(Scan(tracker, reading, dataset, context)):
        tracker.take(found.top)
        for name, cost in found.costs.items():
            models[name].add(cost)


def _evaluate(
    encoder: Composite | RunFusion,
    tracker: TopKTracker,
    costs: "_Costs",
    *,
    dataset: Dataset,
    metrics: Sequence[Metric],
) -> Evaluation:
    adaptor = None if isinstance(encoder, RunFusion) else encoder.adaptor
    documents = encoder.points if isinstance(encoder, RunFusion) else encoder.sides[1].points
    run = tracker.run(encoder)
    return Evaluation(
        encoder=str(encoder),
        dim=tracker.dim(encoder),
        scores=score_run(run, dataset.qrels, metrics),
        collapsed=tracker.collapsed(encoder),
        flops=costs.flops(documents, adaptor),
        ms_per_text=costs.milliseconds(documents),
        parameters=costs.parameters(encoder.points),
        hookpoint=_read_at(encoder),
        hookpoints=encoder.points,
        adaptor=adaptor,
        storage=(storage := _storage(encoder)),
        notes=() if isinstance(encoder, RunFusion) else getattr(encoder, "notes", ()),
        leaders=leaders(run),
        **_learned(adaptor, storage, [costs.model_of(point).learned for point in encoder.points], dataset=dataset),
    )


def _storage(encoder: Composite | RunFusion) -> StorageFacts | None:
    return encoder.storage if isinstance(encoder, Compressed) else None


def _read_at(encoder: Composite | RunFusion) -> Hookpoint | None:
    """Return the single hookpoint of an encoder, if it has only one."""
    if isinstance(encoder, TowerPair):
        return encoder.probed
    return encoder.points[0] if len(encoder.points) == 1 else None


def _learned(
    adaptor: AdaptorFacts | None, storage: StorageFacts | None, models: Iterable[Learned], *, dataset: Dataset
) -> dict[str, Any]:
    """Return the labels, and whether the corpus was seen, in the training of weights or adaptor or the calibration."""
    below = join_learned(models)
    names = [*below.labels, *(adaptor.labels.split("+") if adaptor else [])]
    labels = "+".join(dict.fromkeys(name for name in names if name != "none")) or "none"
    fits = [facts for facts in (adaptor, storage) if facts is not None]
    return {"labels": labels, "transductive": below.saw(dataset) or any(facts.saw(dataset) for facts in fits)}


def typical_tokens(dataset: Dataset) -> int:
    """Return the approximate number of tokens per document, from the characters of the first documents."""
    texts = dataset.documents.read(0, _EXAMPLES).texts
    return round(sum(map(len, texts)) / len(texts) / _LETTERS) + _SPECIALS


class _Costs:
    """Cost of encoders over all documents; every model counts once, up to its deepest hookpoint."""

    def __init__(self, models: Mapping[str, _Model], documents: int, tokens: int) -> None:
        """Record the models after a pass over so many documents, of so many tokens each."""
        self._models = models
        self._documents = documents
        self._tokens = tokens
        # Times of another run are not comparable.
        self._timed = all(model.timed for model in models.values())

    def model_of(self, point: Hookpoint) -> ModelProfile:
        """Return the model of a hookpoint."""
        return self._models[point.model].reader.model

    def parameters(self, points: Sequence[Hookpoint]) -> int:
        """Return the number of parameters up to the hookpoints."""
        return sum(self._models[name].reader.model.parameters[layer] for name, layer in _deepest(points).items())

    def milliseconds(self, points: Sequence[Hookpoint]) -> float | None:
        """Return the time per document; None unless all models were timed in this run."""
        if not self._timed:
            return None
        seconds = sum(self._models[name].seconds[layer] for name, layer in _deepest(points).items())
        return 1000 * seconds / self._documents

    def flops(self, points: Sequence[Hookpoint], adaptor: AdaptorFacts | None) -> int:
        """Return the FLOPs per document, truncated to the model's maximum length; images have a fixed length."""
        total = 2 * adaptor.parameters if adaptor else 0
        for name, layer in _deepest(points).items():
            model = self._models[name].reader.model
            tokens = model.max_tokens if model.tower == "image" else min(model.max_tokens, self._tokens)
            per_token = model.flops[layer] if model.flops else 0  # an encoder without layers only looks up vectors
            total += text_flops(per_token, model.attention_width, layer, tokens=tokens)
        return total


def _deepest(points: Sequence[Hookpoint]) -> dict[str, int]:
    """Return the deepest layer of every model."""
    deepest: dict[str, int] = {}
    for point in points:
        deepest[point.model] = max(deepest.get(point.model, 0), point.layer_pooling[0])
    return deepest
