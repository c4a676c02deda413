"""The table of small corpora: an encoder is read as one, alone or as a fusion."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset

from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.data import FitTexts
from benchmarks.small_data import _gather
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from probe.store.store import Store


@pytest.mark.parametrize(("spec", "width"), [("{bert}@3:mean", 32), ("a={bert}@3:mean+b={mpnet}@3:mean", 64)])
def test_the_states_are_those_of_the_encoder(
    tiny_folder: Callable[[str], Path], tmp_path: Path, spec: str, width: int
) -> None:
    named = spec.format(bert=tiny_folder("bert"), mpnet=tiny_folder("mpnet"))
    store = Store(tmp_path / "store")
    resolved = resolve_specs([named], LoadOptions("float32", "cpu"), store)
    data = load_dataset(str(make_dataset(tmp_path / "tiny", documents=12, queries=3)))
    found = _gather(resolved, [FitTexts(data)], store)
    assert found.documents.shape == (12, width)
