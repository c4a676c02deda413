"""The self-test of a device, with a made-up fault of a made-up device: its first reader is that of the device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from probe.encoding import self_test
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader, LayerStates
from probe.encoding.self_test import TEXTS, compare_with_cpu
from probe.errors import ModelError
from probe.layers.hookpoint import LayerPooling
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.store.store import Store

Load = Callable[..., LoadedModel]
Folder = Callable[[str], Path]
WORDS = "gives other vectors on cpu than on the CPU: they differ"


class Wrong(LayerReader):
    """A reader whose vectors have a relative error, or are not finite."""

    def __init__(self, model: LoadedModel, error: float) -> None:
        super().__init__(model)
        self.error = error

    def run(self, texts: Any, layer_poolings: Sequence[LayerPooling], *given: Any) -> LayerStates:
        if self.error == float("inf"):
            raise ModelError("the values are not finite")
        found = super().run(texts, layer_poolings, *given)
        return LayerStates({key: (1 + self.error) * states for key, states in found.vectors.items()}, {}, 0)


def faulty(error: float) -> Callable[[Any], LayerReader]:
    """Return a maker of readers, the first of which is wrong."""
    readers = iter([lambda model: Wrong(model, error)])

    def make(model: Any) -> LayerReader:
        return next(readers, LayerReader)(model)

    return make


@pytest.mark.parametrize("family", ["bert", "mpnet"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_honest_device_passes_and_the_weights_stay(tiny_folder: Folder, family: str, dtype: str) -> None:
    model = load_model(str(tiny_folder(family)), LoadOptions(dtype=dtype, device="cpu"))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    compare_with_cpu(model, LayerReader)
    after = model.module.state_dict()
    assert all(
        after[name].dtype == tensor.dtype and torch.equal(after[name], tensor) for name, tensor in before.items()
    )


@pytest.mark.parametrize(("dtype", "passing", "failing"), [("float32", 0.0005, 0.002), ("bfloat16", 0.02, 0.15)])
def test_the_tolerance_depends_on_the_dtype(tiny_folder: Folder, dtype: str, passing: float, failing: float) -> None:
    model = load_model(str(tiny_folder("bert")), LoadOptions(dtype=dtype, device="cpu"))
    compare_with_cpu(model, faulty(passing))
    with pytest.raises(ModelError, match=WORDS) as refused:
        compare_with_cpu(model, faulty(failing))
    lines = str(refused.value).splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("use --attn eager")


def test_values_that_are_not_finite_are_refused(load_tiny: Load) -> None:
    with pytest.raises(ModelError, match=f"{WORDS} in values that are not finite, float32 allows 0.10%\nuse --attn"):
        compare_with_cpu(load_tiny("bert"), faulty(float("inf")))


def test_a_fault_that_the_cpu_has_too_is_told_as_itself(load_tiny: Load) -> None:
    with pytest.raises(ModelError, match="the values are not finite"):
        compare_with_cpu(load_tiny("bert"), lambda model: Wrong(model, float("inf")))


def test_there_are_eight_texts_of_different_lengths() -> None:
    assert len({len(text.split()) for text in TEXTS}) == len(TEXTS) == 8


def test_a_model_is_tested_when_it_is_loaded_elsewhere(
    tiny_folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested: list[str] = []
    monkeypatch.setattr(self_test, "compare_with_cpu", lambda model, make: tested.append(model.source.name))
    name, store = str(tiny_folder("bert")), Store(tmp_path / "store")
    open_reader(name, LoadOptions(device="cpu"))
    assert tested == []
    monkeypatch.setattr(self_test, "_TRUSTED", "another")
    open_reader(name, LoadOptions(device="cpu"))
    open_reader(name, LoadOptions(device="cpu"), store)
    assert len(tested) == 2
    known = open_reader(name, LoadOptions(device="cpu"), store)
    assert len(tested) == 2
    assert known.loaded.depth == known.model.depth
    assert len(tested) == 3
