"""Images to try a model on."""

from pathlib import Path

from probe.data.images import ImageFile, check_pillow

__all__ = ["draw_images"]


def draw_images(folder: Path) -> tuple[ImageFile, ...]:
    """Draw images of several shapes, none of them square.

    Args:
        folder: Where their files go.

    Returns:
        The images.

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
