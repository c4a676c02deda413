"""The cut law on a saved folder: in a fresh process, plain sentence-transformers gives what the model gave here."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from probe.encoder import Embeddings, Encoder
from probe.errors import ModelError
from probe.model_config import read_model_config
from probe.reader import HookpointEncoder, LayerReader
from probe.search import unit
from surgery.cutting import CutModel
from surgery.finish import Finish
from surgery.tower_cutting import CutTower

__all__ = ["check_encoder", "check_saved", "embed_samples"]

# Greatest absolute difference, for values of about 1.
_TOLERANCE = 1e-5

_SAMPLES = (
    "a",
    "What does the fifth layer know?",
    "Encoders are stacks of blocks; each one reads what the one before it wrote.",
    "Water boils at 100 degrees Celsius at sea level, and at lower temperatures on mountains. " * 40,
)

_CHILD = """
import json, sys
import numpy
from sentence_transformers import SentenceTransformer

folder, trust, samples, out = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu", trust_remote_code=trust == "trust")
sides = (model.encode_query, model.encode_document)
groups = json.load(open(samples))
# In batches of two, so that the longest text does not fill up all of them.
options = {"batch_size": 2, "show_progress_bar": False}
numpy.save(out, numpy.concatenate([encode(group, **options) for encode in sides for group in groups]))
"""


def embed_samples(model: Encoder, images: Sequence[str] = ()) -> Embeddings:
    """Embed some texts as queries and as documents.

    Args:
        model: The model, in float32.
        images: Image files to embed beside the texts, of a model that reads both.

    Returns:
        Float32 `(2 N, D)`: the queries' vectors, then the documents'.
    """
    sides = (model.encode_query, model.encode_document)
    return np.concatenate([encode(group) for encode in sides for group in _groups(images)])


def _groups(images: Sequence[str]) -> list[list[str]]:
    return [list(_SAMPLES), *([list(images)] if images else [])]


def check_saved(folder: Path, model: CutModel, finish: Finish, trust: bool = False) -> None:
    """Load a saved folder in a process of its own and compare its vectors with the model's.

    Args:
        folder: The saved folder.
        model: What was saved, in float32; of a tower, the folder of both.
        finish: What comes after its blocks.
        trust: Let it run the code its folder brings, as the original was let.

    Raises:
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    if isinstance(model, CutTower):
        from surgery.tower_check import check_towers

        check_towers(folder, model, trust)
        return
    expected = embed_samples(HookpointEncoder(LayerReader(model), model.depth, finish.pooling))
    if read_model_config(model.source.folder).normalizes:
        expected = unit(expected)
    _compare(expected, _embed_in_fresh_process(folder, trust))


def check_encoder(folder: Path, encoder: Encoder, trust: bool, images: Sequence[str] = ()) -> None:
    """Load a saved folder in a process of its own and compare its vectors with those of any encoder.

    Args:
        folder: The saved folder.
        encoder: What was saved, in float32, as its folder gives it: scaled to length 1 where that is.
        trust: Let sentence-transformers import the modules of this package.
        images: Image files to compare the vectors of, too.

    Raises:
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    _compare(embed_samples(encoder, images), _embed_in_fresh_process(folder, trust, images))


def _compare(expected: Embeddings, found: Embeddings) -> None:
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max()) / scale if found.shape == expected.shape else np.inf
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"the saved model gives other vectors than the one in memory (they differ by {difference:.1e}, allowed are "
            f"{_TOLERANCE:.0e}); nothing was kept"
        )


def _embed_in_fresh_process(folder: Path, trust: bool, images: Sequence[str] = ()) -> Embeddings:
    with tempfile.TemporaryDirectory() as scratch:
        samples, out = Path(scratch) / "samples.json", Path(scratch) / "vectors.npy"
        samples.write_text(json.dumps(_groups(images)))
        command = [sys.executable, "-c", _CHILD, str(folder), "trust" if trust else "plain", str(samples), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
            raise ModelError(f"sentence-transformers cannot load the saved model ({last}); nothing was kept")
        vectors: Embeddings = np.load(out)
    return vectors
