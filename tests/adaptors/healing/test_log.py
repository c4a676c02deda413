"""What a healing shows of its sample, and that its log survives an interruption."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from tiny_models import WIDTH, make_texts
from torch.nn.functional import normalize

from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.healing.sample import HealSample
from adaptors.healing.texts import HealTexts
from adaptors.healing.trainer import HealOptions, train_student
from adaptors.training.metrics_log import StepMetrics, append_metrics, pair_geometry
from probe.errors import CallError

OPTIONS = HealOptions(steps=20, batch_size=4, lr=5e-3, bfloat16=False)


def open_tiny(folder: Path) -> TrainableEncoder:
    with TemporaryDirectory() as scratch:
        return open_trainable(str(folder), Path(scratch))


def make_heal_texts(count: int = 90) -> HealTexts:
    texts = tuple(make_texts(count, seed=1))
    return HealTexts(texts, normalize(torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1), ())


def make_learnable_texts(tiny_folder: Callable[[str], Path]) -> HealTexts:
    """Return texts whose targets an encoder comes nearer to step by step: those of one a little unlike it."""
    teacher, texts = open_tiny(tiny_folder("bert")), make_heal_texts()
    with torch.no_grad():
        teacher.towers[0].stack.blocks[-1].output.dense.weight.mul_(-1)
    return replace(texts, targets=normalize(teacher.model.encode(list(texts.texts), convert_to_tensor=True), dim=1))


def test_a_sample_has_different_texts_with_their_own_targets_and_is_fixed_by_the_seed(
    tiny_folder: Callable[[str], Path],
) -> None:
    student, texts = open_tiny(tiny_folder("bert")), make_heal_texts()
    twice = replace(texts, texts=texts.texts * 2, targets=texts.targets.repeat(2, 1))
    student.model.train()
    vectors, targets = HealSample(student.model, twice, seed=3)()
    assert student.model.training
    assert vectors.shape == targets.shape == (64, WIDTH)
    assert len(targets.unique(dim=0)) == 64
    rows = [(texts.targets == target).all(dim=1).nonzero().item() for target in targets]
    expected = student.model.encode([texts.texts[int(row)] for row in rows], convert_to_tensor=True)
    assert torch.allclose(vectors, expected, atol=1e-5)
    assert torch.equal(HealSample(student.model, twice, seed=3)()[1], targets)
    assert not torch.equal(HealSample(student.model, twice, seed=4)()[1], targets)


def test_few_texts_are_all_the_sample_and_equal_ones_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    student, texts = open_tiny(tiny_folder("bert")), make_heal_texts(5)
    assert HealSample(student.model, texts, seed=0)()[0].shape == (5, WIDTH)
    with pytest.raises(CallError, match="at least 2 different texts, found 1"):
        train_student(student, replace(texts, texts=("a",) * 5), OPTIONS)


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptors.healing.trainer._LOG_STEPS", 4)


@pytest.mark.usefixtures("often")
def test_healing_writes_what_its_sample_shows(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    student, texts, file = open_tiny(tiny_folder("bert")), make_learnable_texts(tiny_folder), tmp_path / "log.jsonl"
    losses = train_student(student, texts, replace(OPTIONS, log=file)).losses
    lines = read(file)
    assert [line["step"] for line in lines] == [4, 8, 12, 16, 20]
    assert [line["loss"] for line in lines] == list(losses)
    assert lines[-1]["alignment"] < lines[0]["alignment"]
    train, _ = texts.hold_out(OPTIONS.seed)
    found = pair_geometry(*HealSample(student.model, train, OPTIONS.seed)())
    assert [lines[-1][name] for name in found._fields] == pytest.approx(list(found), rel=1e-5)


@pytest.mark.usefixtures("often")
def test_nothing_lost_an_interrupted_healing_goes_on_with_its_log(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    texts, whole, file, told = make_heal_texts(), tmp_path / "whole.jsonl", tmp_path / "log.jsonl", []
    train_student(open_tiny(tiny_folder("bert")), texts, replace(OPTIONS, log=whole))
    options = replace(OPTIONS, log=file, checkpoint_dir=tmp_path / "kept")

    def stop(step: str, done: int, total: int) -> None:
        told.append(done)
        if sum(told) == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_student(open_tiny(tiny_folder("bert")), texts, replace(options, progress=stop))
    shutil.rmtree(tmp_path / "kept" / "checkpoint-12")
    done = read(file)
    assert [line["step"] for line in done] == [4, 8, 12]
    # What a finished step said stays, whatever it was.
    file.write_text(file.read_text().replace('"step": 4, "epoch": 0.2', '"step": 4, "epoch": 0.25') + '{"step": 1')
    train_student(open_tiny(tiny_folder("bert")), texts, options)
    lines, expected = read(file), read(whole)
    assert lines[0] == {**done[0], "epoch": 0.25}
    # The trainer's own loss begins anew at a checkpoint.
    for line in (*lines, *expected):
        del line["loss"]
    assert lines[1:] == expected[1:]


@pytest.mark.usefixtures("often")
def test_healing_begins_a_log_anew(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    file, texts = tmp_path / "log.jsonl", make_heal_texts(8)
    append_metrics(file, StepMetrics(50, 0.5, 0.1, 5e-4, 0.4, -2.1, 0.1, 83.0))
    student, options = open_tiny(tiny_folder("bert")), replace(OPTIONS, steps=4, log=file)
    train_student(student, texts, options)
    assert [line["step"] for line in read(file)] == [4]


def test_healing_refuses_a_file_that_is_no_log_before_it_trains(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    told: list[str] = []
    options = replace(OPTIONS, log=tmp_path, progress=lambda step, done, total: told.append(step))
    with pytest.raises(CallError, match="is a folder"):
        train_student(open_tiny(tiny_folder("bert")), make_heal_texts(8), options)
    assert told == []
