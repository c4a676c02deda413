"""Closed-form adaptors: their definitions, against numpy and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.fitting import closed_form
from adaptors.fitting.closed_form import fit_lens, fit_pca, fit_spectral, fit_truncate
from adaptors.fitting.states import FitData
from probe.errors import CallError

WIDTH, FINAL = 12, 8


def make_data(seed: int = 0, rank: int = WIDTH, noise: float = 0.05) -> FitData:
    """Return anisotropic states, and targets that are a linear map of them with noise."""
    dice = torch.Generator().manual_seed(seed)
    basis = torch.randn(rank, WIDTH, generator=dice) * torch.logspace(0, -1, rank).unsqueeze(1)
    states = normalize(torch.randn(90, rank, generator=dice) @ basis + 0.5, dim=1)
    targets = states @ torch.randn(WIDTH, FINAL, generator=dice) + noise * torch.randn(90, FINAL, generator=dice)
    return FitData(
        documents=states[:70],
        queries=states[70:],
        blocks=(("a@1:mean", WIDTH),),
        targets=normalize(targets, dim=1),
        pairs=torch.empty(0, 3, dtype=torch.long),
        labels="none",
        fitted_on=(("tiny", "0"),),
    )


def cosines(vectors: Tensor) -> Tensor:
    unit = normalize(vectors, dim=1)
    return unit @ unit.T


def test_truncate_is_the_first_dimensions() -> None:
    data = make_data()
    assert torch.equal(fit_truncate(data, 5)(data.texts), data.texts[:, :5])


def test_identity_law_a_full_width_rotation_changes_no_cosine() -> None:
    data = make_data()
    for fit in (fit_truncate, fit_pca):
        assert torch.allclose(cosines(fit(data, WIDTH)(data.texts)), cosines(data.texts), atol=1e-5)
    assert torch.allclose(cosines(fit_spectral(data, WIDTH, power=0)(data.texts)), cosines(data.texts), atol=1e-5)


@pytest.mark.parametrize("dim", [3, 7])
def test_pca_is_the_uncentred_one(dim: int) -> None:
    data = make_data()
    theirs = TruncatedSVD(dim, algorithm="arpack", random_state=0).fit(data.documents.double().numpy())
    ours = fit_pca(data, dim).weight.numpy()
    assert np.abs(np.abs(theirs.components_ @ ours) - np.eye(dim)).max() < 1e-3


def test_a_smaller_pca_is_the_beginning_of_a_greater_one() -> None:
    data = make_data()
    assert torch.equal(fit_pca(data, 8).weight[:, :3], fit_pca(data, 3).weight)


def test_spectral_scales_the_axes_by_a_power_of_the_spectrum() -> None:
    data = make_data()
    axes, scaled = fit_spectral(data, WIDTH, power=0).weight, fit_spectral(data, WIDTH, power=0.3).weight
    documents, queries = ((side @ axes).square().mean(dim=0) for side in (data.documents, data.queries))
    # Raised by what one text adds: all texts have length 1.
    eigenvalues = 0.75 * documents + 0.25 * queries + 0.75**2 / 70 + 0.25**2 / 20
    expected = axes * (eigenvalues / eigenvalues[0]) ** -0.3
    assert torch.allclose(scaled, expected, rtol=1e-3)


def many(data: FitData) -> FitData:
    """Return the same moments, of 140,000 documents and no queries."""
    return replace(data, documents=data.documents.repeat(2000, 1), queries=torch.empty(0, WIDTH))


def test_half_a_power_whitens() -> None:
    data = many(make_data())
    white = fit_spectral(data, WIDTH, power=0.5)(data.documents)
    moments = white.T @ white
    assert torch.allclose(moments / moments[0, 0], torch.eye(WIDTH), atol=0.02)


def scales_of(data: FitData) -> Tensor:
    return torch.linalg.vector_norm(fit_spectral(data, WIDTH).weight, dim=0)


def test_axes_that_few_texts_do_not_support_are_not_blown_up() -> None:
    data = replace(make_data(), documents=make_data().documents[:5], queries=torch.empty(0, WIDTH))
    # Five documents span five axes, and an axis without any counts as much as one document.
    largest = torch.linalg.svdvals(data.documents)[0] ** 2
    assert torch.allclose(scales_of(data)[5:], (1 + largest).expand(WIDTH - 5) ** 0.15, rtol=1e-3)


def test_the_fewer_the_texts_the_nearer_spectral_is_to_pca_and_on_many_nothing_is_shrunk() -> None:
    data = make_data()
    alone = replace(data, queries=torch.empty(0, WIDTH))
    eigenvalues = torch.linalg.svdvals(data.documents) ** 2
    assert torch.allclose(scales_of(many(data)), (eigenvalues / eigenvalues[0]) ** -0.15, rtol=5e-3)
    assert 1 < scales_of(alone).max() < 0.9 * scales_of(many(data)).max()


def test_one_query_beside_many_documents_counts_little() -> None:
    alone = many(make_data())
    asked = replace(alone, queries=make_data().queries[:1])
    assert torch.allclose(scales_of(asked), scales_of(alone), rtol=0.02)


@pytest.mark.parametrize("fit", [fit_pca, fit_spectral, fit_lens])
def test_states_of_low_rank_give_finite_vectors(fit: object) -> None:
    data = make_data(rank=3)
    assert torch.isfinite(fit(data, FINAL)(data.texts)).all()  # type: ignore[operator]


@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0])
def test_the_lens_is_the_ridge_regression_of_least_gcv(noise: float) -> None:
    data = make_data(noise=noise)
    states, targets = data.texts.double().numpy(), data.targets.double().numpy()
    centred = states - states.mean(axis=0)
    best, expected = np.inf, None
    for penalty in closed_form._PENALTIES * np.linalg.eigvalsh(centred.T @ centred).mean():
        fitted = Ridge(alpha=penalty).fit(states, targets)
        hat = centred @ np.linalg.solve(centred.T @ centred + penalty * np.eye(WIDTH), centred.T)
        score = ((targets - fitted.predict(states)) ** 2).sum() / (len(states) - 1 - np.trace(hat)) ** 2
        if score < best:
            best, expected = score, fitted.predict(states)
    found = fit_lens(data, FINAL)(data.texts)
    assert np.abs(found.numpy() - expected).max() < 1e-4


@pytest.mark.parametrize("noise", [0.0, 0.05, 1.0])
def test_a_lens_without_a_bias_is_fitted_through_the_origin(noise: float) -> None:
    data = make_data(noise=noise)
    states, targets = data.texts.double().numpy(), data.targets.double().numpy()
    moments = states.T @ states
    best, expected = np.inf, None
    for penalty in closed_form._PENALTIES * np.linalg.eigvalsh(moments).mean():
        fitted = Ridge(alpha=penalty, fit_intercept=False).fit(states, targets)
        hat = states @ np.linalg.solve(moments + penalty * np.eye(WIDTH), states.T)
        score = ((targets - fitted.predict(states)) ** 2).sum() / (len(states) - np.trace(hat)) ** 2
        if score < best:
            best, expected = score, fitted.predict(states)
    lens = fit_lens(data, FINAL, bias=False)
    assert np.abs(lens(data.texts).numpy() - expected).max() < 1e-4
    assert not lens.bias.any()
    # The bias is not left out afterwards: that map is another, and further from the targets.
    dropped = data.texts @ fit_lens(data, FINAL).weight
    errors = [float((found - data.targets).square().sum()) for found in (lens(data.texts), dropped)]
    assert errors[0] < errors[1]


def test_the_lens_finds_a_linear_map() -> None:
    data = make_data(noise=0.0)
    exact = FitData(**{**vars(data), "targets": data.texts @ torch.randn(WIDTH, FINAL)})
    assert torch.allclose(fit_lens(exact, FINAL)(data.texts), exact.targets, atol=1e-3)


@pytest.mark.parametrize("states", [torch.ones(1, WIDTH), torch.zeros(1, WIDTH)])
def test_a_lens_of_states_that_are_all_equal_is_the_mean_target(states: torch.Tensor) -> None:
    data = make_data()
    same = FitData(
        **{**vars(data), "documents": states.expand_as(data.documents), "queries": states.expand_as(data.queries)}
    )
    assert torch.allclose(
        fit_lens(same, FINAL)(same.texts), data.targets.mean(dim=0).expand_as(data.targets), atol=1e-4
    )


def test_a_lens_has_no_more_dimensions_than_its_target() -> None:
    with pytest.raises(CallError, match="has 8"):
        fit_lens(make_data(), FINAL + 1)


@pytest.mark.parametrize("fit", [fit_pca, fit_spectral, fit_lens])
def test_the_same_states_give_the_same_adaptor(fit: object) -> None:
    first, second = (fit(make_data(), 5) for _ in range(2))  # type: ignore[operator]
    assert torch.equal(first.weight, second.weight)
