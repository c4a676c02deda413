"""Training on stored states: it learns, it is the same twice, it is taken up again, and it stops at a collapse."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer import losses
from tiny_states import make_states
from torch import Tensor, nn

from adaptors.fitting import trainer as training
from adaptors.fitting.batches import StateCollator, draw_pairs, draw_texts, split_pairs, split_texts
from adaptors.fitting.closed_form import fit_pca, fit_spectral
from adaptors.fitting.evaluator import HeldOutQueries
from adaptors.fitting.kinds import KINDS
from adaptors.fitting.network import NETWORK_LOSSES, fit_network, make_network
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.fitting.trainer import TrainingTask, train
from adaptors.losses.states import SimilarityLoss
from adaptors.modules.base import Network
from adaptors.training.epochs import Epoch, epoch_cells
from probe.errors import CallError, TrainingError
from probe.layers import products

DIMS = (8, 4)
DATA, JUDGED = make_states(), make_states(labelled=True)
SHORT = TrainOptions(steps=4)


@pytest.fixture(autouse=True)
def _short_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EPOCH_STEPS", 2)


def weights(network: nn.Module) -> Tensor:
    return torch.cat([tensor.flatten().float() for tensor in network.state_dict().values()])


def similarity_task(data: FitData, steps: int) -> TrainingTask:
    rows = split_texts(data, 0)
    return TrainingTask(
        loss=lambda model: SimilarityLoss(model, [8]),
        train=draw_texts(rows.train, 64, steps, seed=0),
        held_out=draw_texts(rows.held_out, 64, 1, seed=0),
        collator=StateCollator(data),
        evaluator=None,
        fingerprint=lambda: {"data": "tiny"},
    )


@pytest.mark.parametrize("kind", NETWORK_LOSSES)
@pytest.mark.parametrize("data", [DATA, JUDGED], ids=["no labels", "labels"])
def test_every_network_trains_and_gives_the_same_under_one_seed(kind: str, data: FitData) -> None:
    first, again = (fit_network(kind, data, DIMS, options=SHORT) for _ in range(2))
    assert torch.equal(weights(first.module), weights(again.module))
    assert len({epoch.held_out_loss for epoch in first.epochs}) == 3
    assert first.epochs == again.epochs
    assert not (isinstance(first.module, Network) and first.module.training)
    assert [epoch.number for epoch in first.epochs] == [0, 1, 2]
    assert all(tuple(epoch.scores) == (DIMS if data is JUDGED else ()) for epoch in first.epochs)


def test_another_seed_gives_another_network() -> None:
    first, other = (fit_network("linear", DATA, DIMS, options=replace(SHORT, seed=seed)).module for seed in (0, 1))
    assert not torch.equal(weights(first), weights(other))


def test_no_leak_without_labels_judgements_change_nothing() -> None:
    blind = replace(JUDGED, labels="none")
    assert torch.equal(
        weights(fit_network("mlp", blind, DIMS, options=SHORT).module),
        weights(fit_network("mlp", DATA, DIMS, options=SHORT).module),
    )


def test_it_learns_what_the_loss_asks_for() -> None:
    network = make_network("linear-original", DATA, 8, seed=0)
    epochs = train(network, similarity_task(DATA, 40), TrainOptions(steps=40, lr=1e-2))
    assert min(epoch.held_out_loss for epoch in epochs) < 0.5 * epochs[0].held_out_loss


def test_it_ends_as_the_best_epoch_left_it() -> None:
    """A few texts, learned by heart: what is held out is best in the middle."""
    network = make_network("linear-original", DATA, 8, seed=0)
    task = replace(similarity_task(DATA, 80), train=draw_texts(torch.arange(8), 8, 80, seed=0))
    epochs = train(network, task, TrainOptions(steps=80, lr=0.03))
    best = min(epochs, key=lambda epoch: epoch.held_out_loss)
    assert 0 < best.number < epochs[-1].number
    batch = task.collator([{"text": task.held_out["text"][0]}])
    column = {"sentence_embedding": batch["text_sentence_embedding"]}
    loss = SimilarityLoss(_Wrapped(network), [8])([column])
    assert float(loss) == pytest.approx(best.held_out_loss, rel=1e-4)
    # Three epochs without a better one, and no more.
    assert epochs[-1].number == best.number + 3


def test_where_no_epoch_is_better_it_stays_as_it_began() -> None:
    network = make_network("mlp", DATA, 24, seed=0)
    start = weights(network)
    task = replace(similarity_task(DATA, 8), loss=lambda model: SimilarityLoss(model, [24]))
    epochs = train(network, task, TrainOptions(steps=8, lr=0.1))
    assert epochs[0].held_out_loss < min(epoch.held_out_loss for epoch in epochs[1:])
    assert torch.equal(weights(network), start)


class _Wrapped(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"sentence_embedding": self.network(features["sentence_embedding"])}


def test_labels_raise_the_score_of_held_out_queries() -> None:
    """The greatest variance is noise, which only the labels tell."""
    dice = torch.Generator().manual_seed(0)
    loud = torch.cat([torch.ones(4), torch.zeros(20)])
    documents, queries = (
        side + 0.3 * loud * torch.randn(side.shape, generator=dice) for side in (JUDGED.documents, JUDGED.queries)
    )
    noisy = replace(JUDGED, documents=documents, queries=queries, targets=torch.cat([documents, queries]))
    epochs = fit_network("linear", noisy, DIMS, options=TrainOptions(steps=40, lr=1e-2)).epochs
    assert max(epoch.scores[8] for epoch in epochs) > epochs[0].scores[8] + 0.05


def test_the_losses_of_sentence_transformers_work_unchanged() -> None:
    pairs, documents = split_pairs(JUDGED, 0), len(JUDGED.documents)
    for make in (losses.MultipleNegativesRankingLoss, losses.MultipleNegativesSymmetricRankingLoss):
        network = make_network("linear", JUDGED, 8, seed=0)
        task = TrainingTask(
            loss=make,  # type: ignore[arg-type]
            train=draw_pairs(pairs.train, documents, 16, steps=4, seed=0),
            held_out=draw_pairs(pairs.held_out, documents, 16, steps=1, seed=0),
            collator=StateCollator(JUDGED),
            evaluator=HeldOutQueries(JUDGED, pairs.held_out, DIMS),
            fingerprint=dict,
        )
        assert len(train(network, task, SHORT)) == 3


def test_states_are_hashed_only_to_protect_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    monkeypatch.setattr(training, "hash_tensors", lambda tensors: hashed.append(tensors) or "")
    fit_network("linear", DATA, DIMS, options=SHORT)
    assert hashed == []
    fit_network("linear", DATA, DIMS, options=replace(SHORT, checkpoint_dir=tmp_path / "checkpoints"))
    assert len(hashed) == 1


class _Interrupted(Exception):
    """Stands for a process that is killed."""


def interrupt_at(step: int) -> Callable[[str, int, int], None]:
    seen: list[int] = []

    def progress(name: str, done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == step:
            raise _Interrupted

    return progress


def fit_with(folder: Path, **changes: object) -> Network:
    options = replace(TrainOptions(steps=8, checkpoint_dir=folder), **changes)
    return fit_network("mlp", DATA, DIMS, options=options).module  # type: ignore[return-value]


def test_nothing_lost_an_interrupted_training_goes_on_where_it_was(tmp_path: Path) -> None:
    undisturbed = fit_with(tmp_path / "calm")
    with pytest.raises(_Interrupted):
        fit_with(tmp_path / "torn", progress=interrupt_at(5))
    steps: list[int] = []
    resumed = fit_with(tmp_path / "torn", progress=lambda name, done, total: steps.append(done))
    assert torch.equal(weights(resumed), weights(undisturbed))
    assert len(steps) == 4


def test_a_resumed_training_lists_every_epoch_once_and_is_as_patient(tmp_path: Path) -> None:
    undisturbed = fit_network("mlp", DATA, DIMS, options=TrainOptions(steps=8, checkpoint_dir=tmp_path / "calm"))
    options = TrainOptions(steps=8, checkpoint_dir=tmp_path / "torn")
    with pytest.raises(_Interrupted):
        fit_network("mlp", DATA, DIMS, options=replace(options, progress=interrupt_at(5)))
    assert fit_network("mlp", DATA, DIMS, options=options).epochs == undisturbed.epochs


def test_a_training_that_had_lost_patience_is_not_gone_on_with(tmp_path: Path) -> None:
    task = replace(similarity_task(DATA, 80), train=draw_texts(torch.arange(8), 8, 80, seed=0))
    steps: list[int] = []
    options = TrainOptions(
        steps=80, lr=0.03, checkpoint_dir=tmp_path, progress=lambda name, done, total: steps.append(done)
    )
    ended = []
    for _ in range(2):
        network = make_network("linear-original", DATA, 8, seed=0)
        ended.append((train(network, task, options), weights(network), len(steps)))
    assert ended[0][0] == ended[1][0]
    assert torch.equal(ended[0][1], ended[1][1])
    assert ended[0][2] == ended[1][2] < 80


def test_a_checkpoint_that_is_not_whole_is_passed_over(tmp_path: Path) -> None:
    undisturbed = fit_with(tmp_path / "calm")
    with pytest.raises(_Interrupted):
        fit_with(tmp_path / "torn", progress=interrupt_at(7))
    shutil.rmtree(tmp_path / "torn" / "checkpoint-6" / "0_AdaptorModule")
    (tmp_path / "torn" / "checkpoint-6" / "trainer_state.json").unlink()
    assert torch.equal(weights(fit_with(tmp_path / "torn")), weights(undisturbed))


def test_checkpoints_of_a_training_that_scores_other_dimensions_are_refused(tmp_path: Path) -> None:
    options = replace(SHORT, checkpoint_dir=tmp_path)
    fit_network("mlp", JUDGED, (8, 4), options=options)
    with pytest.raises(CallError, match="checkpoints of another training"):
        fit_network("mlp", JUDGED, (8, 2), options=options)


@pytest.mark.parametrize("change", [{"seed": 1}, {"lr": 0.1}, {"loss": "similarity"}, {"steps": 6}])
def test_checkpoints_of_another_training_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    fit_with(tmp_path)
    with pytest.raises(CallError, match="checkpoints of another training"):
        fit_with(tmp_path, **change)


class _Fading(Network):
    """All its vectors are equal as soon as its only weight is zero."""

    kind = "fading"

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(width, dim)
        self.weight = nn.Parameter(torch.tensor(0.1))

    def init_from_axes(self, axes: Tensor) -> None:
        pass

    def forward(self, states: Tensor) -> Tensor:
        return states[:, : self.dim] * self.weight + 1


class _Fade(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, sentence_features: list[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        return (self.model(dict(sentence_features[0]))["sentence_embedding"] - 1).square().mean()


def test_a_collapse_stops_the_training_with_a_message() -> None:
    task = replace(similarity_task(DATA, 200), loss=_Fade)
    with pytest.raises(TrainingError, match=r"fading collapsed: all vectors are equal after \d+ steps"):
        train(_Fading(24, 8), task, TrainOptions(steps=200, lr=0.01))


def test_a_loss_that_is_no_number_stops_the_training_with_a_message() -> None:
    broken = replace(DATA, documents=DATA.documents * torch.nan)
    network = make_network("mlp", DATA, 8, seed=0)
    with pytest.raises(TrainingError, match="the loss is nan after 2 steps"):
        train(network, similarity_task(broken, 4), SHORT)


def test_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    fit_network("linear", DATA, DIMS, options=SHORT)
    assert capfd.readouterr().out == ""


def test_the_callers_dice_are_left_alone() -> None:
    before = torch.random.get_rng_state()
    fit_network("mlp", DATA, DIMS, options=SHORT)
    assert torch.equal(torch.random.get_rng_state(), before)


WRONG_LOSSES = {
    "unknown": ("linear", DATA, "hinge", "did you mean ranking or infonce"),
    "needs labels": ("linear", DATA, "infonce", "--labels train"),
    "takes none": ("linear", JUDGED, "similarity", "leave out --labels"),
    "no decoder": ("mlp", DATA, "reconstruction", "needs a decoder"),
    "no correction": ("mlp", DATA, "matryoshka-adaptor", "needs a residual correction"),
}


@pytest.mark.parametrize(("kind", "data", "loss", "words"), WRONG_LOSSES.values(), ids=WRONG_LOSSES)
def test_a_loss_that_does_not_suit_is_refused(kind: str, data: FitData, loss: str, words: str) -> None:
    with pytest.raises(CallError, match=words):
        fit_network(kind, data, DIMS, options=replace(SHORT, loss=loss))


def test_a_tracker_that_is_not_installed_is_refused_before_the_work() -> None:
    with pytest.raises(CallError, match="--report-to pigeon is unknown or not installed"):
        fit_network("linear", DATA, DIMS, options=replace(SHORT, report_to="pigeon"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (replace(DATA, documents=DATA.documents[:4]), "cannot train on 4 documents"),
        (replace(JUDGED, pairs=JUDGED.pairs[:3]), "cannot train on 3 queries with relevance labels"),
    ],
)
def test_too_few_texts_are_refused(data: FitData, words: str) -> None:
    with pytest.raises(CallError, match=words):
        fit_network("linear", data, DIMS, options=SHORT)


@pytest.mark.parametrize(("steps", "trained"), [(1, [0, 1]), (5, [0, 1, 2])])
def test_the_end_is_the_end_of_an_epoch(steps: int, trained: list[int]) -> None:
    fitted = fit_network("linear", DATA, DIMS, options=replace(SHORT, steps=steps))
    assert [epoch.number for epoch in fitted.epochs] == trained
    assert not torch.equal(fitted.module(DATA.queries), make_network("linear", DATA, 8, seed=0).eval()(DATA.queries))


UNTRAINED = TrainOptions(steps=1, lr=1e-30)


@pytest.mark.parametrize("data", [DATA, JUDGED], ids=["rankings", "labels"])
def test_a_training_to_rank_begins_as_spectral(data: FitData) -> None:
    module = fit_network("mlp", data, DIMS, options=UNTRAINED).module
    assert torch.allclose(module(DATA.queries), fit_spectral(data, 8)(DATA.queries), atol=1e-4)


def test_other_trainings_begin_as_pca() -> None:
    module = fit_network("mlp", DATA, DIMS, options=replace(UNTRAINED, loss="similarity")).module
    assert torch.allclose(module(DATA.queries), fit_pca(DATA, 8)(DATA.queries), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "data", "given", "expected"),
    [
        ("linear", DATA, None, 150),
        ("linear", DATA, 30, 30),
        ("linear", JUDGED, None, 300),
        ("autoencoder", DATA, None, 300),
        ("distil", DATA, None, 150),
    ],
)
def test_the_number_of_steps(kind: str, data: FitData, given: int | None, expected: int) -> None:
    totals: list[int | None] = []
    options = TrainOptions(steps=given, progress=lambda _message, _done, total: totals.append(total))
    KINDS[kind].fit(data, DIMS, options)
    assert set(totals) == {expected}


def test_a_rate_that_is_given_is_the_rate_of_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    monkeypatch.setattr(training, "SentenceTransformerTrainingArguments", _keep_rate(rates))
    for kind, data, given in (("linear", DATA, 0.002), ("linear", DATA, None), ("linear", JUDGED, None)):
        with pytest.raises(StopIteration):
            fit_network(kind, data, DIMS, options=replace(SHORT, lr=given))
    assert rates == [0.002, 0.004, 0.001]


def _keep_rate(rates: list[float]) -> Callable[..., None]:
    def refuse(**arguments: Any) -> None:
        rates.append(arguments["learning_rate"])
        raise StopIteration

    return refuse


def test_steps_multiply_by_onednn_where_that_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    setting: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    monkeypatch.setattr(products, "_are_exact_and_faster", lambda: True)
    fit_network("linear", DATA, DIMS, options=replace(SHORT, progress=lambda *given: seen.add(setting.fp32_precision)))
    assert seen == {"bf16"}
    assert setting.fp32_precision == "none"


def test_the_table_of_epochs() -> None:
    header, rows = epoch_cells([Epoch(0, None, 0.5, {8: 0.25}), Epoch(1, 0.4, 0.45, {8: 0.3})])
    assert header == ["epoch", "train loss", "held-out loss", "nDCG@10 8"]
    assert rows == [["0", "–", "0.5", "0.2500"], ["1", "0.4", "0.45", "0.3000"]]


def test_a_checkpoint_folder_says_what_it_holds(tmp_path: Path) -> None:
    fit_with(tmp_path)
    told = json.loads((tmp_path / "fit.json").read_text())
    assert (told["kind"], told["steps"], told["labels"]) == ("mlp", 8, "none")
