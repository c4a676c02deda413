"""The map trained on relevance labels: it learns which directions matter, and needs labels."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.candidates.dimensions import fit_basis
from adaptors.candidates.labelled_map import train_labelled_map
from adaptors.fitting.data import FitTexts
from adaptors.healing.texts import HealTexts
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.errors import CallError

DOCUMENTS, QUERIES, NOISE, SIGNAL = 200, 80, 12, 6


def make_texts() -> tuple[HealTexts, Tensor]:
    """Return vectors whose loudest directions say nothing of relevance, and queries that no training sees."""
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(DOCUMENTS, SIGNAL, generator=generator)

    def embed(signal: Tensor) -> Tensor:
        return normalize(torch.cat([2 * torch.randn(len(signal), NOISE, generator=generator), signal], dim=1), dim=1)

    documents, queries, unseen = embed(signal), embed(signal[:QUERIES]), embed(signal[QUERIES:])
    texts = (*map(str, range(DOCUMENTS)), *(f"query {row}" for row in range(QUERIES)))
    return HealTexts(texts, torch.cat([documents, queries]), (("made", "hash"),)), unseen


def make_data(*, labels: bool = True) -> FitTexts:
    documents = Texts(tuple(map(str, range(DOCUMENTS))), tuple(map(str, range(DOCUMENTS))))
    queries = Texts(tuple(f"q{row}" for row in range(QUERIES)), tuple(f"query {row}" for row in range(QUERIES)))
    corpus = Dataset("made", split="test", documents=documents, queries=Texts((), ()), qrels={})
    qrels = {f"q{row}": {str(row): 1, str(row + 1): 0} for row in range(QUERIES)}
    train = Dataset("made", split="train", documents=documents, queries=queries, qrels=qrels)
    return FitTexts(corpus, train, labels)


def mean_reciprocal_rank(queries: Tensor, documents: Tensor) -> float:
    cosines = normalize(queries, dim=1) @ normalize(documents, dim=1).T
    own = cosines[torch.arange(len(queries)), QUERIES + torch.arange(len(queries))]
    return float((1 / (cosines >= own.unsqueeze(1)).sum(dim=1)).mean())


@pytest.mark.parametrize("dims", [None, 17])
def test_unseen_queries_are_ranked_better_through_the_map(dims: int | None) -> None:
    texts, unseen = make_texts()
    basis = train_labelled_map(texts, make_data(), dims)
    assert basis.labels == "train"
    assert basis.axes.shape == (dims or NOISE + SIGNAL, NOISE + SIGNAL)
    assert basis.axes.dtype == np.float32
    axes, documents = torch.from_numpy(basis.axes), texts.targets[:DOCUMENTS]
    plain = torch.eye(NOISE + SIGNAL) if dims is None else torch.from_numpy(fit_basis(texts.targets, dims).axes)
    before = mean_reciprocal_rank(unseen @ plain.T, documents @ plain.T)
    assert mean_reciprocal_rank(unseen @ axes.T, documents @ axes.T) > 1.2 * before


def test_without_labels_there_is_no_map() -> None:
    texts, _ = make_texts()
    with pytest.raises(CallError, match="given without relevance labels"):
        train_labelled_map(texts, make_data(labels=False))
