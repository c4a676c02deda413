"""What a training shows: the numbers, the lines of its file, and that looking changes nothing."""

import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from tiny_models import make_texts
from torch import Tensor
from transformers.trainer_callback import TrainerCallback

from adaptors.training.evaluation import evaluation_mode
from adaptors.training.metrics_log import (
    Sample,
    StepMetrics,
    TrainingLog,
    append_metrics,
    check_log,
    continue_log,
    pair_geometry,
)
from adaptors.training.trainer import EncoderTrainer
from probe.errors import CallError, TrainingError

FACTS = StepMetrics(50, 0.5, 0.1234, 5e-4, 0.451, -2.134, 0.1239, 83.26)


def draw(rows: int = 7, width: int = 5, seed: int = 0) -> Tensor:
    return torch.randn(rows, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.3


def units(vectors: Tensor) -> list[list[float]]:
    return [[x / math.sqrt(sum(y * y for y in row)) for x in row] for row in vectors.tolist()]


def dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


def squared(left: Sequence[float], right: Sequence[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(left, right, strict=True))


def plain_rank(rows: list[list[float]]) -> float:
    """By the eigenvalues of the second moments, where ours goes by the singular values."""
    moments = torch.tensor([[dot(a, b) for b in rows] for a in rows], dtype=torch.float64)
    values = [math.sqrt(max(0.0, value)) for value in torch.linalg.eigvalsh(moments).tolist()]
    shares = [value / sum(values) for value in values if value > 1e-7]
    return math.exp(-sum(share * math.log(share) for share in shares))


def test_the_measures_are_their_definitions() -> None:
    left, right = draw(seed=1), 3 * draw(seed=2)
    sides = [units(left), units(right)]
    pairs = [[(rows[i], rows[j]) for i in range(7) for j in range(7) if i != j] for rows in sides]
    uniform = [math.log(sum(math.exp(-2 * squared(a, b)) for a, b in found) / len(found)) for found in pairs]
    cosines = [sum(dot(a, b) for a, b in found) / len(found) for found in pairs]
    found = pair_geometry(left, right)
    assert found.alignment == pytest.approx(sum(map(squared, *sides)) / 7, rel=1e-5)
    assert found.uniformity == pytest.approx(sum(uniform) / 2, rel=1e-5)
    assert found.mean_cosine == pytest.approx(sum(cosines) / 2, rel=1e-5)
    assert found.effective_rank == pytest.approx(sum(map(plain_rank, sides)) / 2, rel=1e-5)
    assert uniform[0] != pytest.approx(uniform[1], rel=1e-2)


def test_a_collapse_is_seen_in_every_measure() -> None:
    one = torch.ones(6, 4)
    assert pair_geometry(one, 2 * one) == pytest.approx((0, 0, 1, 1), abs=1e-6)


def test_half_precision_on_a_graph_can_be_measured() -> None:
    left = draw().to(torch.bfloat16).requires_grad_()
    assert pair_geometry(left, left).alignment == 0


@pytest.mark.parametrize(("left", "right"), [((3, 2), (3, 4)), ((3, 2), (4, 2)), ((1, 2), (1, 2)), ((3,), (3,))])
def test_sides_that_do_not_belong_together_are_refused(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(CallError, match="expected two sides of the same shape"):
        pair_geometry(torch.ones(left), torch.ones(right))


def test_facts_have_few_words() -> None:
    assert FACTS.summary() == "loss 0.123 align 0.451 uniform -2.13 cosine 0.124 rank 83.3"


def test_a_log_goes_on_where_it_ends_and_begins_anew_with_its_training(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    assert continue_log(file, 0) == 0
    assert file.read_bytes() == b""
    for step in (50, 100, 150):
        append_metrics(file, replace(FACTS, step=step))
    whole = file.read_bytes()
    assert json.loads(whole.splitlines()[0]) == asdict(FACTS)
    with file.open("a") as torn:
        torn.write('{"step": 200, "ep')
    check_log(file)
    assert continue_log(file, 100) == 150
    assert file.read_bytes() == whole
    assert continue_log(file, 0) == 0
    assert file.read_bytes() == b""


@pytest.mark.parametrize("text", ["hello", "hello\n", "[1]\n", '{"loss": 1}\n', '{"step": "x"}\n', "\xff\n"])
def test_a_file_that_is_no_log_is_refused_and_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(text.encode("latin-1"))
    for call in (lambda: check_log(file), lambda: continue_log(file, 0)):
        with pytest.raises(CallError, match="choose another file"):
            call()
    assert file.read_bytes() == text.encode("latin-1")


def test_a_place_that_cannot_hold_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="is a folder"):
        check_log(tmp_path)
    with pytest.raises(CallError, match="there is no folder"):
        check_log(tmp_path / "none" / "log.jsonl")


def open_tiny(folder: Path) -> SentenceTransformer:
    model = SentenceTransformer(str(folder), device="cpu")
    assert model[0].auto_model.config.hidden_dropout_prob > 0
    return model


def dice() -> list[Any]:
    return [random.getstate(), repr(np.random.get_state()), torch.get_rng_state().tolist()]  # noqa: NPY002


def throw() -> None:
    random.random()
    np.random.rand()  # noqa: NPY002
    torch.rand(1)


def test_who_looks_leaves_modes_and_dice_as_they_were_after_an_error_too(tiny_folder: Callable[[str], Path]) -> None:
    model = open_tiny(tiny_folder("bert")).train()
    model[0].auto_model.embeddings.eval()
    modes, before = [module.training for module in model.modules()], dice()
    assert len(set(modes)) == 2

    def look() -> None:
        with evaluation_mode(model):
            assert not any(module.training for module in model.modules())
            assert not torch.is_grad_enabled()
            throw()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        look()
    assert [module.training for module in model.modules()] == modes
    assert dice() == before
    assert torch.is_grad_enabled()


def train(
    folder: Path,
    out: Path,
    logs: Sequence[TrainerCallback],
    sample: Sample | None,
    model: SentenceTransformer | None = None,
) -> Any:
    """Six steps on pairs of texts, with dropout; return the trained weights."""
    model = model or open_tiny(folder)
    texts = make_texts(24, seed=5)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out),
        max_steps=6,
        per_device_train_batch_size=4,
        learning_rate=1e-3,
        logging_steps=2,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = EncoderTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"anchor": texts[:12], "positive": texts[12:]}),
        loss=MultipleNegativesRankingLoss(model),
        callbacks=list(logs),
    )
    trainer.sample = sample
    trainer.train()
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_a_training_ends_with_the_same_weights_with_a_log_and_without(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    model, modes, embedded = open_tiny(tiny_folder("bert")), [], []

    def look() -> tuple[Tensor, Tensor]:
        modes.append((model.training, torch.is_grad_enabled()))
        throw()
        vectors = model(model.preprocess(["river stone", "cold water", "tree"]))["sentence_embedding"]
        embedded.append(vectors)
        return vectors, vectors

    file = tmp_path / "log.jsonl"
    log = TrainingLog("training", file=file)
    seen, plain = (
        train(tiny_folder("bert"), tmp_path / name, *rest)
        for name, rest in (("seen", ([log], look, model)), ("plain", ([], None)))
    )
    assert modes == [(False, False)] * 3
    assert all(torch.equal(tensor, plain[name]) for name, tensor in seen.items())
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert [line["epoch"] for line in lines] == pytest.approx([2 / 3, 4 / 3, 2])
    for line, vectors in zip(lines, embedded, strict=True):
        assert line["uniformity"] == pair_geometry(vectors, vectors).uniformity
        assert line["loss"] > 0
    assert lines[0]["rate"] > lines[1]["rate"] > 0


def test_the_progress_line_tells_the_facts_in_one_step_of_one_name(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    log = TrainingLog("training it", lambda *words: told.append(words))
    train(tiny_folder("bert"), tmp_path, [log], lambda: (draw(), draw(seed=1)))
    assert [done for _, done, _ in told] == [1, 1, 0] * 3
    assert {total for _, _, total in told} == {6}
    assert [step for step, _, _ in told[:2]] == ["training it"] * 2
    assert told[2][0].startswith("training it: loss ")
    assert told[3][0] == told[4][0] == told[2][0] != told[5][0]


def test_trackers_see_the_geometry_of_the_sample(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    seen: list[dict[str, float]] = []

    class Tracker(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **options: Any) -> None:
            seen.append(dict(logs))

    train(tiny_folder("bert"), tmp_path, [Tracker()], lambda: (draw(), draw(seed=1)))
    expected = pair_geometry(draw(), draw(seed=1))._asdict()
    losses = [logs for logs in seen if "loss" in logs]
    assert len(losses) == 3
    assert all({name: logs[name] for name in expected} == expected for logs in losses)


def test_vectors_that_are_no_numbers_end_a_training(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the vectors contain NaN or infinity after 2 steps: lower --lr"):
        train(tiny_folder("bert"), tmp_path, [], lambda: (draw(), draw() * torch.nan))
