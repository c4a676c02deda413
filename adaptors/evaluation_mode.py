"""Evaluate a model in the middle of its training, without leaving a trace."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

__all__ = ["undisturbed"]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Let a model embed as it does when it is used, without gradients; its modes and all dice are then as they were.

    Args:
        model: The model; its parts may be in different modes.
    """
    modes = {module: module.training for module in model.modules()}
    dice, numpy_dice = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(), torch.no_grad():
            model.eval()
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        random.setstate(dice)
        np.random.set_state(numpy_dice)  # noqa: NPY002
