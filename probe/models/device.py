"""Selection of device, precision and batch size."""

from pathlib import Path

import torch

from probe.errors import CallError

__all__ = ["DTYPES", "pick_device", "pick_dtype", "token_budget"]

DTYPES = ("auto", "float32", "bfloat16", "float16")

_CPU_FLAGS = Path("/proc/cpuinfo")
_CPU_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Fallback if the system does not report its largest cache.
_USUAL_CACHE = 32 << 20
_SMALLEST_BUDGET, _LARGEST_BUDGET = 512, 4096
_ACCELERATOR_BUDGET, _SMALLEST_ON_ACCELERATOR = 32_768, 2048
# Share of an accelerator's memory for the states of a batch, and how many states of a block's width exist at a time:
# four of its feed-forward, and attention scores.
_MEMORY_SHARE, _STATES_AT_A_TIME = 4, 16


def pick_device(name: str) -> torch.device:
    """Return the device to run on; `auto` prefers an accelerator over the CPU.

    Raises:
        CallError: If the device is unknown or not available.
    """
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise CallError(f"unknown device '{name}': expected auto, cpu, cuda, cuda:0 or mps") from error
    count = torch.accelerator.device_count() if accelerator else 0
    here = accelerator is not None and device.type == accelerator.type and (device.index or 0) < count
    if device.type != "cpu" and not here:
        raise CallError(f"device '{name}' is not available on this machine: use --device auto or --device cpu")
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype of matrix products; pooling and scores always use float32.

    Args:
        name: `auto` (bfloat16 if the hardware supports it natively, else float32) or a dtype.
        device: Device of the encoder.

    Returns:
        The dtype.

    Raises:
        CallError: If the dtype is unknown, or unusably slow on the device.
    """
    if name not in DTYPES:
        raise CallError(f"unknown dtype '{name}': expected one of {', '.join(DTYPES)}")
    if name == "float16" and device.type == "cpu":
        raise CallError("float16 is unusably slow on a CPU: use --dtype bfloat16 or float32")
    if name == "auto":
        return torch.bfloat16 if _multiplies_bfloat16(device) else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not _CPU_FLAGS.is_file():
        return False
    text = _CPU_FLAGS.read_text(errors="replace")
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "amx_bf16" in flags or "avx512_bf16" in flags


def token_budget(width: int, device: torch.device) -> int:
    """Return the maximum number of tokens per batch, padding included.

    The widest state of a feed-forward block, four times the model's width in float32, should fit into the CPU's
    largest cache. An accelerator takes 32,768 tokens, fewer where a quarter of its memory would not hold their states.
    The budget depends only on model and machine, never on timings or free memory, because the composition of a batch
    affects the last bits of its vectors.

    Args:
        width: Dimension of the model's states.
        device: Device of the encoder.

    Returns:
        A power of two.
    """
    if device.type != "cpu":
        memory = _device_memory(device)
        fitting = memory // (_MEMORY_SHARE * _STATES_AT_A_TIME * 4 * width) if memory else _ACCELERATOR_BUDGET
        return min(max(_power_of_two(fitting), _SMALLEST_ON_ACCELERATOR), _ACCELERATOR_BUDGET)
    fitting = _largest_cache() // (4 * width * 4)
    return min(max(_power_of_two(fitting), _SMALLEST_BUDGET), _LARGEST_BUDGET)


def _power_of_two(most: int) -> int:
    """Return the greatest power of two that is at most a number, at least 1."""
    return 1 << max(0, most.bit_length() - 1)


def _device_memory(device: torch.device) -> int:
    """Return the memory of an accelerator in bytes, used or not; 0 if it does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(torch.mps.recommended_max_memory()) if device.type == "mps" else 0


def _largest_cache() -> int:
    """Return the size of the CPU's largest cache in bytes."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    texts = [path.read_text().strip() for path in _CPU_CACHES.glob("index*/size")]
    sizes = [int(text[:-1]) * units[text[-1]] for text in texts if text[:-1].isdigit() and text[-1] in units]
    return max(sizes, default=_USUAL_CACHE)
