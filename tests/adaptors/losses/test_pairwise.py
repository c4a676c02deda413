"""Our losses for tuning: against plain loops in float64, under what must change nothing, and at a collapse."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adaptors.losses.pairwise import (
    AdaptiveArcFaceLoss,
    AlignmentAnisotropyLoss,
    HingeLoss,
    LogisticLoss,
    add_angles,
    elastic_margins,
)
from adaptors.losses.regularizers import CollapseGuard, SpectralFlattening

COUNT, WIDTH = 5, 4


class Given(nn.Module):
    """A model whose vectors are its features."""

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": features["vectors"]}


class Nothing(nn.Module):
    """A loss of 0, which leaves a penalty alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Sequence[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        return sum(
            (self.model(column)["sentence_embedding"].sum() * 0 for column in sentence_features), torch.zeros(())
        )


class StrictGuard(CollapseGuard):
    """A guard that random vectors are too much alike for, too."""

    floor = 3.0


def draw(columns: int, seed: int = 0) -> list[Tensor]:
    dice = torch.Generator().manual_seed(seed)
    return [torch.randn(COUNT, WIDTH, dtype=torch.float64, generator=dice) for _ in range(columns)]


def loss_of(loss: nn.Module, columns: Sequence[Tensor]) -> Tensor:
    found: Tensor = loss([{"vectors": column} for column in columns], None)
    return found


def cosine(left: list[float], right: list[float]) -> float:
    dot = sum(x * y for x, y in zip(left, right, strict=True))
    return dot / math.sqrt(sum(x * x for x in left) * sum(y * y for y in right))


def plain_gaps(columns: list[list[list[float]]]) -> list[float]:
    queries, positives, *negatives = columns
    gaps = []
    for i, query in enumerate(queries):
        others = [side[i] for side in negatives] or [text for j, text in enumerate(positives) if j != i]
        gaps += [cosine(query, positives[i]) - cosine(query, other) for other in others]
    return gaps


def plain_hinge(columns: list[list[list[float]]]) -> float:
    gaps = plain_gaps(columns)
    return sum(max(0.0, 0.3 - gap) for gap in gaps) / len(gaps)


def plain_logistic(columns: list[list[list[float]]]) -> float:
    gaps = plain_gaps(columns)
    return sum(math.log(1 + math.exp(-gap / 0.2)) for gap in gaps) / len(gaps)


def plain_arcface(columns: list[list[list[float]]]) -> float:
    queries, *sides = columns
    documents = [text for side in sides for text in side]
    own = [cosine(query, documents[i]) for i, query in enumerate(queries)]
    total = 0.0
    for i, query in enumerate(queries):
        easier = sum(other > own[i] for other in own)
        margin = NormalDist(0.4, 0.04).inv_cdf((easier + 0.5) / len(own))
        angle = math.acos(own[i]) + margin
        positive = math.cos(angle) if angle < math.pi else own[i] + math.cos(margin) - 1
        powers = [math.exp(cosine(query, text) / 0.2) for text in documents]
        powers[i] = math.exp(positive / 0.2)
        total -= math.log(powers[i] / sum(powers)) / len(queries)
    return total


def plain_alignment(columns: list[list[list[float]]]) -> float:
    queries, *sides = columns
    documents = [text for side in sides for text in side]

    def spread(left: list[list[float]], right: list[list[float]]) -> float:
        powers = []
        for i, x in enumerate(left):
            for j, y in enumerate(right):
                if i != j:
                    powers.append(math.exp(cosine(x, y) / 0.2))
        return math.log(sum(powers) / len(powers))

    align = sum((1 - cosine(query, documents[i])) / 0.2 for i, query in enumerate(queries)) / len(queries)
    within = spread(queries, queries) + spread(documents, documents)
    return align + within / 2 + spread(queries, documents)


def plain_guard(columns: list[list[list[float]]]) -> float:
    queries, documents = columns[0], columns[min(1, len(columns) - 1)]
    table = [[cosine(query, text) for text in documents] for query in queries]
    lines = table + [list(column) for column in zip(*table, strict=True)]
    total = 0.0
    for line in lines:
        mean = sum(line) / len(line)
        variance = sum((value - mean) ** 2 for value in line) / len(line)
        spread = math.sqrt(variance / ((len(line) - 1) / len(line) ** 2) + 1e-4)
        total += max(0.0, 1 - spread / 3.0)
    return 2.0 * total / len(lines)


def plain_flattening(columns: list[list[list[float]]]) -> float:
    total = 0.0
    for side in columns:
        gram = [[cosine(x, y) / len(side) for y in side] for x in side]
        vector = [1.0 + 0.1 * i for i in range(len(side))]
        for _ in range(3000):  # power iteration
            vector = [sum(a * b for a, b in zip(row, vector, strict=True)) for row in gram]
            size = math.sqrt(sum(x * x for x in vector))
            vector = [x / size for x in vector]
        least = 1 / min(len(side), len(side[0]))
        total += (size - least) / (1 - least)
    return 2.0 * total / len(columns)


GIVEN = Given()
Plain = Callable[[list[list[list[float]]]], float]
OURS: dict[str, tuple[nn.Module, Plain]] = {
    "hinge": (HingeLoss(GIVEN, 0.3), plain_hinge),
    "logistic": (LogisticLoss(GIVEN, 0.2), plain_logistic),
    "arcface": (AdaptiveArcFaceLoss(GIVEN, 0.2, 0.4), plain_arcface),
    "alignment": (AlignmentAnisotropyLoss(GIVEN, 0.2), plain_alignment),
    "guard": (StrictGuard(GIVEN, Nothing(GIVEN), 2.0), plain_guard),
    "flattening": (SpectralFlattening(GIVEN, Nothing(GIVEN), 2.0), plain_flattening),
}
each_of_ours = pytest.mark.parametrize(("loss", "plain"), OURS.values(), ids=OURS)


@each_of_ours
@pytest.mark.parametrize("columns", [2, 3, 4])
def test_it_is_what_plain_loops_say(loss: nn.Module, plain: Plain, columns: int) -> None:
    for seed in range(3):
        vectors = draw(columns, seed)
        expected = plain([column.tolist() for column in vectors])
        assert expected > 0
        assert float(loss_of(loss, vectors)) == pytest.approx(expected, rel=1e-9)


@each_of_ours
@pytest.mark.parametrize("columns", [2, 3])
def test_its_gradient_is_right(loss: nn.Module, plain: Plain, columns: int) -> None:
    vectors = [column.requires_grad_() for column in draw(columns)]
    assert torch.autograd.gradcheck(lambda *given: loss_of(loss, given), vectors, eps=1e-6, atol=1e-6)


@each_of_ours
def test_rotation_permutation_and_scale_change_nothing(loss: nn.Module, plain: Plain) -> None:
    vectors = draw(3)
    before = float(loss_of(loss, vectors))
    rotation, _ = torch.linalg.qr(torch.randn(WIDTH, WIDTH, dtype=torch.float64))
    order = torch.randperm(COUNT)
    sizes = torch.rand(COUNT, 1, dtype=torch.float64) + 0.5
    for changed in ([v @ rotation for v in vectors], [v[order] for v in vectors], [v * sizes for v in vectors]):
        assert float(loss_of(loss, changed)) == pytest.approx(before, rel=1e-9)


@each_of_ours
def test_one_pair_alone_is_a_number_with_a_gradient(loss: nn.Module, plain: Plain) -> None:
    vectors = [column[:1].requires_grad_() for column in draw(2)]
    found = loss_of(loss, vectors)
    found.backward()
    assert torch.isfinite(found)
    assert all(torch.isfinite(column.grad).all() for column in vectors if column.grad is not None)


@each_of_ours
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equal_vectors_have_a_finite_loss_and_gradient(loss: nn.Module, plain: Plain, dtype: torch.dtype) -> None:
    vectors = [torch.ones(COUNT, WIDTH, dtype=dtype, requires_grad=True) for _ in range(2)]
    found = loss_of(loss, vectors)
    found.backward()
    assert torch.isfinite(found)
    assert all(torch.isfinite(column.grad).all() for column in vectors if column.grad is not None)


def test_the_harder_a_pair_the_greater_its_margin() -> None:
    own = torch.tensor([0.9, -0.2, 0.5, 0.1], dtype=torch.float64)
    margins = elastic_margins(own, 0.2, 0.02)
    assert margins.argsort().tolist() == own.argsort(descending=True).tolist()
    assert float(margins.mean()) == pytest.approx(0.2)
    assert elastic_margins(own, 0.2, 0).tolist() == pytest.approx([0.2] * 4)


def test_a_pair_with_a_margin_is_always_better_off_nearer() -> None:
    cosines = torch.linspace(-1, 1, 401, dtype=torch.float64)[1:-1]
    turned = add_angles(cosines, torch.full_like(cosines, 0.5)).tolist()
    assert all(less < more for less, more in pairwise(turned))
    assert all(new < old for new, old in zip(turned, cosines.tolist(), strict=True))


def scenarios(count: int) -> dict[str, list[Tensor]]:
    line, axes = torch.zeros(count, count, dtype=torch.float64), torch.eye(count, dtype=torch.float64)
    line[:, 0] = 1
    return {"all equal": [line, line], "all opposite": [line, -line], "paired": [axes, axes]}


@pytest.mark.parametrize("count", [2, 8, 64])
def test_what_a_collapse_costs(count: int) -> None:
    """N-pairs cannot tell all equal from all opposite; the guard makes both worse, and leaves what is right alone."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    n_pairs: Any = MultipleNegativesRankingLoss(GIVEN)  # type: ignore[arg-type]
    bare = {name: float(loss_of(n_pairs, columns)) for name, columns in scenarios(count).items()}
    guarded = {
        name: float(loss_of(CollapseGuard(GIVEN, n_pairs), columns)) for name, columns in scenarios(count).items()
    }
    assert bare["all equal"] == pytest.approx(bare["all opposite"], abs=1e-12)
    assert bare["all equal"] == pytest.approx(math.log(count))
    assert guarded["paired"] == bare["paired"]
    for name in ("all equal", "all opposite"):
        assert guarded[name] > bare[name] + 0.9
        assert guarded[name] > guarded["paired"] + 0.9


def test_the_guard_sees_one_side_collapse() -> None:
    queries, documents = draw(2)
    guard = CollapseGuard(GIVEN, Nothing(GIVEN))
    for columns in ([queries, documents[:1].expand_as(documents)], [queries[:1].expand_as(queries), documents]):
        assert float(loss_of(guard, columns)) > 0.45


def test_flattening_is_0_on_even_axes_and_1_on_one_axis() -> None:
    flattening = SpectralFlattening(GIVEN, Nothing(GIVEN))
    found = {name: float(loss_of(flattening, columns)) for name, columns in scenarios(8).items()}
    assert found == pytest.approx({"all equal": 1, "all opposite": 1, "paired": 0}, abs=1e-9)
