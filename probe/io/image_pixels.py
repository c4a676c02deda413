"""What is in an image's file: its header, and its pixels in RGB."""

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
    """What an image's header says.

    Attributes:
        width: In pixels, before it is turned upright.
        height: The same.
        mode: Pillow's word for its channels, `RGB` or `L` for instance.
        transparent: Whether it may have transparent parts.
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
    """Open an image, called `name` in messages; its pixels are not decoded yet.

    Raises:
        DataError: It is none, is damaged, or too large; also where the block finds that out.
    """
    try:
        with warnings.catch_warnings():
            # Said in our own words below.
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
        raise DataError(f"'{name}' is no image that Pillow knows: it {_beginning(path)}; convert it to PNG") from error
    except Exception as error:  # a damaged byte makes Pillow's readers raise nearly anything
        raise DataError(
            f"'{name}' cannot be read as an image ({first_line(error)}): replace it, or drop its lines"
        ) from error


def _refuse_large(image: Image.Image, name: str) -> None:
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and image.width * image.height > most:
        raise DataError(_too_large(name, f"{image.width} x {image.height} pixels"))


def _too_large(name: str, size: str) -> str:
    most = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
    return f"'{name}' has {size}, more than the {most} million that are safe to unpack: make it smaller"


def _beginning(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(16)
    return f"begins with {data!r}" if data else "is empty"


def read_header(path: Path, name: str) -> ImageHeader:
    """Return what an image's header says; no pixel is decoded.

    Raises:
        DataError: It is no image, or too large.
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
    """Return an image of any mode upright and in RGB, transparent parts laid on white.

    Raises:
        DataError: It is not known which of its values is white.
    """
    upright = ImageOps.exif_transpose(image)
    if upright.mode.partition(";")[0] in ("I", "F"):
        return _from_wide(upright, name).convert("RGB")
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    seen = upright.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")


def _from_wide(image: Image.Image, name: str) -> Image.Image:
    """Scale pixels of 16 bits to 8; Pillow itself would cut off what is above 255."""
    values = np.asarray(image)
    if image.mode == "F" or values.min(initial=0) < 0 or values.max(initial=0) > _SIXTEEN_BITS:
        raise DataError(f"'{name}' has pixels that are no 8 or 16 bits, so nobody knows which is white: save it as PNG")
    return Image.fromarray(np.round(values * (255 / _SIXTEEN_BITS)).astype(np.uint8))
