"""Refuse images where only texts can be read."""

from collections.abc import Iterable

from probe.dataset import Dataset
from probe.errors import CallError
from probe.image_file import ImageFile

__all__ = ["refuse_image_files", "refuse_images"]


def refuse_images(dataset: Dataset, who: str) -> None:
    """Refuse a data set of images before any work.

    Args:
        dataset: The data set.
        who: What reads texts only, as messages name it.

    Raises:
        CallError: One side of it is images.
    """
    if dataset.images:
        raise CallError(
            f"'{dataset.name}' holds images, and {who} reads texts only: probe layers and probe rank read images"
        )


def refuse_image_files(texts: Iterable[str], model: str) -> None:
    """Refuse images among the texts that a model of texts is given.

    Args:
        texts: The texts.
        model: The model's name.

    Raises:
        CallError: One is an image.
    """
    found = next((text for text in texts if isinstance(text, ImageFile)), None)
    if found is not None:
        raise CallError(
            f"'{found.name}' is an image, and '{model}' reads texts only: name a model with an image tower, as "
            "clip@image"
        )
