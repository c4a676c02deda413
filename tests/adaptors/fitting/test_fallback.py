"""Trainings without labels that rank held-out texts no better than PCA give PCA, and say so."""

import pytest
import torch
from tiny_states import WIDTH, make_states

from adaptors.encoders.folder import _describe_training
from adaptors.fitting import distil, network
from adaptors.fitting.batches import draw_rankings, split_texts
from adaptors.fitting.closed_form import fit_pca, fit_spectral, whiten_targets
from adaptors.fitting.compare import FitPlan, fit_kind
from adaptors.fitting.fallback import or_pca, ranking_divergence
from adaptors.fitting.options import FitResult, TrainOptions
from adaptors.modules.base import Adaptor
from adaptors.modules.linear import Projection
from adaptors.training.epochs import Epoch
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint

DIM = 8
DATA = make_states()
TAUGHT = whiten_targets(DATA)
HELD_OUT = draw_rankings(split_texts(DATA, 0), len(DATA.documents), 1, seed=0)[1]
FUSION = Fusion((Hookpoint("a", 3, "mean"), Hookpoint("b", 2, "cls")))


def scramble(trained: Adaptor, *_: object) -> tuple[Epoch, ...]:
    """Train badly."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        for parameter in trained.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return ()


def test_a_map_that_ranks_more_like_the_teacher_than_pca_is_kept() -> None:
    kept = FitResult(fit_spectral(DATA, DIM))
    assert or_pca(kept, TAUGHT, [DIM], held_out=HELD_OUT) is kept


def test_one_that_does_not_is_replaced_and_a_note_has_both_divergences() -> None:
    random = torch.randn(WIDTH, DIM, generator=torch.Generator().manual_seed(0))
    found = or_pca(FitResult(Projection.of(random)), TAUGHT, [DIM], held_out=HELD_OUT)
    assert isinstance(found.module, Projection)
    assert torch.equal(found.module.weight, fit_pca(DATA, DIM).weight)
    divergence = ranking_divergence(found.module, TAUGHT, [DIM], held_out=HELD_OUT)
    assert found.notes[0].startswith("replaced by pca")
    assert found.notes[0].endswith(f"by {divergence:.4f} with pca")


def test_one_that_is_wider_than_the_states_has_no_rival() -> None:
    wide = FitResult(Projection.of(torch.randn(WIDTH, 2 * WIDTH, generator=torch.Generator().manual_seed(0))))
    assert or_pca(wide, TAUGHT, [2 * WIDTH], held_out=HELD_OUT) is wide


def test_the_teacher_itself_does_not_diverge() -> None:
    assert ranking_divergence(fit_spectral(DATA, WIDTH), TAUGHT, [WIDTH], held_out=HELD_OUT) == pytest.approx(
        0, abs=1e-5
    )


@pytest.mark.parametrize("kind", ["distil", "linear", "mlp", "rotation"])
def test_a_training_without_labels_that_went_wrong_gives_pca(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (distil, network):
        monkeypatch.setattr(room, "train", scramble)
    plan = FitPlan((kind,), (DIM, 4), TrainOptions(steps=1))
    for encoder in fit_kind(kind, FUSION, DATA, plan=plan):
        assert torch.equal(encoder.module.weight, fit_pca(DATA, DIM).weight)
        assert any(note.startswith("replaced by pca") for note in encoder.notes)
        assert "Note: replaced by pca" in _describe_training(encoder, "tiny")


def test_with_labels_held_out_queries_have_chosen_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "train", scramble)
    fitted = fit_kind("mlp", FUSION, make_states(labelled=True), plan=FitPlan(("mlp",), (DIM,), TrainOptions(steps=1)))
    assert not any("pca" in note for note in fitted[0].notes)
