"""Check that a saved two-tower model gives in a fresh process what it gave here, for texts and for images."""

import tempfile
from pathlib import Path
from typing import cast

from adaptors.paired_model import PairedModel, two_images
from probe.encoder import Encoder
from surgery.fresh_check import check_encoder

__all__ = ["check_pair"]


def check_pair(folder: Path, model: PairedModel) -> None:
    """Load a saved folder in a process of its own, through plain sentence-transformers, and compare its vectors.

    Args:
        folder: The saved folder.
        model: What was saved, in float32.

    Raises:
        ModelError: The folder cannot be loaded, or gives other vectors.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = [Path(scratch, f"{number}.png") for number in range(2)]
        for image, file in zip(two_images(), files, strict=True):
            image.save(file)
        check_encoder(folder, cast("Encoder", model), False, [str(file) for file in files])
