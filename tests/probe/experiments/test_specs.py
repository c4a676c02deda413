"""Specs become models, each loaded once, and the baseline every row is tested against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from probe.encoding.opening import open_model
from probe.errors import CallError
from probe.experiments import specs as resolve
from probe.experiments.specs import resolve_specs
from probe.models.options import LoadOptions
from probe.store.store import Store

OPTIONS = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


def test_every_model_is_loaded_once(
    bert: str, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(name: str, options: LoadOptions | None, store: Store | None, *, similarity: str) -> Any:
        loaded.append(name)
        return open_model(name, options, store, similarity=similarity)

    monkeypatch.setattr(resolve, "open_model", load)
    other = str(tiny_folder("mpnet"))
    resolved = resolve_specs([f"{bert}@1:cls", other, f"{bert}@2"], OPTIONS)
    assert loaded == [bert, other]
    assert [[str(p) for p in c.hookpoints] for c in resolved.candidates] == [
        [f"{bert}@1:cls", f"{bert}@2:mean"],
        [f"{other}@3:mean"],
    ]


def test_the_first_spec_is_the_baseline(bert: str) -> None:
    assert str(resolve_specs([f"{bert}@1:cls", bert], OPTIONS).baseline) == f"{bert}@1:cls"


def test_of_several_layers_the_deepest_is_the_baseline(bert: str) -> None:
    resolved = resolve_specs([f"{bert}@all:max", bert], OPTIONS)
    assert str(resolved.baseline) == f"{bert}@3:max"
    assert len(resolved.candidates[0].hookpoints) == 5


def test_the_same_hookpoint_twice_is_one_row(bert: str) -> None:
    assert len(resolve_specs([bert, f"{bert}@last", f"{bert}@3:mean"], OPTIONS).candidates[0].hookpoints) == 1


def test_a_fusion_names_its_parts_and_can_be_the_baseline(bert: str) -> None:
    resolved = resolve_specs([f"{bert}@1+{bert}@2:cls", f"{bert}@3"], OPTIONS)
    assert [str(fusion) for fusion in resolved.fusions] == [f"{bert}@1:mean+{bert}@2:cls"]
    assert str(resolved.baseline) == f"{bert}@1:mean+{bert}@2:cls"
    assert [str(point) for point in resolved.candidates[0].hookpoints] == [f"{bert}@3:mean"]


def test_every_layer_is_fused_with_every_other(bert: str, tiny_folder: Callable[[str], Path]) -> None:
    other = str(tiny_folder("mpnet"))
    resolved = resolve_specs([f"{bert}@all+{other}@1,2:cls"], OPTIONS)
    assert len(resolved.fusions) == 4 * 2
    assert str(resolved.fusions[-1]) == f"{bert}@3:mean+{other}@2:cls"
    assert len(resolve_specs([f"{bert}@1-3+{bert}@1-3"], OPTIONS).fusions) == 6


@pytest.mark.parametrize("spec", ["{m}+", "+{m}", "{m}++{m}@1", "{m}@1+{m}@1", "{m}@1+{m}@9"])
def test_a_fusion_of_nothing_is_a_wrong_call(bert: str, spec: str) -> None:
    with pytest.raises(CallError):
        resolve_specs([spec.format(m=bert)], OPTIONS)


def test_a_folder_with_a_plus_in_its_name_is_a_folder(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    (tmp_path / "a+b").symlink_to(tiny_folder("bert"))
    assert resolve_specs([str(tmp_path / "a+b")], OPTIONS).baseline.points[0].layer == 3
    assert resolve_specs([f"{tmp_path / 'a+b'}@2:cls"], OPTIONS).baseline.points[0].layer == 2
