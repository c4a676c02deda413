"""Images in place of texts: identified by name and content, opened when a model reads them."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from probe.errors import CallError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ImageFile", "check_pillow", "open_image", "refuse_image_files", "shown"]


class ImageFile(str):
    """An image in place of a text.

    Its string value is its name and the sha256 of its bytes, so every hash of texts covers the image content.

    Attributes:
        name: Path relative to the data set's folder.
        path: Path of the file.
    """

    name: str
    path: Path

    def __new__(cls, text: str, name: str, path: Path) -> "ImageFile":
        """Create an image whose hash is known; see `of`."""
        image = super().__new__(cls, text)
        image.name, image.path = name, path
        return image

    def __getnewargs__(self) -> tuple[str, str, Path]:  # type: ignore[override]
        return str(self), self.name, self.path

    @classmethod
    def of(cls, path: Path, name: str) -> "ImageFile":
        """Read an image file and return its ImageFile; `name` is the path relative to the data set's folder."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(f"{name} sha256:{digest}", name, path)


def shown(text: str) -> str:
    """Return a text for display; for an image, its name."""
    return text.name if isinstance(text, ImageFile) else text


def check_pillow() -> None:
    """Raise if Pillow is not installed.

    Raises:
        CallError: If Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise CallError("images need Pillow: pip install 'encoder-surgery[images]'") from error


def open_image(image: ImageFile) -> "Image.Image":
    """Open an image as models read it: first frame, upright, in RGB, transparency blended onto white.

    Args:
        image: The image.

    Returns:
        The decoded image.

    Raises:
        CallError: If Pillow is not installed.
        DataError: If the file is not an image, damaged, truncated or too large to decode safely.
    """
    check_pillow()
    from probe.io.image_pixels import opened, to_rgb

    with opened(image.path, image.name) as pixels:
        return to_rgb(pixels, image.name)


def refuse_image_files(texts: Iterable[str], model: str) -> None:
    """Raise if texts for a text-only model contain an image.

    Raises:
        CallError: If one of the texts is an image.
    """
    found = next((text for text in texts if isinstance(text, ImageFile)), None)
    if found is not None:
        raise CallError(
            f"'{found.name}' is an image, and '{model}' supports only text: use a model with an image tower, such as "
            "clip@image"
        )
