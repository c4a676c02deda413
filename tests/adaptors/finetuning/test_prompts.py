"""Texts reach the tokenizer under their prompts in training: those of their side, none where there is no side."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import PROMPTS
from tiny_tuning import QUICK, changed, make_pairs, make_text, open_tiny, rows_of, weights
from transformers import PreTrainedTokenizerFast

from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.options import Goal
from adaptors.finetuning.rounds import train_rounds
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Pairwise
from adaptors.training.metrics_log import SampleGeometry
from probe.models.tokenization import Role, preprocess
from surgery.fusing.folder import save
from surgery.fusing.model import fuse

_DICE = random.Random(2)
ROWS = rows_of(*(Pairwise(make_text(_DICE), make_text(_DICE), (make_text(_DICE), make_text(_DICE))) for _ in range(8)))


@pytest.fixture
def student(tiny_folder: Callable[[str], Path]) -> TrainableEncoder:
    return open_tiny(tiny_folder("bert"))


@pytest.fixture(scope="module")
def fused(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fusion of two models with prompts of their own."""
    specs = [f"{tiny_folder('bert')}@2:mean", f"{tiny_folder('mpnet')}@3:cls"]
    return save(fuse(specs), tmp_path_factory.mktemp("fused") / "both")


class Tokenised:
    """What reached the tokenizer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: set[str] = set()
        call = PreTrainedTokenizerFast.__call__

        def spy(tokenizer: Any, text: Any = None, *args: Any, **named: Any) -> Any:
            self.texts |= set([text] if isinstance(text, str) else text)
            return call(tokenizer, text, *args, **named)

        monkeypatch.setattr(PreTrainedTokenizerFast, "__call__", spy)
        # What measures the memory of a step reads texts by themselves.
        monkeypatch.setattr("adaptors.finetuning.rounds._bounded", lambda *args, **options: nullcontext())


def prompted(queries: Sequence[str], documents: Sequence[str], prompts: Mapping[str, str]) -> set[str]:
    return {prompts["query"] + text for text in queries} | {prompts["document"] + text for text in documents}


def sides(data: TuningData) -> tuple[list[str], list[str]]:
    pairs = [row for row in data.rows if isinstance(row, Pairwise)]
    return [row.query for row in pairs], [text for row in pairs for text in (row.positive, *row.negatives)]


@pytest.mark.parametrize("name", ["infonce", "triplet", "online-contrastive"])
def test_queries_and_documents_carry_their_prompts_in_training(
    name: str, student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.training.trainer.measure_sample", lambda *_: SampleGeometry(0, 0, 0, 0))
    spied, (queries, documents) = Tokenised(monkeypatch), sides(ROWS)
    train_rounds(student, ROWS, (), options=replace(QUICK, goal=Goal(name)))
    assert spied.texts - set(PROMPTS.values()) == prompted(queries, documents, PROMPTS)


@pytest.mark.parametrize("name", ["simcse", "batch-hard-triplet"])
def test_texts_that_are_of_no_side_carry_no_prompt(
    name: str, student: TrainableEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.training.trainer.measure_sample", lambda *_: SampleGeometry(0, 0, 0, 0))
    spied, (queries, documents) = Tokenised(monkeypatch), sides(ROWS)
    train_rounds(student, ROWS, (), options=replace(QUICK, goal=Goal(name)))
    assert spied.texts
    assert spied.texts <= {*queries, *documents}


def test_the_members_of_a_fusion_put_prompts_of_their_own_and_all_are_trained(
    fused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: dict[int, set[str]] = {}

    def spy(pipeline: Any, found: Sequence[str], role: Role) -> Any:
        texts.setdefault(id(pipeline.tokenizer), set()).update(role.prompt + text for text in found)
        return preprocess(pipeline, found, role)

    monkeypatch.setattr("probe.encoding.reader.preprocess", spy)
    monkeypatch.setattr("adaptors.finetuning.rounds._bounded", lambda *args, **options: nullcontext())
    monkeypatch.setattr("adaptors.training.trainer.measure_sample", lambda *_: SampleGeometry(0, 0, 0, 0))
    student = open_trainable(str(fused), Path())
    first, second = student.model[0].model.readers
    second.model = replace(second.model, query_prompt="ask ", document_prompt="")
    before, data = weights(student), make_pairs(8)
    queries, documents = sides(data)
    train_rounds(student, data, (), options=QUICK)
    one, two = texts[id(first.loaded.tokenizer)], texts[id(second.loaded.tokenizer)]
    assert one == prompted(queries, documents, PROMPTS)
    assert two == prompted(queries, documents, {"query": "ask ", "document": ""})
    found = changed(student, before)
    assert all(any(f"members.{member}" in name for name in found) for member in (0, 1))
