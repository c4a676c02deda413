"""Judging: scores are those of the metric on the judging queries, and a full model without any is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adaptors.candidates.judging import Judge, as_encoder
from adaptors.finetuning.encoder import open_trainable
from probe.data.dataset import Dataset
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel

NDCG = Metric("ndcg", 10)


def test_the_full_model_as_a_candidate_scores_as_itself(
    model: LoadedModel, dataset: Dataset, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.candidates.judging.is_fast", lambda: False)
    judge = Judge(LayerReader(model), dataset, NDCG)
    found = judge.score(as_encoder(open_trainable(str(tiny_folder("bert"))).model, judge.full))
    assert found == pytest.approx(judge.reference)
    assert len(found) == len(dataset.queries)


def test_a_full_model_that_finds_nothing_is_refused(model: LoadedModel, dataset: Dataset) -> None:
    lost = replace(dataset, qrels={query: {"no such document": 1} for query in dataset.qrels})
    with pytest.raises(CallError, match="finds nothing on the judging queries"):
        Judge(LayerReader(model), lost, NDCG).reference  # noqa: B018
