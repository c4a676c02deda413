"""Several processes: they tune as one does, the first alone fits, and no other says or writes anything."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from threadpoolctl import threadpool_limits
from tiny_data import make_dataset
from tiny_images import draw_shapes
from tiny_models import PROMPTS, write_model, write_sentence_transformer
from tiny_towers import write_towers
from tiny_tuning import pairs_file, run_command

HELPERS = Path(__file__).parents[1] / "helpers"
# One start of two processes, which import everything once. They fork for what the first does alone, and meet in the
# first command that they share. The first of them tells where the output of a command begins.
COMMANDS = """
import json, os, sys
import sentence_transformers, torch, transformers.models.bert.modeling_bert
import adaptors.fitting.trainer, adaptors.finetuning.tune
from cli import adaptors_app
from adaptors.training import trainer
from surgery.saving import fresh_process as fresh_check

# In float32: bfloat16 rounds a part of a batch otherwise than the whole.
trainer.is_fast = lambda: False

def run(arguments):
    try:
        adaptors_app(arguments, prog_name="adaptors")
    except SystemExit as end:
        sys.stdout.flush()
        return end.code or 0

for name, arguments in json.loads(sys.argv[1]).items():
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
    if os.environ.get("RANK", "0") == "0":
        for stream in (sys.stdout, sys.stderr):
            print(f"--- {name}", file=stream, flush=True)
    if arguments[0] == "tune":
        code = run(arguments)
    elif child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    else:
        fresh_check.check_encoder = lambda *_, **__: None  # folders of fits have their fresh process in other tests
        os._exit(run(arguments))
    if code:
        sys.exit(code)
"""
FITS = {"linear": ("--steps", 4), "pca": ()}
# Of weights of about 0.1, after eight steps at a rate of 0.001.
TOLERANCE = 1e-5


def run(count: int, *args: object) -> subprocess.CompletedProcess[str]:
    """Run Python in so many processes of a thread each; as it is, where that is one."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", count, "--no-python", "--"]
    start = [sys.executable, *map(str, launcher)] if count > 1 else []
    command = [*start, sys.executable, *map(str, args)]
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HELPERS}:{HELPERS.parents[1]}"}
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
        done = run(count, HELPERS / "shared_tuning.py", folder, tmp_path / str(count))
        assert done.returncode == 0, done.stderr
    found = {file.stem: differ(file, tmp_path / "2" / file.name) for file in sorted((tmp_path / "1").iterdir())}
    assert len(found) == 8
    assert {name: value for name, value in found.items() if value > TOLERANCE} == {}


@pytest.mark.long
def test_two_processes_tune_both_towers_as_one(tmp_path: Path) -> None:
    folder, data = write_towers(tmp_path / "clip"), draw_shapes(tmp_path / "drawn", 32)
    schedule = ("--epochs", 2, "--batch-size", 4, "--lr", 1e-3, "--hold-out", 0.25)
    for count in (1, 2):
        words = [*map(str, ("tune", "-m", folder, "-d", data, *schedule, "-o", tmp_path / str(count)))]
        done = run(count, "-c", COMMANDS, json.dumps({"tune": words}))
        assert done.returncode == 0, done.stderr
    files = [tmp_path / place / "model.safetensors" for place in ("1", "2", "clip")]
    assert differ(*files[:2]) < TOLERANCE
    assert differ(*files[1:]) > 100 * TOLERANCE


@dataclass(frozen=True)
class Outcome:
    """What two processes did, one command after the other; what each of them printed, and where one process did it."""

    alone: Path
    beside: Path
    stdout: dict[str, str]
    stderr: dict[str, str]
    code: int


def by_command(output: str) -> dict[str, str]:
    """Return what was printed per command; under an empty name what was before the first."""
    parts = re.split(r"^--- (\w+)\n", output, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


@pytest.fixture(scope="module")
def outcome(folder: Path, tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = tmp_path_factory.mktemp("commands")
    data, on = make_dataset(root / "data"), f"{tiny_folder('bert')}@2:mean"
    tune = ("tune", "-m", folder, "-d", pairs_file())

    def arguments(place: Path) -> dict[str, list[str]]:
        """Return the commands by name."""
        place.mkdir()
        fit = ("fit", "KIND", "-m", on, "-d", data, "--dims", 8, "--no-store")
        called: dict[str, tuple[object, ...]] = {
            kind: (fit[0], kind, *fit[2:], *more, "--out", place / kind) for kind, more in FITS.items()
        }
        how = ("--epochs", 1, "--batch-size", 4, "--lr", 1e-3, "--hold-out", 0)
        kept = ("--checkpoint-dir", place / "kept", "--log", place / "log.jsonl")
        called["tune"] = (*tune, *how, *kept, "--out", place / "tune")
        return {name: [*map(str, words)] for name, words in called.items()}

    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1), one_thread():
        patch.setattr("adaptors.training.trainer.is_fast", lambda: False)
        patch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
        for name, words in arguments(root / "alone").items():
            done = run_command(*words)
            assert (done.exit_code, done.stdout) == (0, f"{root / 'alone' / name}\n"), done.stderr
    wrong = [*map(str, tune), "--batch-size", "5", "--out", str(root / "beside" / "wrong")]
    shared = run(2, "-c", COMMANDS, json.dumps({**arguments(root / "beside"), "wrong": wrong}))
    stdout, stderr = by_command(shared.stdout), by_command(shared.stderr)
    assert [*stdout] == [*stderr] == ["", *FITS, "tune", "wrong"], shared.stderr
    return Outcome(root / "alone", root / "beside", stdout, stderr, shared.returncode)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute as the processes do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def test_two_processes_tune_as_one_and_only_the_first_speaks_and_writes(outcome: Outcome) -> None:
    one, two = outcome.alone, outcome.beside
    assert outcome.stdout["tune"] == f"{two / 'tune'}\n"
    assert outcome.stderr["tune"].count("fresh process") == 1
    assert sum(said.count("loaded ") for said in outcome.stderr.values()) == 2  # and once in the call that is wrong
    assert differ(one / "tune" / "model.safetensors", two / "tune" / "model.safetensors") < TOLERANCE
    steps = [[json.loads(line) for line in (place / "log.jsonl").read_text().splitlines()] for place in (one, two)]
    assert [line["step"] for line in steps[0]] == [line["step"] for line in steps[1]]
    for left, right in zip(*steps, strict=True):
        assert right["loss"] == pytest.approx(left["loss"], abs=1e-5)
    assert [path.name for path in sorted((two / "kept").iterdir())] == ["round-1"]


@pytest.mark.parametrize("kind", FITS)
def test_the_first_process_alone_fits(kind: str, outcome: Outcome) -> None:
    one, two = outcome.alone / kind, outcome.beside / kind
    assert outcome.stdout[kind] == f"{two}\n"
    assert outcome.stderr[kind].count("fresh process") == 1
    files = sorted(path.relative_to(one) for path in one.rglob("*.safetensors"))
    assert len(files) > 1
    for file in files:
        left, right = load_file(one / file), load_file(two / file)
        assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def test_an_error_is_said_once_and_ends_all(outcome: Outcome) -> None:
    said = outcome.stderr["wrong"]
    assert outcome.code != 0
    assert outcome.stdout["wrong"] == ""
    assert said.count("error: --batch-size 5: expected a multiple of 2") == 1
    assert "exitcode  : 2" in said
    names = {path.name for path in outcome.beside.iterdir()}
    assert names == {*FITS, "tune", "kept", "log.jsonl"}


def test_nothing_is_said_before_the_first_command(outcome: Outcome) -> None:
    assert outcome.stdout[""] == ""


GRADIENT = """
import torch
from torch import nn
from adaptors.training.distributed import SharedModel, init, rank

init()
class Given(nn.Module):
    preprocess = get_embedding_dimension = device = None
    def forward(self, features):
        return features
own = torch.full((2, 3), float(rank()), requires_grad=True)
found = SharedModel(Given(), Given())({"sentence_embedding": own})["sentence_embedding"]
assert found.tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
weights = torch.arange(12.0).reshape(4, 3)
(found * weights * (1 + 9 * rank())).sum().backward()
assert torch.equal(own.grad, 11 * weights[2 * rank() :][:2])
"""


def test_a_rows_gradient_is_the_sum_of_what_all_processes_have_for_it() -> None:
    done = run(2, "-c", GRADIENT)
    assert done.returncode == 0, done.stderr
