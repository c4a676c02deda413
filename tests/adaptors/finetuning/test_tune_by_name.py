"""`tune` in Python: from names to a result that says what came out, draws and saves."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_tuning import SAMPLE, pairs_file

from adaptors.finetuning.options import TuneOptions
from adaptors.finetuning.tune import TuneResult, tune
from probe.errors import CallError, ModelError

pytestmark = pytest.mark.usefixtures("quick_checks")


@pytest.fixture(scope="module")
def result(tiny_folder: Callable[[str], Path]) -> TuneResult:
    return tune(str(tiny_folder("bert")), pairs_file(), epochs=2, batch_size=4, lr=1e-3, hold_out=0.2, sample=True)


def test_it_returns_the_encoder_and_its_epochs(result: TuneResult, tmp_path: Path) -> None:
    assert [epoch.number for epoch in result.epochs] == [0, 1, 2]
    folder = result.save(tmp_path / "out")
    saved = SentenceTransformer(str(folder), device="cpu").encode_query(SAMPLE)
    assert np.abs(saved - result.encoder.encode_query(SAMPLE)).max() < 1e-5
    with pytest.raises(CallError, match="exists"):
        result.save(folder)
    assert result.save(folder, force=True) == folder


def test_it_draws_the_sample_that_was_asked_for(result: TuneResult, tmp_path: Path) -> None:
    result.plot(tmp_path / "map.png")
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_gives_other_vectors_is_not_saved(result: TuneResult, tmp_path: Path) -> None:
    def spoil(module: SentenceTransformer, given: object, found: dict[str, object]) -> dict[str, object]:
        return {**found, "sentence_embedding": -found["sentence_embedding"]}  # type: ignore[operator]

    hook = result.encoder.register_forward_hook(spoil)
    try:
        with pytest.raises(ModelError, match="saved model's vectors differ"):
            result.save(tmp_path / "out")
    finally:
        hook.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_saves_where_it_is_told_to_and_keeps_no_files_of_its_own(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    options = TuneOptions.of(epochs=1, batch_size=12, hold_out=0.0)
    made = tune(str(tiny_folder("bert")), pairs_file(), out=tmp_path / "out", options=options)
    assert (tmp_path / "out" / "modules.json").is_file()
    assert made.epochs == ()
    with pytest.raises(CallError, match="there is no sample to plot: train with sample=True"):
        made.plot(tmp_path / "map.png")
    files = made.tuned.encoder.folder
    assert files.is_dir()
    del made
    gc.collect()
    assert not files.exists()


WRONG = {
    "an unknown option": ({"epoch": 2}, "unknown option 'epoch': did you mean epochs"),
    "options twice": ({"options": TuneOptions(), "epochs": 2}, "options and epochs exclude each other"),
    "a loss": ({"loss": "infonse"}, "unknown loss 'infonse': did you mean infonce"),
    "a folder that exists": ({"out": "."}, "exists"),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_call_is_refused_before_anything_is_loaded(options: dict[str, object], words: str) -> None:
    with pytest.raises(CallError, match=words):
        tune("nowhere", "nowhere.jsonl", **options)  # type: ignore[arg-type]
