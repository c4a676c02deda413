"""Workers and drivers of a cluster killed at random moments: the table of one process, and nothing is done twice."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stored_files import FILES
from tiny_cluster import two_nodes
from tiny_data import make_dataset

pytest.importorskip("ray.data", reason="the extra ray is not installed")

CHUNKS = 94

# One process imports everything once and forks a driver per run. It kills at random counts of stored chunks.
CHILD = (
    FILES
    + """
import contextlib, json, os, random, signal, sys, time
from pathlib import Path
import psutil, torch, transformers
torch.set_num_threads(1)
import transformers.models.bert.modeling_bert, sentence_transformers, safetensors.numpy, pytrec_eval
from probe.scale.cluster import check_ray
check_ray()
import cli, probe.scale.engine, probe.encoding.chunk_states
probe.encoding.chunk_states.CHUNK = probe.scale.engine.CHUNK = 32
model, data, root, address, chunks, *raylets = sys.argv[1:]

def start(store, *engine):
    child = os.fork()
    if child:
        return child
    with open(f"{root}/{store}.{os.getpid()}.out", "w") as out, contextlib.redirect_stdout(out):
        code = 1
        try:
            arguments = ["-m", model, "-d", data, "--pooling", "cls,mean", "-f", "json", "--dtype", "float32"]
            arguments += ["--store", f"{root}/{store}", *engine]
            code = cli.probe_app(["layers", *arguments], standalone_mode=False) or 0
        finally:
            out.flush()
            os._exit(code)

def finish(child, store):
    status = os.waitpid(child, 0)[1]
    assert status == 0, status
    return json.load(open(f"{root}/{store}.{child}.out"))

def workers(since):
    found = []
    for raylet in raylets:
        for process in psutil.Process(int(raylet)).children():
            with contextlib.suppress(psutil.Error):
                if process.create_time() > since and process.cmdline()[0].startswith("ray::MapWorker"):
                    found.append(process.pid)
    return found

def start_on_cluster():
    return start("killed", "--engine", "ray", "--address", address, "--workers", "2"), time.time()

calm = finish(start("calm"), "calm")
dice = random.Random(7)
kinds = ["worker"] * 7 + ["driver"] * 3
dice.shuffle(kinds)
driver, since = start_on_cluster()
seen, killed = {}, []
for kind, count in zip(kinds, sorted(dice.sample(range(3, int(chunks) - 8), len(kinds)))):
    while len(files("killed")) < count or (kind == "worker" and not workers(since)):
        assert os.waitpid(driver, os.WNOHANG) == (0, 0), "the driver ended"
        time.sleep(0.01)
    victim = driver if kind == "driver" else dice.choice(workers(since))
    os.kill(victim, signal.SIGKILL)
    seen = {**files("killed"), **seen}
    killed.append((kind, len(seen)))
    if kind == "driver":
        os.waitpid(driver, 0)
        driver, since = start_on_cluster()
resumed = finish(driver, "killed")
after = files("killed")
print(json.dumps({"calm": calm, "resumed": resumed, "killed": killed,
                  "rewritten": sum(after[path] != stamp for path, stamp in seen.items()),
                  "files": [sorted(os.path.relpath(path, f"{root}/{store}") for path in files(store))
                            for store in ("calm", "killed")]}))
"""
)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("killed")
    data = make_dataset(root / "data", documents=32 * CHUNKS, queries=40)
    with two_nodes() as cluster:
        raylets = [
            str(process.process.pid) for node in cluster.list_all_nodes() for process in node.all_processes["raylet"]
        ]
        arguments = [str(tiny_folder("bert")), str(data), str(root), cluster.address, str(CHUNKS), *raylets]
        command = [sys.executable, "-c", CHILD, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


def table(board: dict[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "ms_per_text"} for row in board["rows"]]


@pytest.mark.long
def test_after_ten_kills_the_table_is_that_of_an_undisturbed_process(outcome: dict[str, Any]) -> None:
    kinds = [kind for kind, _ in outcome["killed"]]
    assert (kinds.count("worker"), kinds.count("driver")) == (7, 3)
    assert table(outcome["resumed"]) == table(outcome["calm"])
    assert outcome["resumed"]["settings"] == outcome["calm"]["settings"]


@pytest.mark.long
def test_no_stored_chunk_is_encoded_twice(outcome: dict[str, Any]) -> None:
    counts = [count for _, count in outcome["killed"]]
    assert counts[0] < counts[-1] < CHUNKS, counts
    assert outcome["rewritten"] == 0


@pytest.mark.long
def test_after_ten_kills_the_files_are_those_of_an_undisturbed_process(outcome: dict[str, Any]) -> None:
    calm, killed = outcome["files"]
    assert killed == calm
    assert len(calm) == CHUNKS + 2
