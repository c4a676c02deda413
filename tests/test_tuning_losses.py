"""Losses for tuning: ours against plain loops in float64, theirs on a tiny model, and what a collapse costs."""

import math
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from adaptors.alignment import AlignmentAnisotropyLoss
from adaptors.arcface import AdaptiveArcFaceLoss, add_angles, elastic_margins
from adaptors.collapse_guard import CollapseGuard, SpectralFlattening
from adaptors.pair_losses import HingeLoss, LogisticLoss
from adaptors.tuning_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.tuning_columns import BINARY, SCORED
from adaptors.tuning_data import TuningData
from adaptors.tuning_losses import LossOptions, TuningLoss, make_tuning_loss
from adaptors.tuning_rows import Listwise, Pairwise, Pointwise, Row
from probe.errors import CallError

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
    from statistics import NormalDist

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
    return align + 0.7 * within / 2 + 1.3 * spread(queries, documents)


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
    "alignment": (AlignmentAnisotropyLoss(GIVEN, 0.2, 0.7, 1.3), plain_alignment),
    "guard": (CollapseGuard(GIVEN, Nothing(GIVEN), 2.0, 3.0), plain_guard),
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


# --- On a model, with data of every form.

_DICE = random.Random(0)
WORDS = ["sun", "star", "rain", "snow", "ice", "fire", "cloud", "gold", "iron", "lake", "leaf", "milk", "moon"]


def _text() -> str:
    return " ".join(_DICE.choices(WORDS, k=4))


LISTS: list[Row] = [Listwise(_text(), (_text(), _text(), _text()), (1, 0, 0)) for _ in range(4)]
PAIRED: list[Row] = [Pairwise(_text(), _text(), (_text(), _text())) for _ in range(4)]
POINTS: list[Row] = [Pointwise(row.query, text, float(i == 0)) for row in LISTS for i, text in enumerate(row.documents)]  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def tiny(tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder("bert")), device="cpu").eval()


def batch(model: Any, loss: TuningLoss, rows: list[Row]) -> tuple[list[dict[str, Tensor]], Tensor | None]:
    columns = loss.layout.dataset(TuningData("tiny", tuple(rows)), loss.name).to_dict()
    label = next((columns.pop(name) for name in ("label", "score") if name in columns), None)
    return [model.tokenize(texts) for texts in columns.values()], None if label is None else torch.tensor(label)


def options_of(loss: TuningLoss, model: Any) -> LossOptions:
    return LossOptions(guide=model if "guide" in loss.needs else None)


def run(model: Any, loss: nn.Module, given: tuple[list[dict[str, Tensor]], Tensor | None]) -> tuple[float, Tensor]:
    """Return the loss and its gradient."""
    model.zero_grad()
    found = loss([dict(column) for column in given[0]], given[1])
    found.backward()
    parts = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
    return float(found.detach()), torch.cat(parts)


@pytest.mark.parametrize("rows", [LISTS, POINTS, PAIRED], ids=["lists", "points", "pairs"])
@pytest.mark.parametrize("name", TUNING_LOSSES)
def test_every_loss_runs_forward_and_backward_on_every_form_it_takes(
    tiny: SentenceTransformer, name: str, rows: list[Row]
) -> None:
    chosen = TUNING_LOSSES[name]
    if name in ("margin-mse", "distill-kl") and rows is PAIRED:
        with pytest.raises(CallError, match=f"the loss '{name}' cannot use 'tiny'"):
            batch(tiny, chosen, rows)
        return
    found, gradient = run(tiny, make_tuning_loss(name, tiny, options_of(chosen, tiny)), batch(tiny, chosen, rows))
    assert math.isfinite(found)
    assert torch.isfinite(gradient).all()
    # Without dropout a text is its own best neighbour already, but never the only one.
    assert float(gradient.norm()) > 0


UNCACHED = [name for name in TUNING_LOSSES if not name.endswith("-cached")]


@pytest.mark.parametrize("wrapper", ["collapse-guard", "spectral-flattening"])
@pytest.mark.parametrize("name", TUNING_LOSSES)
def test_a_penalty_goes_around_every_loss_and_computes_no_vector_again(
    tiny: SentenceTransformer, name: str, wrapper: str
) -> None:
    chosen, calls = TUNING_LOSSES[name], []
    options, given = options_of(chosen, tiny), batch(tiny, TUNING_LOSSES[name], LISTS)
    counter = tiny.register_forward_hook(lambda *_: calls.append(1))
    bare, bare_gradient = run(tiny, make_tuning_loss(name, tiny, options), given)
    once = len(calls)
    penalised = make_tuning_loss(name, tiny, LossOptions(guide=options.guide, weight=10.0), [wrapper])
    found, gradient = run(tiny, penalised, given)
    counter.remove()
    assert len(calls) == 2 * once
    # The tiny model's weights are random: all its vectors are alike.
    assert found > bare + 0.5
    assert not torch.allclose(gradient, bare_gradient, rtol=1e-2)


@pytest.mark.parametrize("wrapper", ["collapse-guard", "spectral-flattening"])
def test_a_penalty_inside_a_gradient_cache_is_the_same(tiny: SentenceTransformer, wrapper: str) -> None:
    given = batch(tiny, TUNING_LOSSES["infonce"], PAIRED)
    plain, gradient = run(tiny, make_tuning_loss("infonce", tiny, LossOptions(), [wrapper]), given)
    for dims, around in ((), [wrapper]), ((8, 32), ["matryoshka", wrapper]):
        options = LossOptions(mini_batch=2, dims=dims)
        cached, cached_gradient = run(tiny, make_tuning_loss("infonce-cached", tiny, options, around), given)
        if not dims:
            assert cached == pytest.approx(plain, rel=1e-5)
            assert torch.allclose(cached_gradient, gradient, atol=1e-5)
        assert cached >= plain - 1e-5


@pytest.mark.parametrize("name", [*UNCACHED, "infonce-cached"])
def test_matryoshka_goes_around_every_loss(tiny: SentenceTransformer, name: str) -> None:
    chosen = TUNING_LOSSES[name]
    options = LossOptions(dims=(32, 8), guide=options_of(chosen, tiny).guide)
    found, gradient = run(tiny, make_tuning_loss(name, tiny, options, ["matryoshka"]), batch(tiny, chosen, LISTS))
    assert math.isfinite(found)
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("around", [["matryoshka-2d"], ["adaptive-layer"], ["adaptive-layer", "collapse-guard"]])
def test_layers_go_around_a_loss(tiny: SentenceTransformer, around: list[str]) -> None:
    options = LossOptions(dims=(32, 8) if "matryoshka-2d" in around else ())
    found, gradient = run(
        tiny, make_tuning_loss("infonce", tiny, options, around), batch(tiny, TUNING_LOSSES["infonce"], PAIRED)
    )
    assert math.isfinite(found)
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize(
    ("name", "options", "changed"),
    [
        ("infonce", LossOptions(temperature=0.5), lambda loss: (loss.scale, 2)),
        ("cosent", LossOptions(temperature=0.1), lambda loss: (loss.scale, 10)),
        ("distill-kl", LossOptions(temperature=2), lambda loss: (loss.temperature, 2)),
        ("triplet", LossOptions(margin=0.4), lambda loss: (loss.triplet_margin, 0.4)),
        ("triplet", LossOptions(), lambda loss: (loss.triplet_margin, 0.2)),
        ("hinge", LossOptions(margin=0.4), lambda loss: (loss.margin, 0.4)),
        ("arcface", LossOptions(0.1, 0.4), lambda loss: (loss.temperature + loss.margin, 0.5)),
        ("infonce-cached", LossOptions(mini_batch=3), lambda loss: (loss.mini_batch_size, 3)),
    ],
)
def test_options_reach_the_loss(tiny: SentenceTransformer, name: str, options: LossOptions, changed: Any) -> None:
    found, expected = changed(make_tuning_loss(name, tiny, options))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "around", "words"),
    [
        ("hingge", LossOptions(), [], "unknown loss 'hingge': expected one of infonce, "),
        ("hinge", LossOptions(), ["guard"], "unknown wrapper of losses 'guard': expected one of matryoshka, "),
        ("hinge", LossOptions(temperature=0.1), [], "hinge has no temperature: leave it out"),
        ("gist", LossOptions(), [], "gist needs guide"),
        ("hinge", LossOptions(), ["matryoshka"], "matryoshka needs dims"),
        ("infonce", LossOptions(temperature=0.0), [], "temperature 0.0 is out of range: expected more than 0"),
        ("infonce-cached", LossOptions(), ["adaptive-layer"], "adaptive-layer cannot go around 'infonce-cached'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tiny: SentenceTransformer, name: str, options: LossOptions, around: list[str], words: str
) -> None:
    with pytest.raises(CallError, match=words):
        make_tuning_loss(name, tiny, options, around)


def test_every_loss_says_what_it_is() -> None:
    for part in (*TUNING_LOSSES.values(), *WRAPPERS.values()):
        assert part.formula
        assert part.source
    assert {loss.layout for loss in TUNING_LOSSES.values()} >= {SCORED, BINARY}
