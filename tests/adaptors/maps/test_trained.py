"""A map is trained to rank like both models together, and chosen only where held-out texts show that it does."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from adaptors.maps.choice import choose_map
from adaptors.maps.closed_form import LinearMap
from adaptors.maps.data import MapData
from adaptors.maps.methods import Method, fit_methods
from adaptors.maps.moments import Pairs
from adaptors.maps.options import MapOptions
from adaptors.maps.trained import MapRankingLoss, train_map

NARROW, WIDE, DOCUMENTS = 8, 12, 200


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def data() -> MapData:
    """Return texts of two models whose vectors are a linear map of each other, with noise."""
    weight = draw(NARROW, WIDE, seed=1)

    def make(count: int, seed: int) -> Pairs:
        source = normalize(draw(count, NARROW, seed=seed), dim=1)
        return Pairs(source, normalize(source @ weight + 0.5 * draw(count, WIDE, seed=seed + 1), dim=1))

    return MapData(make(DOCUMENTS, 10), make(120, 20), make(0, 30), (), (("made", "0"),))


def tiny_map() -> LinearMap:
    return LinearMap(1e-3 * draw(NARROW, WIDE, seed=5).double(), torch.zeros(WIDE).double())


def divergence(found: LinearMap, data: MapData, side: str) -> float:
    """Return the loss on training queries and all documents, through the loss itself."""

    class Model(nn.Module):
        def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"sentence_embedding": found.apply(features["sentence_embedding"]).float()}

    columns = [
        {"sentence_embedding": pairs.source, "target": pairs.target, "row": torch.arange(len(pairs)) + start}
        for pairs, start in ((data.queries, DOCUMENTS), (data.documents, 0))
    ]
    return float(MapRankingLoss(Model(), WIDE, side)(columns))


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_training_brings_rankings_nearer_to_those_of_both_models(data: MapData, side: str) -> None:
    options = MapOptions(side=side)  # type: ignore[arg-type]
    start = fit_methods(data, options)[Method("procrustes")]
    trained = train_map(start, data, options)
    assert divergence(trained, data, side) < 0.9 * divergence(start, data, side)
    assert torch.equal(trained.weight, train_map(start, data, options).weight)


def test_a_text_is_no_candidate_for_itself(data: MapData) -> None:
    class Model(nn.Module):
        def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
            return {"sentence_embedding": tiny_map().apply(features["sentence_embedding"]).float()}

    column = {"sentence_embedding": data.documents.source, "target": data.documents.target}
    rows = torch.arange(DOCUMENTS)
    loss = MapRankingLoss(Model(), WIDE, "queries")
    own = loss([{**column, "row": rows}, {**column, "row": rows}])
    others = loss([{**column, "row": rows}, {**column, "row": rows + DOCUMENTS}])
    assert own != others


def test_a_trained_map_is_chosen_where_it_ranks_better_and_is_trained_again_on_all_texts(
    data: MapData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.maps.choice.fit_methods", lambda *_: {Method("ridge"): tiny_map()})
    choice = choose_map(data, MapOptions())
    assert (str(choice.best.method), len(choice.trials)) == ("ridge, trained", 2)
    assert choice.best.agreement - choice.best.error > choice.trials[1].agreement
    assert torch.equal(choice.map.weight, train_map(tiny_map(), data, MapOptions()).weight)


def test_a_closed_form_is_chosen_where_training_shows_no_gain(data: MapData) -> None:
    choice = choose_map(data, MapOptions())
    (trained,) = [trial for trial in choice.trials if trial.method.is_trained]
    assert trained.agreement - trained.error < choice.best.agreement
    assert not choice.best.method.is_trained


def test_nothing_is_trained_where_nothing_is_left_to_gain() -> None:
    source = normalize(draw(DOCUMENTS, NARROW, seed=3), dim=1)
    pairs = Pairs(source, source @ torch.linalg.qr(draw(WIDE, NARROW, seed=4))[0].T)
    made = MapData(pairs, Pairs(*(part[:100] for part in (pairs.source, pairs.target))), pairs.pick([]), (), ())
    choice = choose_map(made, MapOptions())
    assert choice.best.agreement == 1.0
    assert not any(trial.method.is_trained for trial in choice.trials)


def test_a_trained_map_has_the_rank_that_was_asked_for(data: MapData) -> None:
    choice = choose_map(data, MapOptions(rank=3))
    assert any(trial.method.is_trained for trial in choice.trials)
    assert torch.linalg.matrix_rank(choice.map.weight) == 3
