"""`kill -9` at random moments, two processes at once: the table of an undisturbed run, and nothing is done twice."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_files import FILES
from tiny_data import make_dataset

# One process imports everything once and forks a child per run, so that ten kills cost seconds.
CHILD = (
    FILES
    + """
import contextlib, io, json, os, random, signal, sys, time
from pathlib import Path
import torch, transformers
torch.set_num_threads(1)
import transformers.models.bert.modeling_bert, sentence_transformers, safetensors.numpy, pytrec_eval
from typer.testing import CliRunner
import cli
import probe.encoding.chunk_states, probe.evaluation.evaluate
probe.encoding.chunk_states.CHUNK = probe.evaluation.evaluate.CHUNK = 64
model, data, root = sys.argv[1:]

def start(store):
    child = os.fork()
    if child:
        return child
    with open(f"{root}/{store}.{os.getpid()}.out", "w") as out, contextlib.redirect_stdout(out):
        try:
            cli.probe_app(["layers", "-m", model, "-d", data, "--pooling", "cls,mean", "-f", "json",
                           "--dtype", "float32", "--store", f"{root}/{store}"], standalone_mode=False)
        finally:
            out.flush()
            os._exit(0)

def finish(child, store):
    os.waitpid(child, 0)
    return json.load(open(f"{root}/{store}.{child}.out"))

began = time.monotonic()
undisturbed = finish(start("calm"), "calm")
length = time.monotonic() - began
dice = random.Random(1)
kills, rewritten, progress = 0, 0, []
for _ in range(10):
    before = files("killed")
    child = start("killed")
    time.sleep(dice.uniform(0.2, 0.5) * length)
    os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    after = files("killed")
    rewritten += sum(after[path] != stamp for path, stamp in before.items())
    progress.append(len(after))
before = files("killed")
resumed = finish(start("killed"), "killed")
after = files("killed")
rewritten += sum(after[path] != stamp for path, stamp in before.items())
pair = [start("shared"), start("shared")]
shared = [finish(child, "shared") for child in pair]
print(json.dumps({"undisturbed": undisturbed, "resumed": resumed, "shared": shared, "kills": kills,
                  "rewritten": rewritten, "progress": progress, "length": length,
                  "files": [len(files(store)) for store in ("calm", "killed", "shared")]}))
"""
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("killed")
    data = make_dataset(root / "data", documents=3000, queries=40)
    command = [sys.executable, "-c", CHILD, str(tiny_folder("bert")), str(data), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def table(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "ms_per_text"} for row in board["rows"]]


def test_nothing_lost_the_table_equals_an_undisturbed_runs(outcome: dict[str, Any]) -> None:
    assert outcome["kills"] >= 3, outcome["progress"]
    assert table(outcome["resumed"]) == table(outcome["undisturbed"])


def test_nothing_lost_no_stored_chunk_is_encoded_twice(outcome: dict[str, Any]) -> None:
    assert outcome["progress"][-1] > outcome["progress"][0], outcome["progress"]
    assert outcome["rewritten"] == 0


def test_two_processes_share_a_store(outcome: dict[str, Any]) -> None:
    assert [table(board) for board in outcome["shared"]] == [table(outcome["undisturbed"])] * 2


def test_every_run_leaves_the_same_files(outcome: dict[str, Any]) -> None:
    calm, killed, shared = outcome["files"]
    assert calm == killed == shared
