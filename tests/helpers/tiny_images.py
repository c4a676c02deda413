"""Small drawings with captions, written to a folder."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from tiny_data import write_lines

__all__ = ["COLOURS", "POSITIONS", "SHAPES", "SIZE", "draw_shape", "draw_shapes", "write_captions"]

SIZE = 32
SHAPES = ("circle", "square", "triangle")
COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 40),
    "blue": (30, 60, 220),
    "yellow": (240, 220, 40),
    "black": (10, 10, 10),
    "purple": (140, 30, 160),
}
POSITIONS = {"top left": (2, 2), "top right": (16, 2), "bottom left": (2, 16), "bottom right": (16, 16)}
_WIDTH = 13


def draw_shape(shape: str, colour: str, position: str) -> Image.Image:
    """Return a drawing of 32 x 32 pixels on white."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    pen = ImageDraw.Draw(image)
    left, top = POSITIONS[position]
    right, bottom = left + _WIDTH, top + _WIDTH
    if shape == "circle":
        pen.ellipse((left, top, right, bottom), COLOURS[colour])
    elif shape == "square":
        pen.rectangle((left, top, right, bottom), COLOURS[colour])
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], COLOURS[colour])
    return image


def write_captions(folder: Path, lines: list[dict[str, Any]], name: str = "captions.jsonl") -> Path:
    """Write a file of captions and return its folder."""
    write_lines(folder / name, [json.dumps(line) for line in lines])
    return folder


def draw_shapes(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """Draw up to 72 shapes, no two alike, each with a caption; the first half is `train`, the rest `test`.

    Returns:
        The folder: `images/N-red-circle-top-left.png` with the caption "a red circle at the top left".
    """
    every = list(product(SHAPES, COLOURS, POSITIONS))
    if count > len(every):
        raise ValueError(f"there are {len(every)} different shapes, not {count}")
    (folder / "images").mkdir(parents=True)
    lines = []
    for number, (shape, colour, position) in enumerate(random.Random(seed).sample(every, count)):
        name = f"images/{number}-{colour}-{shape}-{position.replace(' ', '-')}.png"
        draw_shape(shape, colour, position).save(folder / name)
        split = "train" if number < count // 2 else "test"
        lines.append({"image": name, "caption": f"a {colour} {shape} at the {position}", "split": split})
    return write_captions(folder, lines)
