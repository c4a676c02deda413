"""The data of a fit: texts and their states, read once, from the store if they are cached."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from probe.data.dataset import Dataset, refuse_images
from probe.data.qrels import splits_overlap
from probe.data.sampling import SampleSize
from probe.encoding.chunk_states import (
    Progress,
    PromptedTexts,
    RunContext,
    prompted_documents,
    prompted_queries,
    read_states,
    silent,
)
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.errors import CallError, check_type
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint
from probe.metrics.vectors import Embeddings
from probe.sources.loading import as_dataset, load_dataset
from probe.store.store import Store

__all__ = ["FitData", "FitTexts", "as_fit_texts", "final_fusion", "find_training", "gather_states", "select_fit_data"]

_log = logging.getLogger(__name__)

# Minimum share of a split's relevance labels; with fewer, "trained on that split" would be misleading.
_SMALLEST_SHARE = 0.1
# Splits that fits may use.
_TRAINING = ("train", "dev")


@dataclass(frozen=True)
class FitData:
    """The states an adaptor is fitted to: unit vectors of all hookpoints, concatenated as in a fusion.

    Attributes:
        documents: States of the N documents `(N, D)`.
        queries: States of the M training queries `(M, D)`; never the queries that are scored.
        blocks: Name and dimension of each hookpoint; the dimensions sum to D.
        targets: Final embeddings of documents and queries `(N + M, F)`, the targets of the lens.
        pairs: Query row, row of a relevant document, and grade `(P, 3)`; empty without labels.
        labels: `none`, or the split of the pairs.
        fitted_on: Name of the data set, and the sha256 of its documents.
        shortage: A sentence on relevance labels that cannot be used; empty if all can.
    """

    documents: Tensor
    queries: Tensor
    blocks: tuple[tuple[str, int], ...]
    targets: Tensor
    pairs: Tensor
    labels: str
    fitted_on: tuple[str, str]
    shortage: str = ""

    @property
    def is_final(self) -> bool:
        """Whether the states are the final embeddings."""
        return self.texts.shape == self.targets.shape and torch.equal(self.texts, self.targets)

    @property
    def widths(self) -> tuple[int, ...]:
        """Dimension of each hookpoint."""
        return tuple(width for _, width in self.blocks)

    @property
    def texts(self) -> Tensor:
        """States of documents and queries `(N + M, D)`."""
        return torch.cat([self.documents, self.queries])


@dataclass(frozen=True)
class FitTexts:
    """The texts an adaptor may be fitted to.

    Attributes:
        corpus: Data set whose documents are used; its queries and relevance labels are not.
        train: Training split of the same corpus, if any: its queries are used, never those of the test split.
        labels: Whether the relevance labels of `train` may be used.
    """

    corpus: Dataset
    train: Dataset | None = None
    labels: bool = False


def find_training(name: str, split: str, limit: int | SampleSize | None = None) -> Dataset | None:
    """Return a data set's training or development split other than the scored one, or None.

    A limit keeps about that many documents, with those that its queries have relevance labels for.
    """
    for other in _TRAINING:
        if splits_overlap(other, split):
            continue
        try:
            return load_dataset(name, other, limit)
        except CallError:
            _log.debug("%s has no %s split", name, other)
    return None


def select_fit_data(name: str, corpus: Dataset, labels: str) -> FitTexts:
    """Return the texts that adaptors may be fitted to.

    Args:
        name: Name or path of the data set.
        corpus: Its scored split.
        labels: `none`, or the split whose relevance labels may be used, `train` or `dev`.

    Returns:
        The texts.

    Raises:
        CallError: The split does not exist, it is the scored one, or the data set has images.
    """
    check_type("corpus", corpus, Dataset, expected="the result of load_dataset")
    refuse_images(corpus, "an adaptor")
    if labels == "none":
        return FitTexts(corpus, find_training(name, corpus.split))
    if labels not in _TRAINING or splits_overlap(labels, corpus.split):
        raise CallError(f"--labels {labels}: expected none, train or dev, and not the scored split ({corpus.split})")
    return FitTexts(corpus, load_dataset(name, labels), labels=True)


def as_fit_texts(texts: str | Path | Dataset | FitTexts, labels: str = "none") -> FitTexts:
    """Return the texts that adaptors may be fitted to, given a data set, or its name or path.

    Of a data set in memory only the documents are used, because its training split is unknown.

    Raises:
        CallError: It is not a data set, or the requested relevance labels are not available.
    """
    if isinstance(texts, FitTexts):
        return texts
    dataset = as_dataset(texts)
    if isinstance(texts, str | Path):
        return select_fit_data(str(texts), dataset, labels)
    refuse_images(dataset, "an adaptor")
    if labels != "none":
        raise CallError(f"labels '{labels}': a data set in memory has no other splits: give its name or path")
    return FitTexts(dataset)


def final_fusion(readers: Mapping[str, LayerReader], fusion: Fusion) -> Fusion:
    """Return the fusion of the final embeddings of a fusion's models, or the fusion itself if it is that."""
    models = dict.fromkeys(point.model for point in fusion.points)
    points = [Hookpoint(name, readers[name].model.depth, own_pooling(readers[name].model)) for name in models]
    return fusion if set(points) == set(fusion.points) else Fusion(tuple(points))


def gather_states(
    readers: Mapping[str, LayerReader],
    fusions: Sequence[Fusion],
    texts: FitTexts,
    *,
    store: Store | None = None,
    progress: Progress = silent,
) -> list[FitData]:
    """Read the states of several fusions in one pass over the texts.

    Args:
        readers: Readers by the model names of the hookpoints.
        fusions: The hookpoints of the adaptors.
        texts: The texts.
        store: Store of cached states, if any.
        progress: Called for every batch.

    Returns:
        One value per fusion, all with the same texts.

    Raises:
        CallError: Too few relevance labels of the training split are for documents in the corpus.
    """
    pairs, labels, shortage = _positives(texts)
    finals = [final_fusion(readers, fusion) for fusion in fusions]
    points = dict.fromkeys(point for fusion in (*fusions, *finals) for point in fusion.points)
    context = RunContext(store, progress)
    documents = _read(readers, points, texts.corpus, make_side=prompted_documents, context=context)
    queries = {point: vectors[:0] for point, vectors in documents.items()}
    if texts.train is not None:
        queries = _read(readers, points, texts.train, make_side=prompted_queries, context=context)
    return [
        FitData(
            documents=_join(fusion, documents),
            queries=_join(fusion, queries),
            blocks=tuple((str(point), documents[point].shape[1]) for point in fusion.points),
            targets=torch.cat([_join(final, documents), _join(final, queries)]),
            pairs=pairs,
            labels=labels,
            fitted_on=(texts.corpus.name, texts.corpus.documents.text_hash),
            shortage=shortage,
        )
        for fusion, final in zip(fusions, finals, strict=True)
    ]


def _read(
    readers: Mapping[str, LayerReader],
    points: Mapping[Hookpoint, None],
    dataset: Dataset,
    *,
    make_side: Callable[[LayerReader, Dataset], PromptedTexts],
    context: RunContext,
) -> dict[Hookpoint, Embeddings]:
    """Return all states `(N, D)` of one side of a data set by hookpoint."""
    found: dict[Hookpoint, Embeddings] = {}
    for name, reader in readers.items():
        own = [point for point in points if point.model == name]
        side = make_side(reader, dataset)
        chunks = [chunk.vectors for chunk in read_states(reader, side, [p.layer_pooling for p in own], context=context)]
        found |= {point: np.concatenate([vectors[point.layer_pooling] for vectors in chunks]) for point in own}
    return found


def _join(fusion: Fusion, states: Mapping[Hookpoint, Embeddings]) -> Tensor:
    return fusion.join([torch.from_numpy(states[point]) for point in fusion.points])


def _positives(texts: FitTexts) -> tuple[Tensor, str, str]:
    """Return the relevant pairs, their split, and a sentence on labels of documents that are not in the corpus.

    A pair is a query row, a document row and a grade `(P, 3)`.
    """
    train = texts.train
    if train is None or not texts.labels:
        return torch.empty(0, 3, dtype=torch.long), "none", ""
    documents = {name: row for row, (name, _) in enumerate(texts.corpus.documents)}
    rows = {name: row for row, name in enumerate(train.queries.ids)}
    judged = [
        (rows[query], document, grade)
        for query, graded in train.qrels.items()
        for document, grade in graded.items()
        if grade > 0 and query in rows
    ]
    pairs = [(row, documents[document], grade) for row, document, grade in judged if document in documents]
    shortage = _describe_shortage(texts, train.split, kept=len(pairs), judged=len(judged))
    return torch.tensor(pairs, dtype=torch.long).reshape(-1, 3), train.split, shortage


def _describe_shortage(texts: FitTexts, split: str, *, kept: int, judged: int) -> str:
    """Return a sentence on how many relevance labels can be used, or an empty string if all can.

    Raises:
        CallError: Too few can be used for training.
    """
    if kept == judged:
        return ""
    why = "the rest are excluded by --limit" if texts.corpus.limited else "the rest are missing"
    found = f"{kept:,} of {judged:,} relevance labels of {split} are for documents in the corpus; {why}"
    if kept < _SMALLEST_SHARE * judged:
        way_out = "raise or remove --limit" if texts.corpus.limited else "complete the corpus"
        raise CallError(f"--labels {split}: {found}, too few to train on: {way_out}")
    _log.warning("--labels %s: %s", split, found)
    return f"labels {split}: {found}"
