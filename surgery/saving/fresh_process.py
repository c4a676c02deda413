"""Check the cut law on a saved folder: plain sentence-transformers, in a fresh process, gives the same vectors."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.data.images import ImageFile, check_pillow
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.encoding.tower_reader import TowerReader
from probe.errors import ModelError, first_line
from probe.layers.unchanged import unchanged
from probe.metrics.vectors import Embeddings, unit
from probe.models.loaded import LoadedModel
from probe.models.published_config import read_model_config
from probe.models.tower_loading import load_other
from surgery.cutting.blocks import CutModel
from surgery.cutting.towers import CutTower
from surgery.saving.heads import OutputHead
from surgery.saving.model import scales
from surgery.saving.weights import VectorChange, is_rounded

__all__ = [
    "check_encoder",
    "check_encoder_here",
    "check_here",
    "check_pair",
    "check_saved",
    "compare",
    "draw_images",
    "embed_here",
    "embed_in_fresh_process",
    "embed_samples",
]

# Maximum absolute difference, for values of about 1.
_TOLERANCE = 1e-5
# The same for a model that computes in half precision in memory; saved models compute in float32.
_HALF_TOLERANCE = 5e-2
# For weights stored in half precision: the smallest cosine after the mean vector is subtracted.
_LEAST_COSINE = 0.99

_SAMPLES = (
    "a",
    "What does the fifth layer know?",
    "Encoders are stacks of blocks; each one reads what the one before it wrote.",
    "Water boils at 100 degrees Celsius at sea level, and at lower temperatures on mountains. " * 40,
    "def area(radius): return 3.14159 * radius ** 2",
    "Die Katze schläft auf dem warmen Dach.",
    "Order 4711, 2021-05-17: 3 x A4 paper at 12.90 EUR",
    "The committee, which had met twice before, could not agree on a date.",
)

_CHILD = """
import json, sys
import numpy
from sentence_transformers import SentenceTransformer

folder, trust, samples, out, times = sys.argv[1:]
load = lambda: SentenceTransformer(folder, device="cpu", trust_remote_code=trust == "trust")
model = load()
texts, images = json.load(open(samples))
# One by one: padding changes the vectors of some models.
options = {"batch_size": 1, "show_progress_bar": False}
vectors = [model.encode_query(texts, **options)]
if times == "twice":
    model = load()
vectors.append(model.encode_document(texts, **options))
if images:
    from PIL import Image
    vectors.append(model.encode([Image.open(path) for path in images], **options))
numpy.save(out, numpy.concatenate(vectors))
"""


def embed_samples(model: Encoder) -> Embeddings:
    """Embed some texts as queries, then as documents: float32 `(2 N, D)`."""
    return np.concatenate([model.encode_query(_SAMPLES), model.encode_document(_SAMPLES)])


def check_saved(folder: Path, model: CutModel, head: OutputHead, *, trust: bool = False) -> VectorChange:
    """Load a saved folder in a separate process and compare its vectors with the model's.

    Args:
        folder: The saved folder.
        model: The saved model, in float32.
        head: Pooling and modules after its blocks.
        trust: Allow code in the folder to run, as it was allowed for the original.

    Returns:
        How far the vectors differ.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    if isinstance(model, CutTower):
        # The other tower must give the same vectors as in the original.
        towers = {tower.tower: _last_layer(tower, str(tower.pooling)) for tower in (model, load_other(model))}
        return check_pair(folder, towers["text"], towers["image"], trust=trust, as_saved=partial(_as_saved, model))
    # The vectors of a model that changes itself in its forward depend on the texts it has seen.
    found = embed_in_fresh_process(folder, trust, twice=model.stack.restless)
    return compare(_expected(model, head), found, folder=folder)


def check_here(folder: Path, model: CutModel, head: OutputHead) -> VectorChange:
    """Load a saved folder in this process and compare its vectors with the model's, like `check_saved`.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    if isinstance(model, CutTower):
        return check_saved(folder, model, head)
    found = embed_here(folder, model.trust)
    tolerance = _TOLERANCE if model.dtype == torch.float32 else _HALF_TOLERANCE
    return compare(_expected(model, head), found, tolerance, folder=folder)


def _expected(model: CutModel, head: OutputHead) -> Embeddings:
    vectors = embed_samples(_last_layer(model, head.pooling))
    return unit(vectors) if scales(read_model_config(model.source.folder), head.pooling) else vectors


def _last_layer(model: LoadedModel, pooling: str) -> HookpointEncoder:
    return HookpointEncoder((TowerReader if model.tower else LayerReader)(model), model.depth, pooling)


def _as_saved(model: LoadedModel, vectors: Embeddings) -> Embeddings:
    return unit(vectors) if read_model_config(model.source.folder).normalizes else vectors


def check_pair(
    folder: Path,
    texts: Encoder,
    images: Encoder,
    *,
    trust: bool = False,
    as_saved: Callable[[Embeddings], Embeddings] = lambda vectors: vectors,
) -> VectorChange:
    """Load a saved two-tower model in a separate process and compare its vectors with those of two encoders.

    Args:
        folder: The saved folder.
        texts: Reference encoder of texts, in float32.
        images: Reference encoder of images (`ImageFile` values).
        trust: Allow code in the folder to run, as it was allowed for the original.
        as_saved: The folder's last step, such as normalization, applied to the references' vectors.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = draw_images(Path(scratch))
        expected = np.concatenate([embed_samples(texts), images.encode_document(files)])
        return compare(as_saved(expected), embed_in_fresh_process(folder, trust, files), folder=folder)


def check_encoder(folder: Path, encoder: Encoder, trust: bool) -> VectorChange:
    """Load a saved folder in a separate process and compare its vectors with those of an encoder, in float32.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    return compare(embed_samples(encoder), embed_in_fresh_process(folder, trust), folder=folder)


def check_encoder_here(folder: Path, encoder: Encoder, trust: bool, *, exact: bool = True) -> VectorChange:
    """Load a saved folder in this process and compare its vectors with those of an encoder.

    Args:
        folder: The saved folder.
        encoder: The saved encoder.
        trust: Allow code in the folder to run, as it was allowed for the original.
        exact: Whether the encoder computes in float32, like the folder.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    tolerance = _TOLERANCE if exact else _HALF_TOLERANCE
    return compare(embed_samples(encoder), embed_here(folder, trust), tolerance, folder=folder)


def embed_here(folder: Path, trust: bool, texts: Sequence[str] = _SAMPLES) -> Embeddings:
    """Embed texts with a saved folder in this process, as queries, then as documents: float32 `(2 N, D)`.

    Raises:
        ModelError: The folder cannot be loaded.
    """
    from sentence_transformers import SentenceTransformer

    try:
        saved = SentenceTransformer(str(folder), device="cpu", trust_remote_code=trust)
        options: dict[str, Any] = {"batch_size": 1, "show_progress_bar": False}
        sides = []
        for encode in (saved.encode_query, saved.encode_document):
            with unchanged(saved):
                sides.append(encode(list(texts), **options))
        return np.concatenate(sides)
    except Exception as error:  # the libraries may raise anything
        raise ModelError(
            f"sentence-transformers cannot load the saved model ({first_line(error)}); nothing was saved"
        ) from error


def compare(
    expected: Embeddings, found: Embeddings, tolerance: float = _TOLERANCE, *, folder: Path | None = None
) -> VectorChange:
    """Compare the vectors of a saved folder with those it must give, `(N, D)`.

    Args:
        expected: The vectors of the model in memory.
        found: The folder's.
        tolerance: Maximum absolute difference, for values of about 1.
        folder: The folder; if its weights are stored in half precision, the vectors need only be close.

    Returns:
        How far they differ.

    Raises:
        ModelError: They differ by more.
    """
    if found.shape != expected.shape:
        raise ModelError(f"the saved model's vectors are {found.shape}, not {expected.shape}; nothing was saved")
    change = VectorChange.between(expected, found)
    if folder is not None and is_rounded(folder):
        if not change.spread >= _LEAST_COSINE:
            raise ModelError(
                f"rounding the weights moves the vectors too far (cosine {change.spread:.4f} without their mean, "
                f"expected at least {_LEAST_COSINE}); nothing was saved: store them in float32"
            )
        return change
    difference = change.difference / max(1.0, float(np.abs(expected).max()))
    if not difference <= tolerance:
        raise ModelError(
            f"the saved model's vectors differ from those of the model in memory (by {difference:.1e}, tolerance "
            f"{tolerance:.0e}); nothing was saved"
        )
    return change


def embed_in_fresh_process(
    folder: Path,
    trust: bool,
    images: Sequence[ImageFile] = (),
    *,
    texts: Sequence[str] = _SAMPLES,
    twice: bool = False,
) -> Embeddings:
    """Embed with a saved folder in a separate process: texts as queries, then as documents, then images.

    Args:
        folder: The saved folder.
        trust: Allow code in the folder to run.
        images: Images, for a two-tower model.
        texts: N texts.
        twice: Load the model again before the documents, for models that change themselves.

    Raises:
        ModelError: The folder cannot be loaded.
    """
    with tempfile.TemporaryDirectory() as scratch:
        samples, out = Path(scratch) / "samples.json", Path(scratch) / "vectors.npy"
        samples.write_text(json.dumps([list(texts), [str(image.path) for image in images]]))
        command = [sys.executable, "-c", _CHILD, str(folder), "trust" if trust else "plain", str(samples), str(out)]
        command.append("twice" if twice else "once")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = next(iter(reversed(done.stderr.strip().splitlines())), "no message")
            raise ModelError(f"sentence-transformers cannot load the saved model ({last}); nothing was saved")
        vectors: Embeddings = np.load(out)
    return vectors


def draw_images(folder: Path) -> tuple[ImageFile, ...]:
    """Draw images of several shapes, none of them square, and write them to a folder.

    Raises:
        CallError: Pillow is not installed.
    """
    check_pillow()
    from PIL import Image

    across, around = Image.linear_gradient("L"), Image.radial_gradient("L")
    drawn = {
        "wide.png": Image.merge("RGB", (across, around, across.rotate(90))).resize((300, 200)),
        "tall.png": Image.merge("RGB", (around, across.rotate(180), around)).resize((90, 240)),
    }
    for name, image in drawn.items():
        image.save(folder / name)
    return tuple(ImageFile.of(folder / name, name) for name in drawn)
