"""The own row is the model, in every form that a folder has: equal to sentence-transformers, or refused in words."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from folder_files import FILES
from folder_forms import PIPELINES
from own_rows import Outcome, compare_cut, compare_inner, compare_own

FORMS = {**PIPELINES, **FILES}
EITHER = ("equal", "refused")
# Of every kind of module and setting one, below which layers are read and cut in the quick run too.
QUICK = ("promptless-weightedmean", "everything", "similarity-dot", "truncated-dense", "query-length", "older-layout")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return the folder of a form, written once."""
    root = tmp_path_factory.mktemp("forms")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    @cache
    def write(form: str) -> Path:
        FORMS[form].write(root / form)
        return root / form

    yield write
    torch.set_num_threads(threads)


def long_but_for_a_few(forms: list[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in forms]


def check(outcome: Outcome, expected: str) -> None:
    assert outcome.kind in (EITHER if expected == "either" else (expected,)), outcome


def test_there_are_forms_enough() -> None:
    assert len(FORMS) >= 60
    assert sum(form.own == "equal" for form in FORMS.values()) >= 40


@pytest.mark.parametrize("form", FORMS)
def test_the_own_row_is_what_sentence_transformers_gives(written: Callable[[str], Path], form: str) -> None:
    folder, wanted = written(form), FORMS[form]
    outcome = compare_own(folder, wanted.texts, trust=wanted.trust)
    check(outcome, wanted.own)
    if outcome.kind == "refused":  # the name of the folder says it already
        assert wanted.says in outcome.words.replace(str(folder), "").lower()


@pytest.mark.parametrize("form", long_but_for_a_few([n for n, form in PIPELINES.items() if form.own == "equal"]))
def test_inner_rows_are_hidden_states_through_the_folders_modules(written: Callable[[str], Path], form: str) -> None:
    norm = "encoder.final_layer_norm" if form == "no-limit" else None
    check(compare_inner(written(form), norm), "equal")


@pytest.mark.parametrize("form", long_but_for_a_few([name for name, form in FORMS.items() if form.cut]))
def test_a_cut_gives_what_the_row_at_its_layer_gave(written: Callable[[str], Path], form: str, tmp_path: Path) -> None:
    wanted = FORMS[form]
    outcome = compare_cut(written(form), wanted.after, tmp_path / "cut", trust=wanted.trust)
    check(outcome, wanted.cut or "")
