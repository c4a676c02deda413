"""Float32 matrix products by oneDNN on processors where torch's default library is slow."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import torch

__all__ = ["fast_products"]

_PROCESSOR = Path("/proc/cpuinfo")
# (N, K) times (K, M).
_TESTED_SHAPES = ((64, 1024, 64), (512, 384, 1536))
# Error of an element as a share of the sum of its terms' absolute values: to 3e-7 in float32, 1e-3 via bfloat16.
_TOLERANCE = 2e-6
_UNSET, _BY_ONEDNN = "none", "bf16"


@contextmanager
def fast_products(device: torch.device) -> Iterator[None]:
    """Compute float32 products by oneDNN within the block, where that is as exact and faster.

    On an AMD processor with AVX-512, oneDNN was measured at twice the rate of MKL, torch's default. torch leaves
    float32 to oneDNN only together with the permission to round to bfloat16 on the way; two products are computed
    beforehand to see that it does not. A precision that the process has chosen itself is left alone. Blocks may be
    nested and run in several threads.

    Args:
        device: The device of the products; on another than the CPU nothing changes.
    """
    if device.type != "cpu" or not _are_exact_and_faster():
        yield
        return
    _switch.enter()
    try:
        yield
    finally:
        _switch.leave()


class _Switch:
    """On as long as any block runs."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._before = _UNSET

    def enter(self) -> None:
        """Enter a block."""
        with self._lock:
            if self._blocks == 0:
                self._before = _setting().fp32_precision
                if self._before == _UNSET:
                    _setting().fp32_precision = _BY_ONEDNN
            self._blocks += 1

    def leave(self) -> None:
        """Leave a block."""
        with self._lock:
            self._blocks -= 1
            if self._blocks == 0:
                _setting().fp32_precision = self._before


_switch = _Switch()


def _setting() -> Any:
    return torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


@cache
def _are_exact_and_faster() -> bool:
    is_known = hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision")
    if not is_known or not torch.backends.mkldnn.enabled or not _is_amd_with_avx512():
        return False
    _switch.enter()
    try:
        return all(_error(*shape) <= _TOLERANCE for shape in _TESTED_SHAPES)
    finally:
        _switch.leave()


def _is_amd_with_avx512() -> bool:
    is_amd = _PROCESSOR.is_file() and "AuthenticAMD" in _PROCESSOR.read_text(errors="replace")
    return is_amd and torch.backends.cpu.get_cpu_capability() == "AVX512"


def _error(rows: int, inner: int, columns: int) -> float:
    rng = torch.Generator().manual_seed(0)
    left, right = torch.randn(rows, inner, generator=rng), torch.randn(inner, columns, generator=rng)
    exact, size = left.double() @ right.double(), left.double().abs() @ right.double().abs()
    return float((((left @ right).double() - exact).abs() / size).max())
