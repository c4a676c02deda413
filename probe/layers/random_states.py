"""Protection of the caller's random generators, which some models and trainings seed."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["kept_random_states"]


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Restore the states of the random generators of Python, numpy and torch (all devices) afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    devices = range(torch.accelerator.device_count()) if accelerator else ()
    try:
        with torch.random.fork_rng(devices, device_type=accelerator.type if accelerator else "cuda"):
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
