"""`distil`: it starts as `spectral`, learns to rank as the whole states do, and looks at no judgement."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adaptors import distil
from adaptors.base import FitData
from adaptors.distil import fit_distil
from adaptors.linear import fit_pca, fit_spectral

WIDTH, DIM = 24, 8


@pytest.fixture(scope="module")
def data() -> FitData:
    dice = torch.Generator().manual_seed(3)
    centres = torch.randn(30, WIDTH, generator=dice) * torch.logspace(0.5, -0.5, WIDTH)
    documents = centres.repeat(8, 1) + 0.6 * torch.randn(240, WIDTH, generator=dice) + 1.0
    queries = centres + 0.6 * torch.randn(30, WIDTH, generator=dice) + 1.0
    return FitData(
        documents=normalize(documents, dim=1),
        queries=normalize(queries, dim=1),
        widths=(WIDTH,),
        targets=normalize(torch.cat([documents, queries]), dim=1),
        pairs=torch.empty(0, 2, dtype=torch.long),
        labels="none",
        fitted_on=("tiny", "0"),
    )


def divergence(data: FitData, weight: Tensor, dim: int) -> float:
    """Return how far the queries' rankings in some dimensions are from those of the whole states."""
    whole = fit_spectral(data, WIDTH).weight
    same = torch.zeros(len(data.queries), len(data.documents), dtype=torch.bool)
    unit = [normalize(side @ whole, dim=1) for side in (data.queries, data.documents)]
    short = [(side @ weight)[:, :dim] for side in (data.queries, data.documents)]
    return float(distil._divergence(*short, same, distil._rankings(*unit, same)))


@pytest.mark.parametrize("dim", [DIM, DIM // 2, DIM // 4])
def test_every_prefix_ranks_more_like_the_whole_states_than_its_start_does(data: FitData, dim: int) -> None:
    trained, start, pca = (fit(data, DIM).weight for fit in (fit_distil, fit_spectral, fit_pca))
    assert divergence(data, trained, dim) < 0.9 * divergence(data, start, dim)
    assert divergence(data, trained, dim) < 0.9 * divergence(data, pca, dim)


def test_untrained_it_is_spectral(data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distil, "_STEPS", 1)
    monkeypatch.setattr(distil, "_RATE", 0.0)
    assert torch.allclose(fit_distil(data, DIM).weight, fit_spectral(data, DIM).weight, atol=1e-5)


def test_the_divergence_is_its_formula(data: FitData) -> None:
    teacher, student, documents = data.queries[:5], data.queries[:5, :6], data.documents[:40]
    same = torch.zeros(5, 40, dtype=torch.bool)
    wanted = distil._rankings(teacher, documents, same)
    found = distil._divergence(student, documents[:, :6], same, wanted)
    expected = 0.0
    for i in range(5):
        p = torch.softmax((teacher[i].double() @ documents.double().T) / 0.03, dim=0)
        cosines = normalize(student[i].double(), dim=0) @ normalize(documents[:, :6].double(), dim=1).T
        q = torch.softmax(cosines / 0.03, dim=0)
        expected += float((p * (p.log() - q.log())).sum()) / 5
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_right() -> None:
    dice = torch.Generator().manual_seed(0)
    left, right = (torch.randn(n, 4, generator=dice, dtype=torch.float64, requires_grad=True) for n in (3, 6))
    same = torch.zeros(3, 6, dtype=torch.bool)
    wanted = torch.randn(3, 6, generator=dice, dtype=torch.float64).log_softmax(dim=1)
    assert torch.autograd.gradcheck(lambda a, b: distil._divergence(a, b, same, wanted), (left, right), eps=1e-6)


def test_the_same_seed_gives_the_same_map_and_another_another(data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distil, "_STEPS", 5)
    first, again, other = (fit_distil(data, DIM, seed).weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_leak_judgements_are_not_looked_at(data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distil, "_STEPS", 5)
    judged = replace(data, pairs=torch.tensor([[0, 0], [1, 5]]), labels="train")
    assert torch.equal(fit_distil(judged, DIM).weight, fit_distil(data, DIM).weight)


def test_without_queries_documents_are_the_anchors(data: FitData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distil, "_STEPS", 5)
    found = fit_distil(replace(data, queries=data.queries[:0]), DIM).weight
    assert torch.isfinite(found).all()
    assert all((anchors < 240).all() for anchors, _ in distil._draw(0, 240, seed=0))


def test_a_text_is_no_candidate_of_itself() -> None:
    unit = torch.eye(3)
    rankings = distil._rankings(unit, unit, torch.eye(3, dtype=torch.bool)).exp()
    assert rankings.diagonal().max() < 1e-6
