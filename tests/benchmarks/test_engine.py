"""What cannot be measured on a machine is skipped with the reason."""

from types import SimpleNamespace

import pytest
import torch

from benchmarks import engine
from benchmarks.inputs import Skipped


def test_without_bfloat16_arithmetic_its_rate_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_load", lambda name, dtype: SimpleNamespace(dtype=torch.float32))
    with pytest.raises(Skipped, match="no bfloat16 arithmetic"):
        next(engine.arithmetic())


@pytest.mark.parametrize(
    ("auto", "labels"), [(torch.float32, ["float32"]), (torch.bfloat16, ["float32", "auto"])], ids=str
)
def test_auto_is_measured_where_it_is_another_dtype(
    monkeypatch: pytest.MonkeyPatch, auto: torch.dtype, labels: list[str]
) -> None:
    dtypes = {"auto": auto, "float32": torch.float32}
    monkeypatch.setattr(engine, "_load", lambda name, dtype: SimpleNamespace(dtype=dtypes[dtype]))
    models = engine._load_dtypes("minilm")
    assert [*models] == labels
    assert [*engine._aims({"float32": 0.3, "auto": 0.1}, models)] == [f"all layers, {label}" for label in labels]
