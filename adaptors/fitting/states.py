"""The states of a fit's texts, read once, from the store if they are cached."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from adaptors.fitting.data import FitTexts, find_positives, several_texts
from probe.data.dataset import Dataset
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
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint
from probe.metrics.vectors import Embeddings
from probe.store.store import Store

__all__ = ["FitData", "GatheredStates", "final_fusion", "gather_states"]


@dataclass(frozen=True)
class FitData:
    """The states an adaptor is fitted to: unit vectors of all hookpoints, concatenated as in a fusion.

    The texts of several data sets are stacked, one data set after another; every text counts once.

    Attributes:
        documents: States of the N documents `(N, D)`.
        queries: States of the M training queries `(M, D)`; never the queries that are scored.
        blocks: Name and dimension of each hookpoint; the dimensions sum to D.
        targets: Final embeddings of documents and queries `(N + M, F)`, the targets of the lens.
        pairs: Query row, row of a relevant document, and grade `(P, 3)`; empty without labels.
        labels: `none`, or the split of the pairs; several splits are joined by `+`.
        fitted_on: Name of every data set, and the sha256 of its documents.
        shortage: A sentence on relevance labels that cannot be used; empty if all can.
        corpora: Number of documents of every corpus, summing to N; empty for a single corpus.
    """

    documents: Tensor
    queries: Tensor
    blocks: tuple[tuple[str, int], ...]
    targets: Tensor
    pairs: Tensor
    labels: str
    fitted_on: tuple[tuple[str, str], ...]
    shortage: str = ""
    corpora: tuple[int, ...] = ()

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
        """States of documents and queries `(N + M, D)`; not copied if they follow each other in memory."""
        first, second = self.documents, self.queries
        is_shared = first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
        follows = second.storage_offset() == first.storage_offset() + first.numel()
        if is_shared and follows and first.is_contiguous() and second.is_contiguous():
            return first.as_strided((len(first) + len(second), first.shape[1]), first.stride())
        return torch.cat([first, second])

    @property
    def corpus_rows(self) -> tuple[range, ...]:
        """Rows of the documents of each corpus."""
        sizes = self.corpora or (len(self.documents),)
        return tuple(range(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True))


def final_fusion(readers: Mapping[str, LayerReader], fusion: Fusion) -> Fusion:
    """Return the fusion of the final embeddings of a fusion's models, or the fusion itself if it is that."""
    models = dict.fromkeys(point.model for point in fusion.points)
    points = [Hookpoint(name, readers[name].model.depth, own_pooling(readers[name].model)) for name in models]
    return fusion if set(points) == set(fusion.points) else Fusion(tuple(points))


@dataclass(frozen=True)
class _Stack:
    """Data sets in the order of their rows.

    Attributes:
        sets: All data sets.
        corpora: Their corpora by the sha256 of the documents; a corpus that several data sets share is read once.
        trains: Their training splits by the sha256 of the queries and of the corpus's documents.
    """

    sets: tuple[FitTexts, ...]
    corpora: dict[str, Dataset]
    trains: dict[str, Dataset]

    @classmethod
    def of(cls, sets: tuple[FitTexts, ...]) -> "_Stack":
        """Return the data sets without repetitions of texts."""
        corpora: dict[str, Dataset] = {}
        trains: dict[str, Dataset] = {}
        for one in sets:
            corpora.setdefault(one.corpus.documents.text_hash, one.corpus)
            if one.train is not None:
                trains.setdefault(_key(one, one.train), one.train)
        return cls(sets, corpora, trains)

    @property
    def fitted_on(self) -> tuple[tuple[str, str], ...]:
        """Name of every data set, and the sha256 of its documents."""
        return tuple(dict.fromkeys((one.corpus.name, one.corpus.documents.text_hash) for one in self.sets))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of documents of every corpus; empty for a single one."""
        return tuple(len(corpus.documents) for corpus in self.corpora.values()) if len(self.corpora) > 1 else ()

    def first_rows(self, one: FitTexts, train: Dataset) -> tuple[int, int]:
        """Return the rows of a data set's first training query and of its first document."""
        queries = _starts({key: len(split.queries) for key, split in self.trains.items()})
        documents = _starts({key: len(corpus.documents) for key, corpus in self.corpora.items()})
        return queries[_key(one, train)], documents[one.corpus.documents.text_hash]


def _key(one: FitTexts, train: Dataset) -> str:
    return f"{train.queries.text_hash} {one.corpus.documents.text_hash}"


def _starts(sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sum of all sizes before each."""
    return dict(zip(sizes, accumulate(sizes.values(), initial=0), strict=False))


@dataclass(frozen=True)
class GatheredStates:
    """One `FitData` per fusion, joined whenever it is looked up: only those at work are in memory.

    Attributes:
        fusions: The fusions.
        finals: The fusion of the final embeddings, for each.
        documents: States of the documents `(N, D_i)` by hookpoint.
        queries: States of the queries `(M, D_i)`.
        common: What is the same for all fusions, without states.
    """

    fusions: tuple[Fusion, ...]
    finals: tuple[Fusion, ...]
    documents: Mapping[Hookpoint, Embeddings]
    queries: Mapping[Hookpoint, Embeddings]
    common: FitData

    def __len__(self) -> int:
        return len(self.fusions)

    def __iter__(self) -> Iterator[FitData]:
        return (self[number] for number in range(len(self)))

    def __getitem__(self, number: int) -> FitData:
        """Return the value of a fusion; final embeddings are their own targets, not a copy of them."""
        fusion, final = self.fusions[number], self.finals[number]
        states = self._join(fusion)
        count = len(self.documents[fusion.points[0]])
        return replace(
            self.common,
            documents=states[:count],
            queries=states[count:],
            blocks=tuple((str(point), self.documents[point].shape[1]) for point in fusion.points),
            targets=states if final == fusion else self._join(final),
        )

    def _join(self, fusion: Fusion) -> Tensor:
        """Return the joined states of all documents and queries `(N + M, D)`."""
        sides = [[torch.from_numpy(side[point]) for point in fusion.points] for side in (self.documents, self.queries)]
        return torch.cat([fusion.join(blocks) for blocks in sides])


def gather_states(
    readers: Mapping[str, LayerReader],
    fusions: Sequence[Fusion],
    texts: FitTexts | Sequence[FitTexts],
    *,
    store: Store | None = None,
    progress: Progress = silent,
) -> GatheredStates:
    """Read the states of several fusions in one pass over the texts.

    Args:
        readers: Readers by the model names of the hookpoints.
        fusions: The hookpoints of the adaptors.
        texts: The texts of one or several data sets; the states of each come from its own place in the store. Documents
            that several data sets share are stacked once.
        store: Store of cached states, if any.
        progress: Called for every batch.

    Returns:
        One value per fusion, all with the same texts.

    Raises:
        CallError: Too few relevance labels of a training split are for documents in its corpus.
    """
    stack = _Stack.of(several_texts(texts))
    pairs, labels, shortage = _positives(stack)
    finals = [final_fusion(readers, fusion) for fusion in fusions]
    points = dict.fromkeys(point for fusion in (*fusions, *finals) for point in fusion.points)
    context = RunContext(store, progress, again=True)
    documents = _read(readers, points, list(stack.corpora.values()), make_side=prompted_documents, context=context)
    queries = {point: vectors[:0] for point, vectors in documents.items()}
    if stack.trains:
        queries = _read(readers, points, list(stack.trains.values()), make_side=prompted_queries, context=context)
    nothing = torch.empty(0, 0)
    common = FitData(nothing, nothing, (), nothing, pairs, labels, stack.fitted_on, shortage, stack.sizes)
    return GatheredStates(tuple(fusions), tuple(finals), documents, queries, common)


def _read(
    readers: Mapping[str, LayerReader],
    points: Mapping[Hookpoint, None],
    datasets: Sequence[Dataset],
    *,
    make_side: Callable[[LayerReader, Dataset], PromptedTexts],
    context: RunContext,
) -> dict[Hookpoint, Embeddings]:
    """Return all states `(N, D)` of one side of the data sets by hookpoint."""
    found: dict[Hookpoint, Embeddings] = {}
    for name, reader in readers.items():
        own = [point for point in points if point.model == name]
        poolings = [point.layer_pooling for point in own]
        sides = [make_side(reader, dataset) for dataset in datasets]
        chunks = [chunk.vectors for side in sides for chunk in read_states(reader, side, poolings, context=context)]
        found |= {point: np.concatenate([vectors[point.layer_pooling] for vectors in chunks]) for point in own}
    return found


def _positives(stack: _Stack) -> tuple[Tensor, str, str]:
    """Return the relevant pairs of all data sets, their splits, and a sentence on labels that cannot be used.

    A pair is a query row, a document row and a grade `(P, 3)`.
    """
    # Data sets with the same corpus and queries may share labels.
    pairs: dict[tuple[int, int, int], None] = {}
    splits: dict[str, None] = {}
    shortages: dict[str, None] = {}
    for one in stack.sets:
        if one.train is not None and one.labels:
            owner = f"{one.corpus.name}: " if len(stack.sets) > 1 else ""
            own = find_positives(one, one.train, owner)
            query, document = stack.first_rows(one, one.train)
            pairs |= {(row + query, found + document, grade): None for row, found, grade in own.pairs}
            splits[one.train.split] = None
            shortages |= dict.fromkeys(filter(None, [own.shortage]))
    return torch.tensor([*pairs], dtype=torch.long).reshape(-1, 3), "+".join(splits) or "none", "; ".join(shortages)
