"""Closed-form maps between models: each recovers what it is made for, and a low rank is that rank."""

import pytest
import torch
from torch import Tensor

from adaptors.maps.closed_form import LinearMap, fit_drawn, fit_procrustes, fit_ridge, fit_transposed, reduce_rank
from adaptors.maps.moments import Moments, Pairs

TEXTS, NARROW, WIDE = 400, 6, 9


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(rows: int, columns: int) -> Tensor:
    """Return a matrix with orthonormal rows or columns."""
    left, _, right = torch.linalg.svd(draw(rows, columns, seed=1), full_matrices=False)
    return left @ right


def pairs(weight: Tensor, shift: float = 0.3, noise: float = 0.0) -> Pairs:
    source = draw(TEXTS, len(weight)) * torch.linspace(2, 0.5, len(weight)) + 1
    target = source @ weight + shift + noise * draw(TEXTS, weight.shape[1], seed=2)
    return Pairs(source, target)


@pytest.mark.parametrize(("rows", "columns"), [(NARROW, NARROW), (NARROW, WIDE), (WIDE, NARROW)])
def test_procrustes_recovers_a_rotation_exactly(rows: int, columns: int) -> None:
    found, given = rotation(rows, columns), pairs(rotation(rows, columns))
    fitted = fit_procrustes(Moments.of(given))
    if rows <= columns:
        assert torch.allclose(fitted.weight, found, atol=1e-9)
        assert torch.allclose(fitted.apply(given.source), given.target, atol=1e-9)
    gram = fitted.weight @ fitted.weight.T if rows <= columns else fitted.weight.T @ fitted.weight
    assert torch.allclose(gram, torch.eye(len(gram), dtype=torch.float64), atol=1e-9)


def test_procrustes_is_the_orthogonal_map_with_the_largest_trace() -> None:
    moments = Moments.of(pairs(draw(NARROW, WIDE, seed=3), noise=1.0))
    cross = moments.centre().cross
    best = (fit_procrustes(moments).weight * cross).sum()
    for seed in range(20):
        other = torch.linalg.qr(draw(WIDE, NARROW, seed=seed))[0].T
        assert (other * cross).sum() <= best


@pytest.mark.parametrize("fit", [fit_ridge, fit_drawn])
def test_ridge_recovers_a_linear_map(fit: object) -> None:
    weight = draw(NARROW, WIDE, seed=3)
    fitted = fit(Moments.of(pairs(weight)))  # type: ignore[operator]
    assert torch.allclose(fitted.weight, weight, atol=1e-4)
    assert torch.allclose(fitted.apply(pairs(weight).source), pairs(weight).target, atol=1e-3)


def test_ridge_shrinks_more_the_less_the_texts_tell() -> None:
    weight = draw(NARROW, WIDE, seed=3)
    clean, noisy = (fit_ridge(Moments.of(pairs(weight, noise=noise).pick(range(20)))) for noise in (0.0, 30.0))
    assert noisy.weight.norm() < clean.weight.norm()


def test_the_drawn_ridge_lies_between_ridge_and_the_scaled_rotation() -> None:
    moments = Moments.of(pairs(rotation(NARROW, WIDE) * 0.5, noise=0.2))
    assert torch.allclose(fit_drawn(moments, 0).weight, fit_ridge(moments, 0).weight, atol=1e-6)
    far, turned = fit_drawn(moments, 1e9).weight, fit_procrustes(moments).weight
    scale = (far * turned).sum() / turned.square().sum()
    assert torch.allclose(far, scale * turned, atol=1e-6)
    assert scale == pytest.approx(0.5, abs=0.05)


def test_the_penalty_of_the_drawn_ridge_depends_on_what_the_rotation_leaves() -> None:
    """Where the rotation explains everything, generalized cross-validation keeps it although the texts are few."""
    few = pairs(rotation(NARROW, WIDE), noise=0.05).pick(range(10))
    moments, true = Moments.of(few), rotation(NARROW, WIDE)
    assert (fit_drawn(moments).weight - true).norm() < (fit_ridge(moments).weight - true).norm()


def test_the_transposed_map_keeps_the_similarities_of_the_mapped_model() -> None:
    weight = draw(NARROW, WIDE, seed=3)
    given = pairs(weight, shift=0.0)
    fitted = fit_transposed(Moments.of(given), penalty=0)
    kept = fitted.apply(given.source) @ given.target.T
    wanted = given.source @ given.source.T
    # A constant per mapped text changes no ranking.
    kept, wanted = (one - one.mean(dim=1, keepdim=True) for one in (kept, wanted))
    assert torch.allclose(kept, wanted, atol=1e-5)
    assert not fitted.bias.any()


@pytest.mark.parametrize("rank", [1, 3, NARROW])
def test_a_low_rank_is_that_rank_and_changes_the_vectors_least(rank: int) -> None:
    given = pairs(draw(NARROW, WIDE, seed=3), noise=0.5)
    moments = Moments.of(given)
    full = fit_ridge(moments)
    low = reduce_rank(full, moments, rank)
    assert torch.linalg.matrix_rank(low.weight) == rank
    left, values, right = torch.linalg.svd(full.weight, full_matrices=False)
    plain = left[:, :rank] * values[:rank] @ right[:rank]
    centred = given.source - given.source.mean(dim=0)
    assert (centred @ (low.weight - full.weight)).norm() <= (centred @ (plain - full.weight)).norm() + 1e-9
    # The mean text stays where it was.
    mean = given.source.mean(dim=0, keepdim=True)
    assert torch.allclose(low.apply(mean), full.apply(mean))


def test_moments_of_a_mixture_weigh_both_texts() -> None:
    one, other = pairs(draw(NARROW, WIDE, seed=3)).pick(range(30)), pairs(draw(NARROW, WIDE, seed=4)).pick(range(10))
    even = Moments.of(one).mix(Moments.of(other), 0.25)
    joined = Moments.of(one.join(other))
    assert torch.allclose(even.cross, joined.cross)
    assert torch.allclose(even.centre().source, joined.centre().source)
    assert even.count == joined.count == 40
    assert torch.equal(even.swap().cross, even.cross.T)


def test_a_map_becomes_a_module_of_the_same_vectors() -> None:
    fitted = LinearMap(draw(NARROW, WIDE), draw(WIDE, seed=1))
    texts = draw(5, NARROW, seed=2)
    assert torch.allclose(fitted.as_module()(texts.float()), fitted.apply(texts).float(), atol=1e-5)
    assert torch.equal(fitted.add(fitted, 0.5).bias, fitted.bias * 1.5)
