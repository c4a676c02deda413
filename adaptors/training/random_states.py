"""The random generators of who calls: a training seeds them all, and nobody asked it to."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["kept_random_states"]


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Give Python's, numpy's and torch's random generators their states back afterwards, on all devices."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
