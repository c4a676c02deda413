"""Images that stand where texts would: what names them, and how they are opened."""

import hashlib
import pickle
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_images import draw_shape

from probe.data.images import ImageFile, open_image, shown
from probe.data.texts import TextHash
from probe.errors import CallError, DataError
from probe.io.image_pixels import read_header

WHITE = (255, 255, 255)


def put(path: Path, image: Image.Image, **options: Any) -> ImageFile:
    image.save(path, **options)
    return ImageFile.of(path, path.name)


def pixels(image: ImageFile) -> np.ndarray:
    opened = open_image(image)
    assert opened.mode == "RGB"
    return np.asarray(opened)


@pytest.fixture
def drawing(tmp_path: Path) -> ImageFile:
    return put(tmp_path / "a.png", draw_shape("circle", "red", "top left"))


def test_an_image_is_its_name_and_the_hash_of_its_bytes(drawing: ImageFile) -> None:
    digest = hashlib.sha256(drawing.path.read_bytes()).hexdigest()
    assert drawing == f"a.png sha256:{digest}"
    assert isinstance(drawing, str)
    assert (drawing.name, shown(drawing), shown("a text")) == ("a.png", "a.png", "a text")


def test_other_bytes_under_the_same_name_give_another_text_hash(drawing: ImageFile) -> None:
    before = TextHash.of([("a", drawing)])
    drawing.path.write_bytes(drawing.path.read_bytes() + b"\0")
    assert TextHash.of([("a", ImageFile.of(drawing.path, "a.png"))]) != before


def test_an_image_can_be_sent_to_another_process(drawing: ImageFile) -> None:
    for copy in (pickle.loads(pickle.dumps(drawing)), deepcopy(drawing)):
        assert (type(copy), copy, copy.name, copy.path) == (ImageFile, drawing, drawing.name, drawing.path)


def test_a_colour_image_comes_out_as_it_went_in(drawing: ImageFile) -> None:
    assert np.array_equal(pixels(drawing), np.asarray(draw_shape("circle", "red", "top left")))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    seen = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
    # How a camera held that way stores what is seen: the inverse of what EXIF says is to be done.
    turns: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](seen)))
    assert np.array_equal(pixels(put(tmp_path / "a.png", stored, exif=exif)), seen)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_are_laid_on_white(tmp_path: Path, mode: str) -> None:
    alphas = (0, 51, 255)
    image = Image.new(mode, (3, 1))
    for place, alpha in enumerate(alphas):
        image.putpixel((place, 0), (100,) * (len(mode) - 1) + (alpha,))
    expected = [100 * alpha / 255 + 255 * (1 - alpha / 255) for alpha in alphas]
    found = pixels(put(tmp_path / "a.png", image))
    assert found[0, :, 0] == pytest.approx(expected, abs=1)
    assert (found[0, :, 0] == found[0, :, 2]).all()


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_colour_that_stands_for_transparent_is_white(tmp_path: Path, mode: str) -> None:
    image = Image.new(mode, (2, 1), (0, 0, 0) if mode == "RGB" else 0)
    if mode == "P":
        image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((1, 0), (200, 10, 10) if mode == "RGB" else 1)
    found = put(tmp_path / "a.png", image, transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert tuple(pixels(found)[0, 0]) == WHITE
    assert tuple(pixels(found)[0, 1]) == {"P": (200, 10, 10), "L": (1, 1, 1), "RGB": (200, 10, 10)}[mode]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    image = draw_shape("square", "black", "top left").convert(mode)
    found = pixels(put(tmp_path / "a.tiff", image))
    assert found.shape == (32, 32, 3)
    assert found[4, 4].max() < 30
    assert found[30, 30].min() > 240


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    found = pixels(put(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    assert found[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


@pytest.mark.parametrize("values", [np.full((1, 2), 0.5, np.float32), np.array([[0, 70000]], np.int32)])
def test_pixels_whose_white_nobody_knows_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"'a.tiff' .*unsupported depth: .*save it as PNG"):
        open_image(put(tmp_path / "a.tiff", Image.fromarray(values)))


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = put(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])
    assert tuple(pixels(found)[0, 0]) == (255, 0, 0)
    assert read_header(found.path, "a.gif").animated


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
def test_an_image_cut_short_is_named_in_one_line(tmp_path: Path, suffix: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    image = put(tmp_path / f"a.{suffix}", noise)
    image.path.write_bytes(image.path.read_bytes()[:1500])
    with pytest.raises(DataError, match=f"'a.{suffix}'.*(replace the file|is not an image)") as caught:
        open_image(image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
def test_damaged_bytes_never_give_another_error(tmp_path: Path, suffix: str) -> None:
    image = put(tmp_path / f"a.{suffix}", draw_shape("circle", "red", "top left"))
    whole, dice = image.path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        data = bytearray(whole)
        for place in dice.integers(0, min(len(data), 300), 4):
            data[place] = dice.integers(0, 256)
        image.path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                open_image(image)
            except DataError:
                refused += 1
    assert refused


def test_any_fault_of_pillow_is_told_in_one_line(drawing: ImageFile, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: Image.Image) -> None:
        raise ValueError("a strange byte\nfar inside")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    with pytest.raises(DataError, match=r"^'a.png' cannot be read as an image \(a strange byte\): replace the file"):
        open_image(drawing)


@pytest.mark.parametrize(
    ("data", "told"), [(b"", "it is empty"), (b"version https://git-lfs", r"it begins with b'version")]
)
def test_what_is_no_image_is_told_by_its_beginning(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(DataError, match=f"'a.png' is not an image .*{told}"):
        open_image(ImageFile.of(tmp_path / "a.png", "a.png"))


def test_a_file_that_went_away_is_named(drawing: ImageFile) -> None:
    drawing.path.unlink()
    with pytest.raises(DataError, match=r"'a.png' cannot be read as an image \(.*No such file"):
        open_image(drawing)


@pytest.mark.parametrize("most", [1023, 500])
def test_an_image_too_large_to_unpack_is_refused(
    drawing: ImageFile, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder, most: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
    for look in (lambda: open_image(drawing), lambda: read_header(drawing.path, "a.png")):
        with pytest.raises(DataError, match=r"'a.png' has .* pixels, above .*: resize the image"):
            look()
    assert not recwarn.list


def test_an_image_of_the_largest_size_is_read(drawing: ImageFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1024)
    assert open_image(drawing).size == (32, 32)


def test_without_pillow_one_line_says_what_to_install(drawing: ImageFile, without: Callable[[str], None]) -> None:
    without("PIL")
    with pytest.raises(CallError, match=r"images need Pillow: pip install 'encoder-surgery\[images\]'"):
        open_image(drawing)
