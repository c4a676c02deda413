"""Adaptors on real states: MiniLM on SciFact, float32, encoded once for all tests of real models."""

import pytest
import torch
from real_states import DATA, FLOAT32, NDCG, REAL, Spied
from torch import Tensor, nn
from torch.nn.functional import normalize

from adaptors.base import FitData
from adaptors.distil import fit_distil
from adaptors.fit_network import fit_network
from adaptors.gathering import FitTexts, _positives
from adaptors.linear import fit_lens, fit_pca
from adaptors.train_options import TrainOptions
from probe.dataset import load_dataset
from probe.loading import load_model
from probe.metrics import score_run
from probe.reader import HookpointEncoder, LayerReader
from probe.search import TopK, cosines, unit

SCIFACT = str(DATA / "scifact.zip")
pytestmark = REAL
NOTHING = torch.empty(0, 3, dtype=torch.long)


def join(states: list[Tensor]) -> Tensor:
    return torch.cat([normalize(block, dim=1) for block in states], dim=1)


def states_of(spied: Spied, layers: range) -> FitData:
    """States of the documents alone."""
    documents = [torch.from_numpy(states) for states in spied.documents]
    return FitData(
        documents=join([documents[layer] for layer in layers]),
        queries=torch.empty(0, 384 * len(layers)),
        blocks=tuple((f"minilm@{layer}:mean", 384) for layer in layers),
        targets=join([documents[6]]),
        pairs=NOTHING,
        labels="none",
        fitted_on=("scifact", ""),
    )


@torch.no_grad()
def score(spied: Spied, layers: range, module: nn.Module, dim: int = 384) -> float:
    """nDCG@10 of the test queries."""
    data = load_dataset(SCIFACT)
    top = TopK(data.queries.ids, 10)
    sides = [
        module(join([torch.from_numpy(states[layer]) for layer in layers]))[:, :dim].contiguous().numpy()
        for states in (spied.queries, spied.documents)
    ]
    top.add([name for name, _ in data.documents], cosines(unit(sides[0]), sides[1]))
    return float(score_run(top.run(), data.qrels, [NDCG])[NDCG].mean())


@pytest.mark.parametrize(("layers", "least"), [(range(5, 6), 0.54), (range(6), 0.59)])
def test_the_lens_brings_back_an_inner_layer(spied: Spied, layers: range, least: float) -> None:
    assert score(spied, layers, fit_lens(states_of(spied, layers), 384)) >= least


def test_distil_beats_pca_in_few_dimensions_and_the_lens_on_an_inner_layer(spied: Spied) -> None:
    inner, final = range(5, 6), range(6, 7)
    short = fit_distil(states_of(spied, final), 64, TrainOptions(steps=90)).module
    assert score(spied, final, short, 64) > score(spied, final, fit_pca(states_of(spied, final), 64), 64) + 0.01
    whole = fit_distil(states_of(spied, inner), 384, TrainOptions(steps=90)).module
    assert score(spied, inner, whole) > score(spied, inner, fit_lens(states_of(spied, inner), 384))


def test_judgements_of_the_training_split_help_on_the_test_split(spied: Spied) -> None:
    train, final = load_dataset(SCIFACT, "train"), range(6, 7)
    encoder = HookpointEncoder(LayerReader(load_model("minilm", FLOAT32)), 6, "mean")
    queries = join([torch.from_numpy(encoder.encode_query(train.queries.texts))])
    blind = states_of(spied, final)
    pairs, labels = _positives(FitTexts(load_dataset(SCIFACT), train, labels=True))
    data = FitData(
        documents=blind.documents,
        queries=queries,
        blocks=blind.blocks,
        targets=torch.cat([blind.targets, queries]),
        pairs=pairs,
        labels=labels,
        fitted_on=blind.fitted_on,
    )
    fitted = fit_network("linear", data, (256,), TrainOptions(steps=90))
    assert score(spied, final, fitted.module, 256) > score(spied, final, nn.Identity()) + 0.05
