"""The files of a two-tower model: whether it has two, and what its image processor is told."""

import hashlib
import json
from pathlib import Path

from probe.errors import CallError, ModelError
from probe.io.package_data import library_versions
from probe.layers.hookpoint import TOWERS
from probe.models.sources import hash_files

__all__ = ["PROCESSOR_FILES", "TOWER_CONFIGS", "check_tower", "find_towers", "hash_image_processor"]

# Where a config of two towers keeps that of each.
TOWER_CONFIGS = {"image": "vision_config", "text": "text_config"}
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def find_towers(folder: Path) -> tuple[str, ...]:
    """Return the towers of the model in a folder: `image` and `text`, or none where it has a single one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    both = isinstance(config, dict) and all(isinstance(config.get(key), dict) for key in TOWER_CONFIGS.values())
    return TOWERS if both else ()


def check_tower(name: str, tower: str | None, both: bool) -> None:
    """Refuse a tower that is not there, and a model that has both without the name of one.

    Raises:
        CallError: It is so.
    """
    if tower is None and both:
        named = " or ".join(f"{name}@{other}" for other in TOWERS)
        raise CallError(f"'{name}' has two towers, one for images and one for texts: name one, as {named}")
    if tower is not None and not both:
        raise CallError(
            f"'{name}' has a single tower, for texts: leave out '@{tower}', or name a model of two, as clip@{tower}"
        )


def hash_image_processor(folder: Path, name: str) -> str:
    """Return the sha256 of what decides the pixels that a model sees.

    Raises:
        ModelError: There are no such files.
    """
    files = [folder / file for file in PROCESSOR_FILES if (folder / file).is_file()]
    if not files:
        raise ModelError(f"'{name}' holds no image processor: expected preprocessor_config.json beside the weights")
    versions = library_versions(("pillow",))
    return hashlib.sha256(f"{hash_files(files)} {versions}".encode()).hexdigest()
