"""What images are like, at a glance: sizes and channels."""

from collections import Counter
from typing import Any

import numpy as np

from probe.image_file import ImageFile
from probe.texts import Documents

__all__ = ["image_words", "summarise_images"]


def summarise_images(images: Documents) -> dict[str, Any]:
    """Measure images by their headers.

    Args:
        images: Images with their ids.

    Returns:
        `width` and `height` at the 0th, 25th, 50th, 75th and 100th percentile, before images are turned upright;
        `modes` with their counts, in Pillow's words, the commonest first.

    Raises:
        DataError: An image cannot be read any more.
    """
    from probe.image_pixels import read_header

    headers = [read_header(image.path, name) for name, image in images if isinstance(image, ImageFile)]
    modes = Counter(header.mode for header in headers)
    return {
        "width": _percentiles([header.width for header in headers]),
        "height": _percentiles([header.height for header in headers]),
        "modes": {mode: modes[mode] for mode in sorted(modes, key=lambda mode: (-modes[mode], mode))},
    }


def _percentiles(values: list[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in np.percentile(values, [0, 25, 50, 75, 100]))


def image_words(modes: dict[str, int]) -> str:
    """Return the modes as a line of a table."""
    return ", ".join(f"{count} {mode}" for mode, count in modes.items())
