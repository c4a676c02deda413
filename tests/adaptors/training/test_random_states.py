"""Whoever calls a training finds the random generators as they were."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_states import make_states
from tiny_tuning import QUICK, make_pairs, open_tiny

from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.finetuning.rounds import train_rounds
from adaptors.fitting.network import fit_network
from adaptors.fitting.options import TrainOptions
from adaptors.healing.texts import HealTexts
from adaptors.healing.trainer import HealOptions, train_student
from probe.layers.random_states import kept_random_states


def states() -> tuple[object, ...]:
    kind, keys, *rest = np.random.get_state()  # noqa: NPY002
    return random.getstate(), kind, tuple(keys), *rest, tuple(torch.get_rng_state().tolist())


def fit_a_network(_: TrainableEncoder) -> None:
    fit_network("mlp", make_states(), (8,), options=TrainOptions(steps=2))


def tune_an_encoder(student: TrainableEncoder) -> None:
    train_rounds(student, make_pairs(8), (), options=QUICK)


def heal_an_encoder(student: TrainableEncoder) -> None:
    texts = tuple(f"river stone {word}" for word in ("sun", "milk", "wood", "star", "snow", "cloud", "seed", "salt"))
    train_student(student, HealTexts(texts, torch.eye(8, 32), ()), HealOptions(steps=2, batch_size=4, bfloat16=False))


@pytest.mark.parametrize("train", [fit_a_network, tune_an_encoder, heal_an_encoder])
def test_a_training_leaves_the_generators_as_they_were(
    train: Callable[[TrainableEncoder], None], tiny_folder: Callable[[str], Path]
) -> None:
    student = open_tiny(tiny_folder("bert"))
    before = states()
    train(student)
    assert states() == before


def seed_all_and_fail() -> None:
    with kept_random_states():
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        raise KeyError


def test_an_error_leaves_them_as_they_were() -> None:
    before = states()
    with pytest.raises(KeyError):
        seed_all_and_fail()
    assert states() == before
