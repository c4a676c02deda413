"""Every loss against a reference of plain loops in float64, and its gradient against finite differences."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from adaptors.fitting.losses import LOSSES
from adaptors.losses.states import (
    MatryoshkaAdaptorLoss,
    RankingDistillationLoss,
    ReconstructionLoss,
    SimilarityLoss,
    unexplained_variance,
)
from adaptors.modules.linear import Linear
from adaptors.modules.mlp import Autoencoder, Residual

WIDTH, DIM, DIMS = 6, 4, (4, 2)


class Model(nn.Module):
    """A model as the trainer hands it to a loss."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        features["sentence_embedding"] = self.network(features["sentence_embedding"])
        return features

    def get_embedding_dimension(self) -> int:
        return DIM


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def column(count: int, **more: Tensor) -> dict[str, Tensor]:
    return {"sentence_embedding": torch.randn(count, WIDTH, dtype=torch.float64), **more}


def residual() -> Residual:
    network = Residual(WIDTH, DIM).double()
    nn.init.normal_(network.correction.outer.weight)
    return network


def cosine(left: Tensor, right: Tensor) -> float:
    a, b = left.tolist(), right.tolist()
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def test_similarity_is_the_mean_squared_error_of_cosines_summed_over_dimensions() -> None:
    network, columns = nn.Linear(WIDTH, DIM).double(), [column(5), column(3)]
    states = torch.cat([c["sentence_embedding"] for c in columns])
    vectors = network(states)
    expected = 0.0
    for dim in DIMS:
        for i in range(8):
            for j in range(8):
                expected += (cosine(states[i], states[j]) - cosine(vectors[i, :dim], vectors[j, :dim])) ** 2 / 64
    assert float(SimilarityLoss(Model(network), DIMS)(columns)) == pytest.approx(expected, rel=1e-10)


def test_similarity_aims_at_targets_where_there_are_some() -> None:
    network, target = nn.Linear(WIDTH, DIM).double(), torch.randn(5, 3, dtype=torch.float64)
    vectors = network((given := column(5, target=target))["sentence_embedding"])
    expected = sum(
        (cosine(target[i], target[j]) - cosine(vectors[i], vectors[j])) ** 2 / 25 for i in range(5) for j in range(5)
    )
    assert float(SimilarityLoss(Model(network), [DIM])([given])) == pytest.approx(expected, rel=1e-10)


def test_reconstruction_is_the_fraction_of_variance_unexplained() -> None:
    network, given = Autoencoder(WIDTH, DIM).double(), column(7)
    states = given["sentence_embedding"]
    decoded = network.decode(network(states))
    error = sum(float((states[i, d] - decoded[i, d]) ** 2) for i in range(7) for d in range(WIDTH))
    mean = [sum(float(states[i, d]) for i in range(7)) / 7 for d in range(WIDTH)]
    total = sum((float(states[i, d]) - mean[d]) ** 2 for i in range(7) for d in range(WIDTH))
    assert float(ReconstructionLoss(network)([given])) == pytest.approx(error / total, rel=1e-10)


def test_variance_is_all_explained_by_the_states_and_none_of_it_by_their_mean() -> None:
    states = torch.randn(9, 4)
    assert float(unexplained_variance(states, states)) == 0
    assert float(unexplained_variance(states, states.mean(dim=0).expand_as(states))) == pytest.approx(1)


def matryoshka_adaptor(network: Residual, neighbours: int) -> MatryoshkaAdaptorLoss:
    loss = MatryoshkaAdaptorLoss(Model(network), network, DIMS)
    loss.neighbours = neighbours
    return loss


def ranking_distillation(model: nn.Module, temperature: float) -> RankingDistillationLoss:
    loss = RankingDistillationLoss(model, DIMS)
    loss.temperature = temperature
    return loss


def test_the_matryoshka_adaptors_terms() -> None:
    network, columns = residual(), [column(4), column(5)]
    labels = torch.randint(0, 3, (4, 5)).double()
    states = torch.cat([c["sentence_embedding"] for c in columns])
    vectors = network(states)
    found = matryoshka_adaptor(network, neighbours=3)(columns, labels)
    wanted = [[cosine(states[i], states[j]) for j in range(9)] for i in range(9)]
    pair = topk = rank = 0.0
    for dim in DIMS:
        short = vectors[:, :dim]
        for i in range(9):
            errors = [abs(wanted[i][j] - cosine(short[i], short[j])) for j in range(9)]
            near = sorted((j for j in range(9) if j != i), key=lambda j: -wanted[i][j])[:3]
            pair += sum(errors)
            topk += sum(errors[j] for j in near)
        for i in range(4):
            s = [cosine(short[i], short[4 + j]) for j in range(5)]
            for j in range(5):
                for k in range(5):
                    if labels[i, j] > labels[i, k]:
                        rank += float(labels[i, j] - labels[i, k]) * math.log(1 + math.exp(s[k] - s[j]))
    rec = sum(math.sqrt(sum(x * x for x in row)) for row in network.correction(states).tolist())
    expected = {"pair": pair, "topk": topk, "rec": rec, "rank": rank}
    assert {name: float(term) for name, term in found.items()} == pytest.approx(expected, rel=1e-9)


def test_without_labels_there_is_no_rank_term() -> None:
    network = residual()
    assert set(MatryoshkaAdaptorLoss(Model(network), network, DIMS)([column(4)])) == {"pair", "topk", "rec"}


def test_an_adaptor_that_adds_nothing_to_whole_vectors_loses_nothing() -> None:
    network = Residual(WIDTH, WIDTH).double()
    found = MatryoshkaAdaptorLoss(Model(network), network, [WIDTH])([column(6)])
    assert {name: float(term) for name, term in found.items()} == pytest.approx(dict.fromkeys(found, 0), abs=1e-9)


def test_margin_keeps_the_diagonal_above_the_rest() -> None:
    network, columns = Linear(WIDTH, DIM).double(), [column(5), column(5)]
    left, right = (network(c["sentence_embedding"]) for c in columns)
    expected = 0.0
    for dim in DIMS:
        scores = [[cosine(left[i, :dim], right[j, :dim]) / 0.05 for j in range(5)] for i in range(5)]
        terms = [max(0.0, 2.0 - (scores[i][i] - scores[i][j])) for i in range(5) for j in range(5) if i != j]
        expected += sum(terms) / len(terms)
    loss = LOSSES["margin"].make(Model(network), network, DIMS)
    assert float(loss(columns, None)) == pytest.approx(expected, rel=1e-9)


def ranking_columns() -> list[dict[str, Tensor]]:
    targets = [torch.randn(n, 5, dtype=torch.float64) for n in (3, 6)]
    # The second anchor is the fifth candidate: it is no candidate of itself.
    rows = [torch.tensor([0, 14, 2]), torch.tensor([10, 11, 12, 13, 14, 15])]
    return [column(n, target=t, row=r) for n, t, r in zip((3, 6), targets, rows, strict=True)]


def test_ranking_distillation_is_the_divergence_of_two_softmaxes() -> None:
    network, (anchors, candidates) = nn.Linear(WIDTH, DIM).double(), ranking_columns()
    left, right = (network(c["sentence_embedding"]) for c in (anchors, candidates))
    expected = 0.0
    for dim in DIMS:
        for i in range(3):
            open_to = [j for j in range(6) if candidates["row"][j] != anchors["row"][i]]
            p = softmax([cosine(anchors["target"][i], candidates["target"][j]) / 0.2 for j in open_to])
            q = softmax([cosine(left[i, :dim], right[j, :dim]) / 0.2 for j in open_to])
            expected += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True)) / 3
    loss = ranking_distillation(Model(network), temperature=0.2)
    assert float(loss([anchors, candidates])) == pytest.approx(expected, rel=1e-9)


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value) for value in values]
    return [power / sum(powers) for power in powers]


def autoencoder_loss(states: Tensor) -> Tensor:
    network = Autoencoder(WIDTH, DIM).double()
    return ReconstructionLoss(network)([{"sentence_embedding": states}])


def adaptor_loss(states: Tensor) -> Tensor:
    network = residual()
    labels = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    columns = [{"sentence_embedding": part} for part in states.split(3)]
    return torch.stack(list(matryoshka_adaptor(network, neighbours=2)(columns, labels).values())).sum()


def of_two_columns(loss: nn.Module, **more: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda states: loss([{"sentence_embedding": part, **more} for part in states.split(3)], None)


GRADIENTS: dict[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "similarity": lambda model: of_two_columns(SimilarityLoss(model, DIMS), target=torch.eye(3).double()),
    "margin": lambda model: of_two_columns(LOSSES["margin"].make(model, Linear(WIDTH, DIM), DIMS)),
    "ranking": lambda model: of_two_columns(
        ranking_distillation(model, temperature=0.5), target=torch.randn(3, 4).double(), row=torch.arange(3)
    ),
    "reconstruction": lambda model: autoencoder_loss,
    "matryoshka adaptor": lambda model: adaptor_loss,
}


@pytest.mark.parametrize("make", GRADIENTS.values(), ids=GRADIENTS)
def test_the_gradient_is_right(make: Callable[[nn.Module], Callable[[Tensor], Tensor]]) -> None:
    network = nn.Linear(WIDTH, DIM).double()
    loss = make(Model(network))
    states = torch.randn(6, WIDTH, dtype=torch.float64, requires_grad=True)

    def seeded(given: Tensor) -> Tensor:
        torch.manual_seed(1)
        return loss(given)

    assert torch.autograd.gradcheck(seeded, (states,), eps=1e-6, atol=1e-6)


def test_no_loss_writes_to_what_it_is_given() -> None:
    network, columns = residual(), ranking_columns()
    before = [{name: tensor.clone() for name, tensor in c.items()} for c in columns]
    for loss in (
        SimilarityLoss(Model(network), DIMS),
        MatryoshkaAdaptorLoss(Model(network), network, DIMS),
        RankingDistillationLoss(Model(network), DIMS),
    ):
        loss(columns)
    for old, new in zip(before, columns, strict=True):
        assert old.keys() == new.keys()
        assert all(torch.equal(old[name], new[name]) for name in old)
