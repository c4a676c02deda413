"""`kill -9` while a model is saved: under its final name there is a whole model or none."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from probe.io.files import replace_folder

# One process imports and loads everything once and forks a child per kill; the child saves over and over.
PARENT = """
import os, random, signal, sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
import safetensors.torch
from adaptors.encoders.description import TrainedOn
from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.saved import Tuned, save_tuned
from probe.models.options import LoadOptions
from probe.models.loading import load_model
from surgery.cutting.cut import cut
from surgery.fusing.model import fuse
from surgery.fusing.folder import save

bert, mpnet, root = sys.argv[1:]
options = LoadOptions(dtype="float32", device="cpu")
short, fused = cut(load_model(bert, options), 2), fuse([bert, mpnet], options=options)
student = open_trainable(bert, Path(root, "base"))
tuned = Tuned(student, TrainedOn("tuned", (("rows", "0"),)), "tuned", "On rows.")
writers = {
    "cut": lambda out: save(short, out, force=True),
    "fuse": lambda out: save(fused, out, force=True),
    "tune": lambda out: save_tuned(tuned, out, True, check=lambda folder: None),
}
dice, kills = random.Random(4), 0
for kind, write in writers.items():
    began = time.monotonic()
    write(Path(root, kind, "calm"))
    length = time.monotonic() - began
    for number in range(10):
        child = os.fork()
        if not child:
            for _ in range(1000):
                write(Path(root, kind, f"out{number % 4}"))
            os._exit(0)
        time.sleep(dice.uniform(0.002, 4 * length))
        os.kill(child, signal.SIGKILL)
        kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
print(kills)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_half_written_folder_is_found_under_its_final_name(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    models = [tiny_folder("bert"), tiny_folder("mpnet")]
    done = subprocess.run(
        [sys.executable, "-c", PARENT, *models, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == 30
    for kind in ("cut", "fuse", "tune"):
        whole = contents(tmp_path / kind / "calm")
        found = [folder for folder in (tmp_path / kind).glob("out*")]
        assert found
        # What killed processes left is gone once another has written there: only the last one's may be left.
        replace_folder(tmp_path / kind / "last", lambda folder: None)
        assert not [path.name for path in (tmp_path / kind).iterdir() if path.name.startswith(".")]
        for folder in found:
            assert contents(folder) == whole
