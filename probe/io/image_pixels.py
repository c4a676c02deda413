"""Image headers, and pixels as RGB."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from probe.errors import DataError, first_line

__all__ = ["ImageHeader", "opened", "read_header", "to_rgb"]

_WITHOUT_COLOUR = ("1", "L", "LA", "La", "I", "F")
_SIXTEEN_BITS = 65535


@dataclass(frozen=True)
class ImageHeader:
    """Header of an image file.

    Attributes:
        width: In pixels, before EXIF rotation.
        height: In pixels, before EXIF rotation.
        mode: Pillow's mode, such as `RGB` or `L`.
        transparent: Whether it has an alpha channel or a transparent colour.
        coloured: Whether it has more than shades of grey.
        animated: Whether it has several frames.
    """

    width: int
    height: int
    mode: str
    transparent: bool
    coloured: bool
    animated: bool


@contextmanager
def opened(path: Path, name: str) -> Iterator[Image.Image]:
    """Open an image, called `name` in messages, without decoding its pixels.

    Raises:
        DataError: If it is not an image, damaged or too large; also for errors raised in the with block.
    """
    try:
        with warnings.catch_warnings():
            # Reported by _refuse_large instead.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            _refuse_large(image, name)
            yield image
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_large(name, "even more pixels")) from error
    except UnidentifiedImageError as error:
        raise DataError(f"'{name}' is not an image (or its format is unsupported): it {_beginning(path)}") from error
    except Exception as error:  # Pillow's decoders raise nearly any type on damaged files
        raise DataError(
            f"'{name}' cannot be read as an image ({first_line(error)}): replace the file or remove its records"
        ) from error


def _refuse_large(image: Image.Image, name: str) -> None:
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise DataError(_too_large(name, f"{image.width} x {image.height} pixels"))


def _too_large(name: str, size: str) -> str:
    most = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
    return f"'{name}' has {size}, above the safety limit of {most} million: resize the image"


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(16)
    return f"begins with {data!r}" if data else "is empty"


def read_header(path: Path, name: str) -> ImageHeader:
    """Return the header of an image without decoding its pixels.

    Raises:
        DataError: If it is not an image or too large.
    """
    with opened(path, name) as image:
        return ImageHeader(
            width=image.width,
            height=image.height,
            mode=image.mode,
            transparent=image.has_transparency_data,
            coloured=image.mode.partition(";")[0] not in _WITHOUT_COLOUR,
            animated=getattr(image, "is_animated", False),
        )


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Return an upright RGB image; transparent parts become white.

    Raises:
        DataError: If the value range is unknown.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.partition(";")[0] in ("I", "F"):
        return _from_wide(upright, name).convert("RGB")
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    seen = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _from_wide(image: Image.Image, name: str) -> Image.Image:
    """Scale 16-bit pixels to 8 bits; Pillow itself would clip values above 255."""
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > _SIXTEEN_BITS:
        raise DataError(f"'{name}' has pixels of an unsupported depth: expected 8 or 16 bits; save it as PNG")
    return Image.fromarray(np.round(values * (255 / _SIXTEEN_BITS)).astype(np.uint8))
