"""Every loss for tuning by its name: it runs on a tiny model with data of every form, alone and inside others."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from typer.testing import CliRunner

import cli
from adaptors.finetuning.loss_build import make_tuning_loss
from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS, find_loss
from adaptors.finetuning.loss_list import list_losses
from adaptors.finetuning.loss_spec import LossOptions, TuningLoss
from adaptors.finetuning.options import Goal
from adaptors.fitting.losses import LOSSES
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from probe.errors import CallError

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
    chosen = find_loss(name)[0]
    if name in ("margin-mse", "distill-kl") and rows is PAIRED:
        with pytest.raises(CallError, match=f"the loss '{name}' cannot use 'tiny'"):
            batch(tiny, chosen, rows)
        return
    found, gradient = run(tiny, make_tuning_loss(name, tiny, options_of(chosen, tiny)), batch(tiny, chosen, rows))
    assert math.isfinite(found)
    assert torch.isfinite(gradient).all()
    # Without dropout a text is its own best neighbour already, but never the only one.
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("wrapper", ["collapse-guard", "spectral-flattening", "global-orthogonal"])
@pytest.mark.parametrize("name", TUNING_LOSSES)
def test_a_penalty_goes_around_every_loss_and_computes_no_vector_again(
    tiny: SentenceTransformer, name: str, wrapper: str
) -> None:
    chosen, calls = find_loss(name)[0], []
    options, given = options_of(chosen, tiny), batch(tiny, find_loss(name)[0], LISTS)
    counter = tiny.register_forward_hook(lambda *_: calls.append(1))
    bare, bare_gradient = run(tiny, make_tuning_loss(name, tiny, options), given)
    once = len(calls)
    penalised = make_tuning_loss(name, tiny, LossOptions(guide=options.guide, weight=10.0), wrap=[wrapper])
    found, gradient = run(tiny, penalised, given)
    counter.remove()
    assert not tiny._forward_hooks
    assert len(calls) == 2 * once
    # The tiny model's weights are random: all its vectors are alike.
    assert found > bare + 0.5
    assert not torch.allclose(gradient, bare_gradient, rtol=1e-2)


@pytest.mark.parametrize("wrapper", ["collapse-guard", "spectral-flattening", "global-orthogonal"])
def test_a_penalty_inside_a_gradient_cache_is_the_same(tiny: SentenceTransformer, wrapper: str) -> None:
    given = batch(tiny, TUNING_LOSSES["infonce"], PAIRED)
    plain, gradient = run(tiny, make_tuning_loss("infonce", tiny, LossOptions(), wrap=[wrapper]), given)
    for dims, around in ((), [wrapper]), ((8, 32), ["matryoshka", wrapper]):
        options = LossOptions(mini_batch=2, dims=dims)
        cached, cached_gradient = run(
            tiny, make_tuning_loss("CachedMultipleNegativesRankingLoss", tiny, options, wrap=around), given
        )
        if not dims:
            assert cached == pytest.approx(plain, rel=1e-5)
            assert torch.allclose(cached_gradient, gradient, atol=1e-5)
        assert cached >= plain - 1e-5


@pytest.mark.parametrize("name", [*TUNING_LOSSES, "CachedMultipleNegativesRankingLoss"])
def test_matryoshka_goes_around_every_loss(tiny: SentenceTransformer, name: str) -> None:
    chosen = find_loss(name)[0]
    options = LossOptions(dims=(32, 8), guide=options_of(chosen, tiny).guide)
    found, gradient = run(tiny, make_tuning_loss(name, tiny, options, wrap=["matryoshka"]), batch(tiny, chosen, LISTS))
    assert math.isfinite(found)
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("around", [["matryoshka-2d"], ["adaptive-layer"], ["adaptive-layer", "collapse-guard"]])
def test_layers_go_around_a_loss(tiny: SentenceTransformer, around: list[str]) -> None:
    options = LossOptions(dims=(32, 8) if "matryoshka-2d" in around else ())
    found, gradient = run(
        tiny, make_tuning_loss("infonce", tiny, options, wrap=around), batch(tiny, TUNING_LOSSES["infonce"], PAIRED)
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
        ("CachedMultipleNegativesRankingLoss", LossOptions(mini_batch=3), lambda loss: (loss.mini_batch_size, 3)),
    ],
)
def test_options_reach_the_loss(tiny: SentenceTransformer, name: str, options: LossOptions, changed: Any) -> None:
    found, expected = changed(make_tuning_loss(name, tiny, options))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "options", "around", "words"),
    [
        ("hingge", LossOptions(), [], "unknown loss 'hingge': did you mean hinge"),
        ("hinge", LossOptions(), ["guard"], "unknown loss wrapper 'guard': did you mean collapse-guard"),
        ("hinge", LossOptions(temperature=0.1), [], "--temperature does nothing with hinge: leave it out"),
        ("gist", LossOptions(), [], "gist needs --guide"),
        ("hinge", LossOptions(), ["matryoshka"], "matryoshka needs --dims"),
        ("infonce", LossOptions(temperature=0.0), [], "--temperature 0 is out of range: expected more than 0"),
        ("infonce", LossOptions(mini_batch=2), ["adaptive-layer"], "adaptive-layer cannot wrap 'infonce' with a grad"),
        ("hinge", LossOptions(symmetric=True), [], "--symmetric does nothing with hinge"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tiny: SentenceTransformer, name: str, options: LossOptions, around: list[str], words: str
) -> None:
    with pytest.raises(CallError, match=words):
        make_tuning_loss(name, tiny, options, wrap=around)


def test_the_command_lists_every_loss_with_its_formula_whole() -> None:
    for width in ("200", "80"):
        shown = CliRunner().invoke(cli.adaptors_app, ["losses"], env={"COLUMNS": width})
        assert shown.exit_code == 0
        for name in (*TUNING_LOSSES, *WRAPPERS, *LOSSES):
            assert f" {name} " in shown.stdout
        assert "…" not in shown.stdout


def test_the_list_as_json_names_form_options_and_library() -> None:
    rows = json.loads(CliRunner().invoke(cli.adaptors_app, ["losses", "-f", "json"]).stdout)
    assert rows == [{**vars(loss), "options": list(loss.options)} for loss in list_losses()]
    assert len(rows) == len(TUNING_LOSSES) + len(WRAPPERS) + len(LOSSES)
    assert all(row["formula"] and row["source"] and row["data"] for row in rows)
    (hinge,) = [row for row in rows if row["name"] == "hinge"]
    assert (hinge["kind"], hinge["options"], hinge["library"]) == ("tuning", ["margin"], "encoder-surgery")


CLASSES = {
    "MultipleNegativesRankingLoss": ("infonce", {}),
    "multiplenegativesrankingloss": ("infonce", {}),
    "CachedMultipleNegativesRankingLoss": ("infonce", {"mini_batch": 32}),
    "MultipleNegativesSymmetricRankingLoss": ("infonce", {"symmetric": True}),
    "CachedMultipleNegativesSymmetricRankingLoss": ("infonce", {"mini_batch": 32, "symmetric": True}),
    "CachedGISTEmbedLoss": ("gist", {"mini_batch": 32}),
    "TripletLoss": ("triplet", {}),
    "CoSENTLoss": ("cosent", {}),
}


@pytest.mark.parametrize(("name", "expected"), CLASSES.items())
def test_a_loss_is_found_by_its_class_in_sentence_transformers(name: str, expected: tuple[str, dict[str, Any]]) -> None:
    loss, implied = find_loss(name)
    assert (loss.name, implied) == expected
    goal = Goal(name, ("MatryoshkaLoss",), LossOptions(dims=(8,)))
    assert (goal.loss, goal.wrap) == (expected[0], ("matryoshka",))
    assert goal.settings == replace(LossOptions(dims=(8,)), **implied)


def test_a_setting_goes_before_what_a_class_implies() -> None:
    assert Goal("CachedGISTEmbedLoss", settings=LossOptions(guide="m", mini_batch=4)).settings.mini_batch == 4


@pytest.mark.parametrize("name", ["CachedTripletLoss", "MultipleNegativesRankLoss", "infonce-cached"])
def test_a_class_that_is_not_there_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(CallError, match=f"unknown loss '{name}': did you mean"):
        find_loss(name)


def test_forms_of_a_loss_are_options(tiny: SentenceTransformer) -> None:
    made = make_tuning_loss("infonce", tiny, LossOptions(symmetric=True, mini_batch=2))
    assert (type(made).__name__, made.directions) == (
        "CachedMultipleNegativesRankingLoss",
        ("query_to_doc", "doc_to_query"),
    )


def test_the_list_takes_no_other_format() -> None:
    shown = CliRunner().invoke(cli.adaptors_app, ["losses", "-f", "csv"])
    assert shown.exit_code == 2
    assert "error: unknown --format 'csv': expected one of table, json" in shown.stderr
