"""The token budget follows from the model's width and the machine's cache, and from nothing else."""

from pathlib import Path

import pytest
import torch

from probe.models import device as module
from probe.models.device import token_budget

CPU = torch.device("cpu")


def with_caches(monkeypatch: pytest.MonkeyPatch, folder: Path, *sizes: str) -> None:
    for i, size in enumerate(sizes):
        (folder / f"index{i}").mkdir()
        (folder / f"index{i}" / "size").write_text(f"{size}\n")
    monkeypatch.setattr(module, "_CPU_CACHES", folder)


@pytest.mark.parametrize(
    ("sizes", "width", "budget"),
    [
        (["32K", "1024K", "32768K"], 384, 4096),
        (["32K", "1024K", "32768K"], 768, 2048),
        (["32K", "1024K", "32768K"], 4096, 512),
        (["32K", "2M", "260M"], 768, 4096),
        (["32K", "512K"], 384, 512),
        ([], 768, 2048),
        (["nonsense"], 768, 2048),
    ],
)
def test_the_widest_state_fits_the_largest_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sizes: list[str], width: int, budget: int
) -> None:
    with_caches(monkeypatch, tmp_path, *sizes)
    assert token_budget(width, CPU) == budget
    assert token_budget(width, CPU) == budget


@pytest.mark.parametrize(
    ("gigabytes", "width", "budget"),
    [(80, 384, 32_768), (8, 384, 32_768), (8, 1024, 32_768), (8, 4096, 8192), (24, 4096, 16_384), (1, 4096, 2048)],
)
def test_an_accelerator_gets_large_batches_that_fit_its_memory(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, width: int, budget: int
) -> None:
    monkeypatch.setattr(module, "_device_memory", lambda device: gigabytes << 30)
    assert token_budget(width, torch.device("cuda")) == budget


def test_an_accelerator_of_unknown_memory_gets_the_usual_batches() -> None:
    assert token_budget(4096, torch.device("xpu")) == 32_768
