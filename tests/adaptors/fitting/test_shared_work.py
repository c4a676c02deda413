"""What several rows of a ladder need is done once, and the data of one fit at a time is in memory."""

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_states import make_states

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.specs import resolve_specs
from adaptors.fitting import compare
from adaptors.fitting.batches import StateCollator
from adaptors.fitting.compare import FitPlan, compare_adaptors, fit_adaptors
from adaptors.fitting.data import FitTexts
from adaptors.fitting.losses import LOSSES
from adaptors.fitting.states import FitData, gather_states
from adaptors.modules.linear import Projection
from adaptors.modules.mlp import Autoencoder
from probe.data.dataset import Dataset
from probe.encoding import chunk_states as states_module
from probe.evaluation.fusion import Fusion
from probe.evaluation.storage import StoragePlan
from probe.experiments.options import RunOptions
from probe.experiments.specs import ResolvedSpecs
from probe.metrics import significance
from probe.models.options import LoadOptions

OPTIONS = LoadOptions(dtype="float32", device="cpu")
PLAN = FitPlan(("pca", "spectral"), (32, 16, 8, 4))


@pytest.fixture
def resolved(tiny_folder: Callable[[str], Path]) -> ResolvedSpecs:
    bert = tiny_folder("bert")
    return resolve_specs([f"{bert}@2:mean", f"{bert}@3:mean", f"{bert}@2:mean+{bert}@3:mean"], OPTIONS)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows in every pass through a linear map."""
    seen: list[int] = []
    real = Projection.forward
    monkeypatch.setattr(Projection, "forward", lambda self, states: (seen.append(len(states)), real(self, states))[1])
    return seen


@pytest.mark.parametrize("storage", [StoragePlan(), StoragePlan(bits=(8, 4, 1, 32), sizes=(2,), rescore=2)])
def test_a_module_runs_once_per_chunk_whatever_the_dimensions_and_sizes(
    resolved: ResolvedSpecs, dataset: Dataset, passes: list[int], monkeypatch: pytest.MonkeyPatch, storage: StoragePlan
) -> None:
    monkeypatch.setattr(states_module, "CHUNK", 16)
    board = compare_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions(storage=storage))
    modules = 3 * len(PLAN.kinds)
    queries, documents = 1, -(-len(dataset.documents) // 16)
    calibrations = 1 if storage.compresses else 0
    assert len({(row.encoder, row.adaptor, row.dim) for row in board.rows if row.adaptor}) == modules * len(PLAN.dims)
    assert len(passes) == modules * (queries + documents + calibrations)


def test_dimensions_are_prefixes_of_one_output(resolved: ResolvedSpecs, dataset: Dataset) -> None:
    fitted = fit_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions())
    states = torch.nn.functional.normalize(torch.randn(6, 32), dim=1)
    for encoder in fitted.adapted[:8]:
        expected = torch.nn.functional.normalize(encoder.module(states)[:, : encoder.dim], dim=1)
        found = encoder.finish(encoder.below.finish(states.numpy()))
        assert torch.equal(torch.from_numpy(found), expected)
    # Encoders that differ in their dimension alone share what is below them.
    assert len({encoder.below for encoder in fitted.adapted}) == len({id(encoder.module) for encoder in fitted.adapted})
    assert len(fitted.adapted) > len({encoder.below for encoder in fitted.adapted})


def test_the_data_of_one_fit_at_a_time_is_in_memory(
    resolved: ResolvedSpecs, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[torch.Tensor]] = []
    most: list[int] = []
    real = compare.fit_kind

    def watch(kind: str, fusion: Fusion, data: FitData, *, plan: FitPlan) -> list[AdaptedEncoder]:
        alive.append(weakref.ref(data.documents))
        gc.collect()
        most.append(len({id(found) for one in alive if (found := one()) is not None}))
        return real(kind, fusion, data, plan=plan)

    monkeypatch.setattr(compare, "fit_kind", watch)
    fit_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions())
    assert len(most) == 6
    assert set(most) == {1}


def test_final_embeddings_are_their_own_targets_and_texts_are_not_copied(
    resolved: ResolvedSpecs, dataset: Dataset
) -> None:
    readers = {one.reader.model.source.name: one.reader for one in resolved.candidates}
    (first, _), final = resolved.candidates[0].hookpoints, resolved.candidates[0].hookpoints[1]
    inner, last = gather_states(readers, [Fusion((first,)), Fusion((final,))], FitTexts(dataset))
    assert last.is_final
    assert not inner.is_final
    assert last.targets.data_ptr() == last.documents.data_ptr() == last.texts.data_ptr()
    assert torch.equal(inner.texts, torch.cat([inner.documents, inner.queries]))
    assert inner.texts.data_ptr() == inner.documents.data_ptr()
    apart = make_states()
    assert torch.equal(apart.texts, torch.cat([apart.documents, apart.queries]))


def test_random_signs_are_drawn_for_all_rows_together(
    resolved: ResolvedSpecs, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []
    real = significance.swaps
    monkeypatch.setattr(significance, "swaps", lambda *given: (drawn.append(1), real(*given))[1])
    compare_adaptors(resolved, PLAN, FitTexts(dataset), options=RunOptions())
    # Once against the baseline, once against PCA.
    assert len(drawn) == 2


def test_an_autoencoder_embeds_a_batch_once() -> None:
    network, data = Autoencoder(24, 8), make_states()
    embedded: list[int] = []
    real = network.correction.register_forward_hook(lambda *_: embedded.append(1))
    batch = StateCollator(data)([{"text": [3, 1, 250]}])
    columns = [{"sentence_embedding": batch["text_sentence_embedding"]}]
    loss: Any = LOSSES["reconstruction+similarity"].make(_Model(network), network, (8, 4))
    found = loss(columns)
    real.remove()
    assert len(embedded) == 1
    for name in ("reconstruction", "similarity"):
        assert torch.equal(found[name], getattr(loss, name)(columns))


class _Model(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**features, "sentence_embedding": self.network(features["sentence_embedding"])}
