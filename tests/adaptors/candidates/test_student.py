"""A candidate before its training: the start that is found is the one that would be found in float32."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adaptors.candidates import student as student_module
from adaptors.candidates.candidate import Candidate
from adaptors.candidates.student import Lesson, begin
from adaptors.finetuning.encoder import open_trainable
from adaptors.healing.embedding import embed_texts
from adaptors.healing.texts import HealTexts
from probe.encoding.reader import LayerReader
from probe.models.loading import load_model
from probe.models.options import LoadOptions

TEXTS = 60


def make_lesson(folder: Path, texts: list[str]) -> Lesson:
    exact = load_model(str(folder), LoadOptions(dtype="float32", device="cpu"))
    targets = embed_texts(open_trainable(str(folder)).model, texts)
    return Lesson(LayerReader(exact), exact, HealTexts(tuple(texts), targets, ()), 0, lambda step, done, total: None)


def distances(lesson: Lesson, monkeypatch: pytest.MonkeyPatch, *, fast: bool) -> list[float]:
    found: list[Any] = []
    choose = student_module.choose_start

    def look(*args: Any, **named: Any) -> Any:
        found.extend(choose(*args, **named))
        return tuple(found)

    with monkeypatch.context() as patch:
        patch.setattr(student_module, "choose_start", look)
        patch.setattr(student_module, "is_fast", lambda: fast)
        begin(Candidate(2), lesson, None, has_time=lambda: True)
    return [one.distance for one in found]


def test_starts_in_bfloat16_are_those_of_float32(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_models import make_texts

    lesson = make_lesson(tiny_folder("bert"), list(dict.fromkeys(make_texts(TEXTS))))
    exact, rounded = (distances(lesson, monkeypatch, fast=fast) for fast in (False, True))
    assert len(exact) == 3
    # Those with blocks of the full model; the lens is fitted to rounded vectors.
    assert rounded[1:] == pytest.approx(exact[1:], rel=0.1)
