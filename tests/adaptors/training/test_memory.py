"""The memory of a training: told before it starts, and bounded without another result."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_tuning import QUICK, make_pairs, open_tiny, weights

from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import train_rounds
from adaptors.training import memory
from adaptors.training.memory import bounded, saved_bytes


def test_what_is_kept_grows_with_the_texts(tiny_folder: Callable[[str], Path]) -> None:
    model = open_tiny(tiny_folder("bert")).model
    modes = [module.training for module in model.modules()]
    one, two, longer = (saved_bytes(model, texts) for texts in (["sun"], ["sun", "sun"], ["sun moon star"]))
    assert two == pytest.approx(2 * one, rel=0.05)
    assert longer > one > 0
    assert [module.training for module in model.modules()] == modes


def embed_large(folder: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return vectors of seven texts, and the gradients of a loss of them all, without dropout."""
    monkeypatch.setattr(memory, "_MOST", most)
    encoder = open_tiny(folder)
    texts = ["sun moon", "snow", "river stone cloud", "ice", "wood", "gold iron", "sky"]
    with bounded(encoder.model, [texts], len(texts), splits=True, say=False):
        vectors = encoder.model(encoder.model.preprocess(texts))["sentence_embedding"]
        (vectors @ vectors.T).square().sum().backward()
    assert "forward" not in vars(encoder.model)
    return vectors.detach(), [p.grad for p in encoder.model.parameters() if p.grad is not None]


def test_a_batch_that_is_read_in_parts_has_the_same_gradients(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, expected = embed_large(tiny_folder("bert"), 1 << 40, monkeypatch)
    parts, found = embed_large(tiny_folder("bert"), 1, monkeypatch)
    assert torch.allclose(parts, whole, atol=1e-5)
    assert len(found) == len(expected)
    # Against the greatest of all: some are nothing but rounding, as that of a key's bias, which softmax takes away.
    largest = max(float(gradient.abs().max()) for gradient in expected)
    differences = [float((one - other).abs().max()) for one, other in zip(found, expected, strict=True)]
    assert max(differences) <= 1e-6 * largest


def test_parts_keep_less(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = open_tiny(tiny_folder("bert"))
    texts = ["sun moon star"] * 12
    plain = saved_bytes(encoder.model, texts)
    monkeypatch.setattr(memory, "_MOST", 1)
    with bounded(encoder.model, [texts], len(texts), splits=True, say=False):
        assert saved_bytes(encoder.model, texts) < 0.2 * plain


@pytest.mark.parametrize("scope", [Scope(), Scope(lora=2)])
def test_an_estimate_is_said_before_the_first_step(
    scope: Scope, tiny_folder: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MOST", 1)
    said: list[int] = []
    options = replace(QUICK, scope=scope, progress=lambda step, done, total: said.append(len(caplog.records)))
    student = open_tiny(tiny_folder("bert"))
    before = weights(student)
    with caplog.at_level(logging.INFO, "adaptors"):
        train_rounds(student, make_pairs(), (), options=options)
    (record,) = (one for one in caplog.records if "GB of memory" in one.getMessage())
    assert "encoded in parts of 1 texts" in record.getMessage()
    assert caplog.records.index(record) < said[0]
    assert not all(torch.equal(tensor, before[name]) for name, tensor in weights(student).items() if name in before)


@pytest.mark.parametrize("around", [("matryoshka-2d",), ("adaptive-layer",)])
def test_losses_that_read_blocks_get_whole_batches(
    around: tuple[str, ...], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MOST", 1)
    settings = LossOptions(dims=(32, 16)) if around == ("matryoshka-2d",) else LossOptions()
    options: TuneOptions = replace(QUICK, goal=Goal("infonce", around, settings))
    (one,) = train_rounds(open_tiny(tiny_folder("bert")), make_pairs(), (), options=options)
    assert one.rows == 24
