"""`heal` and `tune` take encoders, texts and rows by name, by path and as objects, which they do not change."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import make_texts
from tiny_tuning import pairs_file

import surgery
from adaptors import TuneOptions, heal, load_tuning_data, tune
from probe import load_dataset
from probe.errors import CallError, DataError

pytestmark = pytest.mark.usefixtures("quick_checks")

TEXTS = make_texts(12)
FEW = {"steps": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("bert")


def test_a_cut_in_memory_is_healed_by_what_it_was_cut_from_on_texts_of_ones_own(bert: Path) -> None:
    cut = surgery.cut(bert, 2)
    weights = [weight.clone() for weight in cut.module.parameters()]
    result = heal(cut, {"mine": TEXTS}, **FEW)
    assert Path(result.teacher) == bert.resolve()
    assert result.tuned.trained_on.seen[0][0] == "mine"
    assert all(torch.equal(a, b) for a, b in zip(weights, cut.module.parameters(), strict=True))
    assert result.encoder.encode("ice").shape == (32,)


def test_data_sets_and_their_names_heal_alike(bert: Path, tmp_path: Path) -> None:
    folder = surgery.save(surgery.cut(bert, 2), tmp_path / "cut")
    data = make_dataset(tmp_path / "tiny")
    by_name = heal(f"mine={folder}", [str(data)], teacher=bert, **FEW)
    by_object = heal(folder, load_dataset(data), teacher=str(bert), **FEW)
    assert by_name.after == by_object.after


@pytest.mark.parametrize("form", ["path", "object", "cut"])
def test_a_model_in_every_form_is_tuned_and_is_not_changed_itself(bert: Path, form: str) -> None:
    forms: dict[str, Any] = {"path": bert, "object": SentenceTransformer(str(bert), device="cpu")}
    model = forms[form] if form in forms else surgery.cut(bert, 3)
    rows = load_tuning_data(Path(pairs_file()))
    result = tune(model, rows, epochs=1, batch_size=12, hold_out=0.0)
    named = tune(str(bert), pairs_file(), epochs=1, batch_size=12, hold_out=0.0)
    assert result.encoder.encode("ice") == pytest.approx(named.encoder.encode("ice"), abs=1e-5)
    assert result.tuned.trained_on == named.tuned.trained_on
    assert result.encoder is not model


def test_rows_made_in_memory_and_data_sets_are_trained_on(bert: Path, tmp_path: Path) -> None:
    rows = replace(load_tuning_data(pairs_file()), name="made", file="")
    assert tune(bert, rows, epochs=1, batch_size=12, hold_out=0.0).tuned.trained_on.seen[0][0] == "made"
    with pytest.raises(CallError, match="split 'test' of 'tiny' is for scoring, not training"):
        tune(bert, load_dataset(make_dataset(tmp_path / "tiny")))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda bert: heal(5), "model: found int"),
        (lambda bert: heal(bert, 5, teacher=bert), "data: found int"),
        (lambda bert: heal(bert, [5], teacher=bert), "data: found int"),
        (lambda bert: heal(bert, {"a": "text"}, teacher=bert), "texts: found str, expected a list of strings"),
        (lambda bert: heal(bert, {"a": [5]}, teacher=bert), "texts: found int"),
        (lambda bert: tune(5, pairs_file()), "model: found int"),
        (lambda bert: tune(bert, 5), "data: found int"),
    ],
)
def test_wrong_types_are_refused(call: Callable[[Path], object], words: str, bert: Path) -> None:
    with pytest.raises(CallError, match=words):
        call(bert)


def test_a_copy_of_a_model_in_memory_is_recorded_under_the_models_name(bert: Path, tmp_path: Path) -> None:
    model = SentenceTransformer(str(bert), device="cpu")
    out = tmp_path / "tuned"
    tune(model, pairs_file(), epochs=1, batch_size=12, hold_out=0.0, out=out)
    facts = json.loads((out / "surgery.json").read_text())
    assert facts["from"] == bert.name
    card = (out / "README.md").read_text()
    assert "encoder-surgery-" not in card + json.dumps(facts)
    with pytest.raises(CallError, match=f"'{bert.name}' has no record of its original model: give the full model"):
        heal(model, {"mine": TEXTS}, **FEW)


WRONG = {
    "no rows": lambda bert: tune(bert, replace(load_tuning_data(pairs_file()), rows=())),
    "columns of rows in memory": lambda bert: tune(bert, load_tuning_data(pairs_file()), columns={"anchor": "q"}),
    "no texts": lambda bert: heal(bert, []),
    "no named texts": lambda bert: heal(bert, {}),
    "steps and minutes": lambda bert: heal(bert, {"mine": TEXTS}, steps=3, minutes=5),
}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no rows", "has no training rows"),
        ("columns of rows in memory", "columns are for a file of rows"),
        ("no texts", "data is empty"),
        ("no named texts", "data is empty"),
        ("steps and minutes", "steps and minutes exclude each other"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_in_words(case: str, words: str, bert: Path, tmp_path: Path) -> None:
    folder = surgery.save(surgery.cut(bert, 2), tmp_path / "cut")
    with pytest.raises((CallError, DataError), match=words):
        WRONG[case](folder)


def test_a_single_wrapper_and_a_single_length_need_no_list() -> None:
    options = TuneOptions.of(wrap="matryoshka", dims=16)
    assert (options.goal.wrap, options.goal.settings.dims) == (("matryoshka",), (16,))
