"""The cut law on a saved folder: in a fresh process, plain sentence-transformers gives what the model gave here."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from probe.encoder import Embeddings
from probe.errors import ModelError
from probe.model_config import read_model_config
from probe.reader import LayerReader
from probe.search import unit
from surgery.cut import CutModel

__all__ = ["check_saved", "embed_samples"]

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

folder, texts, out = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu")
sides = json.load(open(texts))
numpy.save(out, numpy.concatenate([model.encode(side, show_progress_bar=False) for side in sides]))
"""


def embed_samples(model: CutModel, pooling: str) -> Embeddings:
    """Embed some texts as queries and as documents.

    Args:
        model: The model, in float32.
        pooling: One of the poolings.

    Returns:
        Float32 `(2 N, D)`: the queries' vectors, then the documents'.
    """
    reader, place = LayerReader(model), (model.depth, pooling)
    prompts = (model.query_prompt, model.document_prompt)
    return np.concatenate([reader.read(_SAMPLES, prompt, [place]).vectors[place] for prompt in prompts])


def check_saved(folder: Path, model: CutModel, pooling: str) -> None:
    """Load a saved folder in a process of its own and compare its vectors with the model's.

    Args:
        folder: The saved folder.
        model: What was saved, in float32.
        pooling: Its pooling.

    Raises:
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    expected = embed_samples(model, pooling)
    if read_model_config(model.source.folder).normalizes:
        expected = unit(expected)
    found = _embed_in_fresh_process(folder, (model.query_prompt, model.document_prompt))
    scale = max(1.0, float(np.abs(expected).max()))
    difference = float(np.abs(found - expected).max()) / scale
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"the saved model gives other vectors than the cut one (they differ by {difference:.1e}, allowed are "
            f"{_TOLERANCE:.0e}); nothing was kept"
        )


def _embed_in_fresh_process(folder: Path, prompts: tuple[str, str]) -> Embeddings:
    with tempfile.TemporaryDirectory() as scratch:
        texts, out = Path(scratch) / "texts.json", Path(scratch) / "vectors.npy"
        texts.write_text(json.dumps([[prompt + text for text in _SAMPLES] for prompt in prompts]))
        command = [sys.executable, "-c", _CHILD, str(folder), str(texts), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
            raise ModelError(f"sentence-transformers cannot load the saved model ({last}); nothing was kept")
        vectors: Embeddings = np.load(out)
    return vectors
