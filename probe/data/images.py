"""An image where a text stands: known by its name and its bytes, opened when a model reads it."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import CallError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageFile", "check_pillow", "open_image", "refuse_image_files", "shown"]


class ImageFile(str):
    """An image that stands where a text would.

    As a string it is its name and the sha256 of its bytes, so that every hash over texts covers what it shows.

    Attributes:
        name: Its path relative to the data set's folder.
        path: Its file.
    """

    name: str
    path: Path

    def __new__(cls, text: str, name: str, path: Path) -> "ImageFile":
        """Take an image whose bytes were read; see `of`."""
        image = super().__new__(cls, text)
        image.name, image.path = name, path
        return image

    def __getnewargs__(self) -> tuple[str, str, Path]:  # type: ignore[override]
        return str(self), self.name, self.path

    @classmethod
    def of(cls, path: Path, name: str) -> "ImageFile":
        """Return the image in a file, which is read whole; its name is its path relative to the data set's folder."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(f"{name} sha256:{digest}", name, path)


def shown(text: str) -> str:
    """Return a text to show: of an image its name."""
    return text.name if isinstance(text, ImageFile) else text


def check_pillow() -> None:
    """Refuse images where Pillow is not installed.

    Raises:
        CallError: It is not.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise CallError("images need Pillow: pip install 'encoder-surgery[images]'") from error


def open_image(image: ImageFile) -> "Image.Image":
    """Open an image as a model reads it: upright, in RGB, transparent parts laid on white, of several frames the first.

    Args:
        image: The image.

    Returns:
        Its pixels, decoded.

    Raises:
        CallError: Pillow is not installed.
        DataError: The file is no image, damaged, cut short or too large to be unpacked safely.
    """
    check_pillow()
    from probe.io.image_pixels import opened, to_rgb

    with opened(image.path, image.name) as pixels:
        return to_rgb(pixels, image.name)


def refuse_image_files(texts: Iterable[str], model: str) -> None:
    """Refuse images among the texts that a model of texts is given.

    Raises:
        CallError: One is an image.
    """
    found = next((text for text in texts if isinstance(text, ImageFile)), None)
    if found is not None:
        raise CallError(
            f"'{found.name}' is an image, and '{model}' reads texts only: name a model with an image tower, as "
            "clip@image"
        )
