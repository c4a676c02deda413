"""Several processes: they tune as one does, the first alone fits, and no other says or writes anything."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_data import make_dataset
from tiny_images import draw_shapes
from tiny_models import PROMPTS, write_model, write_sentence_transformer
from tiny_towers import write_towers
from tiny_tuning import pairs_file

ROOT = Path(__file__).parent
# In float32: bfloat16 rounds a part of a batch otherwise than the whole.
COMMAND = """
from cli import adaptors_app
from commands import tune_labels

tune_labels.is_fast = lambda: False
adaptors_app(prog_name="adaptors")
"""
# Of weights of about 0.1, after eight steps at a rate of 0.001.
TOLERANCE = 1e-5


def run(count: int, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python in so many processes of a thread each; as it is, where that is one."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, "--no-python", "--"]
    start = [sys.executable, *map(str, launcher)] if count > 1 else []
    command = [*start, sys.executable, *map(str, args)]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{ROOT.parent}"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **threads})


def differ(one: Path, other: Path) -> float:
    """Return the greatest difference of weights; a bias of attention's keys changes nothing, so noise moves it."""
    left, right = load_file(one), load_file(other)
    assert left.keys() == right.keys()
    return max(
        float((left[name].float() - right[name].float()).abs().max())
        for name in left
        if not name.endswith(("key.bias", "k_proj.bias"))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without dropout, whose dice differ from process to process."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return write_sentence_transformer(write_model(tmp_path_factory.mktemp("models") / "bert", **still), "mean", PROMPTS)


@pytest.mark.long
def test_every_kind_of_loss_is_the_same_for_two_processes(folder: Path, tmp_path: Path) -> None:
    for count in (1, 2):
        (tmp_path / str(count)).mkdir()
        done = run(count, ROOT / "shared_tuning.py", folder, tmp_path / str(count))
        assert done.returncode == 0, done.stderr
    found = {file.stem: differ(file, tmp_path / "2" / file.name) for file in sorted((tmp_path / "1").iterdir())}
    assert len(found) == 8
    assert {name: value for name, value in found.items() if value > TOLERANCE} == {}


@pytest.mark.long
def test_two_processes_tune_both_towers_as_one(tmp_path: Path) -> None:
    folder, data = write_towers(tmp_path / "clip"), draw_shapes(tmp_path / "drawn", 32)
    schedule = ("--epochs", 2, "--batch", 4, "--rate", 1e-3, "--hold-out", 0.25)
    for count in (1, 2):
        done = run(count, "-c", COMMAND, "tune", "-m", folder, "-d", data, *schedule, "-o", tmp_path / str(count))
        assert done.returncode == 0, done.stderr
    files = [tmp_path / place / "model.safetensors" for place in ("1", "2", "clip")]
    assert differ(*files[:2]) < TOLERANCE
    assert differ(*files[1:]) > 100 * TOLERANCE


def test_two_processes_tune_as_one_and_only_the_first_speaks_and_writes(folder: Path, tmp_path: Path) -> None:
    tune = ("tune", "-m", folder, "-d", pairs_file(), "--epochs", 1, "--batch", 4, "--rate", 1e-3, "--hold-out", 0)
    for count in (1, 2):
        place = tmp_path / str(count)
        place.mkdir()
        kept = ("--checkpoints", place / "kept", "--log", place / "log.jsonl", "--out", place / "out")
        done = run(count, "-c", COMMAND, *tune, *kept)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{place / 'out'}\n"
        assert done.stderr.count("fresh process") == 1
    one, two = tmp_path / "1", tmp_path / "2"
    assert differ(one / "out" / "model.safetensors", two / "out" / "model.safetensors") < TOLERANCE
    steps = [[json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()] for place in (one, two)]
    assert [line["step"] for line in steps[0]] == [line["step"] for line in steps[1]]
    for left, right in zip(*steps, strict=True):
        assert right["loss"] == pytest.approx(left["loss"], abs=1e-5)
    assert [path.name for path in sorted((two / "kept").iterdir())] == ["round-1"]


@pytest.mark.parametrize(("kind", "more"), [("linear", ("--steps", 4)), ("pca", ())])
def test_the_first_process_alone_fits(
    kind: str, more: tuple[object, ...], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    data, on = make_dataset(tmp_path / "data"), f"{tiny_folder('bert')}@2:mean"
    for count in (1, 2):
        fit = ("fit", kind, "--on", on, "-d", data, "--dims", 8, "--no-store", *more, "--out", tmp_path / str(count))
        done = run(count, "-c", COMMAND, *fit)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{tmp_path / str(count)}\n"
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.safetensors"))
    assert len(files) > 1
    for file in files:
        left, right = load_file(tmp_path / "1" / file), load_file(tmp_path / "2" / file)
        assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def test_an_error_is_said_once_and_ends_all(folder: Path, tmp_path: Path) -> None:
    done = run(2, "-c", COMMAND, "tune", "-m", folder, "-d", pairs_file(), "--batch", 5, "--out", tmp_path / "out")
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("error: --batch 5: expected a multiple of 2, for 2 processes share it") == 1
    assert "exitcode  : 2" in done.stderr
    assert list(tmp_path.iterdir()) == []
