"""`distil`: it starts as `spectral`, learns to rank as the whole states do, and looks at no judgement."""

import pytest
import torch
from tiny_states import WIDTH, make_states
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.fitting.batches import Split, StateCollator, draw_rankings
from adaptors.fitting.closed_form import fit_pca, fit_spectral, principal_axes, second_moments
from adaptors.fitting.compare import FitPlan, fit_kind
from adaptors.fitting.distil import fit_distil
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.losses.states import RankingDistillationLoss
from adaptors.modules.linear import Projection
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint

DIM = 8
SHORT = TrainOptions(steps=5)
DATA = make_states()
FUSION = Fusion((Hookpoint("a", 3, "mean"), Hookpoint("b", 2, "cls")))
ROWS = torch.tensor([0, 240])


def weight_of(data: FitData, options: TrainOptions) -> Tensor:
    module = fit_distil(data, DIM, options).module
    assert isinstance(module, Projection)
    return module.weight


def divergence(projection: Projection, dim: int) -> float:
    """Return how far rankings in some dimensions are from those of the whole states."""

    def model(features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": projection(features["sentence_embedding"])}

    whole = fit_spectral(DATA, WIDTH)(DATA.texts)
    drawn = draw_rankings(Split(torch.arange(270), ROWS), 240, 1, seed=5)[0]
    batch = StateCollator(DATA)([{name: rows[0] for name, rows in drawn.items()}])
    columns = [
        {"sentence_embedding": batch[f"{c}_sentence_embedding"], "row": rows, "target": whole[rows]}
        for c in ("anchor", "candidate")
        for rows in [batch[f"{c}_row"]]
    ]
    return float(RankingDistillationLoss(model, [dim])(columns))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> Projection:
    module = fit_distil(DATA, DIM, TrainOptions()).module
    assert isinstance(module, Projection)
    return module


@pytest.mark.parametrize("dim", [DIM, DIM // 2, DIM // 4])
def test_every_prefix_ranks_more_like_the_whole_states_than_its_start_does(trained: Projection, dim: int) -> None:
    assert divergence(trained, dim) < 0.9 * divergence(fit_spectral(DATA, DIM), dim)
    assert divergence(trained, dim) < 0.9 * divergence(fit_pca(DATA, DIM), dim)


def test_untrained_it_is_spectral() -> None:
    untrained = weight_of(DATA, TrainOptions(steps=1, lr=1e-30))
    assert torch.allclose(untrained, fit_spectral(DATA, DIM).weight, atol=1e-5)


def test_it_has_a_bias_unless_that_is_left_out() -> None:
    with_bias, without = (fit_distil(DATA, DIM, TrainOptions(steps=5, bias=bias)) for bias in (True, False))
    assert isinstance(with_bias.module, Projection)
    assert isinstance(without.module, Projection)
    assert with_bias.module.bias.abs().min() > 0
    assert not without.module.bias.any()
    assert without.notes == ("fitted without a bias",)


def inner_layer() -> FitData:
    """States that hold the final embedding, turned, stretched and shifted."""
    dice = torch.Generator().manual_seed(1)
    turned = DATA.texts @ torch.randn(WIDTH, WIDTH, generator=dice) + 0.5
    return FitData(**{**vars(DATA), "documents": turned[:240], "queries": turned[240:]})


def test_on_an_inner_layer_it_begins_as_the_ridge_regression_to_the_teacher() -> None:
    data = inner_layer()
    untrained = fit_distil(data, DIM, TrainOptions(steps=1, lr=1e-30)).module
    expected = fit_spectral(DATA, DIM)(DATA.texts)
    assert torch.allclose(untrained(data.texts), expected, atol=0.01)
    assert not torch.allclose(fit_spectral(data, DIM)(data.texts), expected, atol=0.5)


def test_on_an_inner_layer_it_learns_to_rank_as_the_final_embedding() -> None:
    units = normalize(inner_layer().texts, dim=1)
    data = FitData(**{**vars(DATA), "documents": units[:240], "queries": units[240:]})
    epochs = fit_distil(data, DIM, TrainOptions(steps=120)).epochs
    assert min(epoch.held_out_loss for epoch in epochs) < 0.95 * epochs[0].held_out_loss


def test_more_dimensions_than_the_final_embedding_has_are_left_out() -> None:
    data = FitData(**{**vars(DATA), "targets": DATA.texts[:, :6]})
    fitted = fit_kind("distil", FUSION, data, plan=FitPlan(("distil",), (8, 6, 4), SHORT))
    assert [encoder.dim for encoder in fitted] == [6, 4]


def test_the_same_seed_gives_the_same_map_and_another_another() -> None:
    first, again, other = (weight_of(DATA, TrainOptions(steps=5, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_leak_judgements_are_not_looked_at() -> None:
    assert torch.equal(weight_of(make_states(labelled=True), SHORT), weight_of(DATA, SHORT))


def test_without_queries_documents_are_the_anchors() -> None:
    alone = FitData(**{**vars(DATA), "queries": DATA.queries[:0], "targets": DATA.documents})
    axes = principal_axes(second_moments(DATA.documents))[1]
    assert weight_of(alone, SHORT).shape == (WIDTH, DIM)
    assert not torch.allclose(weight_of(alone, SHORT), axes[:, :DIM])
