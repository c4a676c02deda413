"""The cut law on the folder of two towers: the cut one gives its layer's vectors, the other what it gave before."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from probe.encoder import Embeddings
from probe.image_file import ImageFile
from probe.model_config import read_model_config
from probe.reader import HookpointEncoder
from probe.search import unit
from probe.tower_loading import LoadedTower, load_other
from probe.tower_reader import TowerReader
from surgery.fresh_check import check_encoder
from surgery.samples import draw_images
from surgery.tower_cutting import CutTower

__all__ = ["check_towers"]


class _Both:
    """Two towers as one encoder of texts and of images, which are told by the names of their files."""

    def __init__(self, towers: Sequence[LoadedTower], images: Sequence[ImageFile]) -> None:
        """Read each tower at its last layer."""
        self._images = {str(image.path): image for image in images}
        self._readers = {
            tower.tower: HookpointEncoder(TowerReader(tower), tower.depth, str(tower.pooling)) for tower in towers
        }
        self._normalizes = read_model_config(towers[0].source.folder).normalizes

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts with the query prompt, or images; returns float32 `(N, P)`."""
        return self._as_saved(self._reader(texts).encode_query(self._opened(texts)))

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts with the document prompt, or images; returns float32 `(N, P)`."""
        return self._as_saved(self._reader(texts).encode_document(self._opened(texts)))

    def _reader(self, texts: Sequence[str]) -> HookpointEncoder:
        return self._readers["image" if texts[0] in self._images else "text"]

    def _opened(self, texts: Sequence[str]) -> list[str]:
        return [self._images.get(text, text) for text in texts]

    def _as_saved(self, vectors: Embeddings) -> Embeddings:
        return unit(vectors) if self._normalizes else vectors


def check_towers(folder: Path, model: CutTower, trust: bool = False) -> None:
    """Load the folder of both towers in a process of its own and compare its vectors of texts and of images.

    Args:
        folder: The saved folder.
        model: The tower that was cut, in float32; the other one is loaded from the original's files.
        trust: Let the folder run the code it brings, as the original was let.

    Raises:
        CallError: Pillow is not installed.
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    with tempfile.TemporaryDirectory() as scratch:
        images = draw_images(Path(scratch))
        both = _Both([model, load_other(model)], images)
        check_encoder(folder, both, trust, [str(image.path) for image in images])
