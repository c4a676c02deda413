"""Adaptors on real states: MiniLM on SciFact, float32, encoded once for all tests of real models."""

import pytest
import torch
from real_states import FLOAT32, NDCG, REAL, Spied, find_archive
from torch import Tensor, nn
from torch.nn.functional import normalize

from adaptors.fitting.closed_form import fit_lens
from adaptors.fitting.data import FitTexts
from adaptors.fitting.distil import fit_distil
from adaptors.fitting.network import fit_network
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData, _positives, _Stack
from probe.encoding.reader import LayerReader
from probe.metrics.retrieval import score_run
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import unit
from probe.models.loading import load_model
from probe.sources.loading import load_dataset

pytestmark = REAL
NOTHING = torch.empty(0, 3, dtype=torch.long)


def join(states: list[Tensor]) -> Tensor:
    return torch.cat([normalize(block, dim=1) for block in states], dim=1)


@pytest.fixture(scope="module")
def asked() -> list[Tensor]:
    """Training queries `(809, 384)` per layer, rounded nowhere."""
    reader = LayerReader(load_model("minilm", FLOAT32))
    texts = load_dataset(find_archive("scifact"), "train").queries.texts
    states = reader.run(reader.prepare(texts, ""), [(layer, "mean") for layer in range(7)])
    return [torch.from_numpy(states.vectors[layer, "mean"]) for layer in range(7)]


def states_of(spied: Spied, asked: list[Tensor], layers: range, labelled: bool = False) -> FitData:
    documents = [torch.from_numpy(states) for states in spied.documents]
    pairs, labels = NOTHING, "none"
    if labelled:
        texts = FitTexts(
            load_dataset(find_archive("scifact")), load_dataset(find_archive("scifact"), "train"), labels=True
        )
        pairs, labels, _ = _positives(_Stack.of((texts,)))
    return FitData(
        documents=join([documents[layer] for layer in layers]),
        queries=join([asked[layer] for layer in layers]),
        blocks=tuple((f"minilm@{layer}:mean", 384) for layer in layers),
        targets=torch.cat([join([documents[6]]), join([asked[6]])]),
        pairs=pairs,
        labels=labels,
        fitted_on=(("scifact", ""),),
    )


@torch.no_grad()
def score(spied: Spied, layers: range, module: nn.Module, dim: int = 384) -> float:
    """nDCG@10 of the test queries."""
    data = load_dataset(find_archive("scifact"))
    top = TopK(data.queries.ids, 10, data.dropped)
    sides = [
        module(join([torch.from_numpy(states[layer]) for layer in layers]))[:, :dim].contiguous().numpy()
        for states in (spied.queries, spied.documents)
    ]
    top.add([name for name, _ in data.documents], cosines(unit(sides[0]), sides[1]))
    return float(score_run(top.run(), data.qrels, [NDCG])[NDCG].mean())


@pytest.mark.parametrize(("layers", "least"), [(range(5, 6), 0.54), (range(6), 0.59)])
def test_the_lens_brings_back_an_inner_layer(spied: Spied, asked: list[Tensor], layers: range, least: float) -> None:
    assert score(spied, layers, fit_lens(states_of(spied, asked, layers), 384)) >= least


def test_distil_beats_the_lens_on_an_inner_layer(spied: Spied, asked: list[Tensor]) -> None:
    inner = range(5, 6)
    data = states_of(spied, asked, inner)
    fitted = fit_distil(data, 384, TrainOptions(steps=150))
    assert score(spied, inner, fitted.module) > score(spied, inner, fit_lens(data, 384)) + 0.01


def test_judgements_of_the_training_split_help_on_the_test_split(spied: Spied, asked: list[Tensor]) -> None:
    final = range(6, 7)
    fitted = fit_network(
        "linear", states_of(spied, asked, final, labelled=True), (256,), options=TrainOptions(steps=90)
    )
    assert score(spied, final, fitted.module, 256) > score(spied, final, nn.Identity()) + 0.05
