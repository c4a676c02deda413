"""Choose how large the batches of an encoder are."""

from pathlib import Path

import torch

__all__ = ["token_budget"]

_CPU_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Used where the system does not name its largest cache.
_USUAL_CACHE = 32 << 20
_SMALLEST_BUDGET, _LARGEST_BUDGET = 512, 4096
_ACCELERATOR_BUDGET = 32_768


def token_budget(width: int, device: torch.device) -> int:
    """Return how many tokens a batch should have at most, padding included.

    A feed-forward block's widest state, four times the model's width in float32, should stay in the
    processor's largest cache. The number follows from the model and the machine alone, never from a
    stopwatch: the composition of a batch decides the last bits of its vectors.

    Args:
        width: Dimension of the model's states.
        device: Where the encoder runs.

    Returns:
        A power of two.
    """
    if device.type != "cpu":
        return _ACCELERATOR_BUDGET
    fitting = _largest_cache() // (4 * width * 4)
    power = 1 << max(0, fitting.bit_length() - 1)
    return min(max(power, _SMALLEST_BUDGET), _LARGEST_BUDGET)


def _largest_cache() -> int:
    """Return the bytes of the processor's largest cache."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    texts = [path.read_text().strip() for path in _CPU_CACHES.glob("index*/size")]
    sizes = [int(text[:-1]) * units[text[-1]] for text in texts if text[:-1].isdigit() and text[-1] in units]
    return max(sizes, default=_USUAL_CACHE)
