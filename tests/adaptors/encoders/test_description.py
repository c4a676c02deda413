"""What a saved adaptor says of the texts it has seen: every data set with its own hash, whatever it is called."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset
from typer.testing import CliRunner

import cli
from adaptors.encoders.description import SavedDescription, TrainedOn, describe_trained, read_adaptor, seen_texts
from adaptors.encoders.folder import open_adapted
from probe.data.training_record import read_learned
from probe.sources.loading import load_dataset


def test_a_data_set_with_a_plus_in_its_name_keeps_its_hash(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
    data, out = make_dataset(tmp_path / "one+two"), tmp_path / "fitted"
    args = ["fit", "pca", "-m", tiny_folder("bert"), "-d", data, "--dims", 8, "--no-store", "--out", out]
    made = CliRunner().invoke(cli.adaptors_app, list(map(str, args)), prog_name="adaptors")
    assert made.exit_code == 0, made.stderr
    seen = (("one+two", load_dataset(str(data)).documents.text_hash),)
    assert open_adapted(out).encoder.adaptor.seen == seen
    # Trained on something else, it has seen both.
    describe_trained(out, TrainedOn("tuned", (("a+b", "1" * 64),), "a+b"), [""])
    assert read_learned(out).seen == (*seen, ("a+b", "1" * 64))
    assert open_adapted(out).encoder.adaptor.seen == (*seen, ("a+b", "1" * 64))


@pytest.mark.parametrize(
    ("dataset", "hashes", "expected"),
    [
        ("tiny", "0", (("tiny", "0"),)),
        ("tiny+more", "0+1", (("tiny", "0"), ("more", "1"))),
        ("a+b", "0", (("a+b", "0"),)),
        ("a+b+c", "0+1", (("a+b+c", "0"), ("a+b+c", "1"))),
        ("tiny", None, ()),
    ],
)
def test_folders_of_before_are_read(
    dataset: str, hashes: str | None, expected: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    old = {"format": 1, "kind": "pca", "labels": "none", "dataset": dataset, "text_sha256": hashes}
    (tmp_path / "adaptor.json").write_text(json.dumps({**old, "top": [], "fitted_to": []}))
    found = read_adaptor(tmp_path)
    assert isinstance(found, SavedDescription)
    assert seen_texts(found) == expected
