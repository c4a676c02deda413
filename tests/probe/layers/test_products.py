"""Float32 products by oneDNN: only where exact, only inside the block, never over a process's own choice."""

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import torch
from tiny_models import make_texts
from torch import Tensor

from probe.encoding.reader import LayerReader
from probe.layers import products
from probe.layers.products import fast_products
from probe.models.loaded import LoadedModel

CPU = torch.device("cpu")
AMD = "vendor_id : AuthenticAMD\n"


def precision() -> str:
    return str(torch.backends.mkldnn.matmul.fp32_precision)  # type: ignore[attr-defined]


def set_precision(value: str) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = value  # type: ignore[attr-defined]


@pytest.fixture
def measured() -> Iterator[Callable[[], bool]]:
    """Return the check of this machine, made anew in this test and after it."""
    products._are_exact_and_faster.cache_clear()
    yield products._are_exact_and_faster
    products._are_exact_and_faster.cache_clear()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have products taken for exact, whatever this machine is."""
    monkeypatch.setattr(products, "_are_exact_and_faster", lambda: True)


@pytest.fixture
def amd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(AMD)
    monkeypatch.setattr(products, "_PROCESSOR", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")


@pytest.mark.usefixtures("fast")
def test_the_setting_ends_with_the_outermost_block() -> None:
    with fast_products(CPU):
        with fast_products(CPU):
            assert precision() == "bf16"
        assert precision() == "bf16"
    assert precision() == "none"


@pytest.mark.usefixtures("fast")
def test_other_devices_are_left_alone() -> None:
    with fast_products(torch.device("cuda")):
        assert precision() == "none"


@pytest.mark.usefixtures("fast")
def test_it_ends_where_a_block_fails() -> None:
    with pytest.raises(RuntimeError, match="broken"), fast_products(CPU):
        raise RuntimeError("broken")
    assert precision() == "none"
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.usefixtures("fast")
def test_it_ends_with_the_last_of_several_threads() -> None:
    begun, ended, seen = Barrier(2), Barrier(2), []

    def first() -> None:
        with fast_products(CPU):
            begun.wait()
        ended.wait()

    thread = Thread(target=first)
    thread.start()
    with fast_products(CPU):
        begun.wait()
        ended.wait()
        thread.join()
        seen.append(precision())
    assert [*seen, precision()] == ["bf16", "none"]


@pytest.mark.usefixtures("fast")
def test_a_precision_the_process_has_chosen_stays() -> None:
    set_precision("ieee")
    try:
        with fast_products(CPU):
            assert precision() == "ieee"
        assert precision() == "ieee"
    finally:
        set_precision("none")


@pytest.mark.usefixtures("amd")
def test_products_that_are_rounded_on_the_way_are_not_used(
    measured: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = torch.Tensor.__matmul__

    def rounded(left: Tensor, right: Tensor) -> Any:
        return exact(left.bfloat16().to(left.dtype), right) if left.dtype == torch.float32 else exact(left, right)

    monkeypatch.setattr(torch.Tensor, "__matmul__", rounded)
    assert not measured()
    with fast_products(CPU):
        assert precision() == "none"


@pytest.mark.usefixtures("amd")
def test_exact_products_are_used(measured: Callable[[], bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_error", lambda *shape: products._TOLERANCE)
    assert measured()
    with fast_products(CPU):
        assert precision() == "bf16"


@pytest.mark.usefixtures("amd", "measured")
def test_whatever_this_machine_does_products_are_exact_inside() -> None:
    with fast_products(CPU):
        errors = [products._error(*shape) for shape in ((256, 384, 384), (1, 768, 3072), (1024, 64, 1024))]
    assert max(errors) < products._TOLERANCE


@pytest.mark.usefixtures("amd")
@pytest.mark.parametrize(
    ("text", "capability"), [("vendor_id : GenuineIntel\n", "AVX512"), (AMD, "AVX2"), (None, "AVX512")]
)
def test_other_processors_are_left_alone(
    measured: Callable[[], bool],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    text: str | None,
    capability: str,
) -> None:
    (tmp_path / "cpuinfo").unlink()
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(products, "_error", lambda *shape: 0.0)
    assert not measured()


@pytest.mark.usefixtures("fast")
def test_the_forward_of_a_reader_runs_inside(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    handle = model.stack.blocks[0].register_forward_hook(lambda *given: seen.append(precision()))
    try:
        reader = LayerReader(model)
        reader.read(make_texts(3), "", [(1, "mean")])
    finally:
        handle.remove()
    assert seen
    assert set(seen) == {"bf16"}
    assert precision() == "none"
