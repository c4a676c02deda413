"""`kill -9` while a model is saved: under its final name there is a whole model or none."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# One process imports and loads everything once and forks a child per kill; the child saves over and over.
PARENT = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import safetensors.torch
from probe.profile import LoadOptions
from probe.loading import load_model
from surgery.cutting import cut
from surgery.folder import save
from surgery.fusing import fuse
from surgery.fused_folder import save_fused

kind, bert, mpnet, root = sys.argv[1:]
options = LoadOptions(dtype="float32", device="cpu")
if kind == "cut":
    model = cut(load_model(bert, options), 2)
    write = lambda out: save(model, out, force=True)
else:
    model = fuse([bert, mpnet], options=options)
    write = lambda out: save_fused(model, out, force=True)
write(Path(root, "calm"))
dice, kills = random.Random(4), 0
for number in range(12):
    child = os.fork()
    if not child:
        for _ in range(1000):
            write(Path(root, f"out{number % 4}"))
        os._exit(0)
    time.sleep(dice.uniform(0.002, 0.25))
    os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(kills)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["cut", "fuse"])
def test_no_half_written_folder_is_found_under_its_final_name(
    tiny_folder: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    models = [tiny_folder("bert"), tiny_folder("mpnet")]
    done = subprocess.run(
        [sys.executable, "-c", PARENT, kind, *models, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == 12
    whole = contents(tmp_path / "calm")
    found = [folder for folder in tmp_path.iterdir() if not folder.name.startswith(".") and folder.name != "calm"]
    assert found
    for folder in found:
        assert contents(folder) == whole
