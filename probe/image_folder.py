"""Read a folder of images with captions as a retrieval data set, in either direction."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from probe.beir_folder import CAPTION_FILES, list_files
from probe.beir_format import choose_split
from probe.caption_records import Caption, read_captions
from probe.dataset import Dataset, Qrels
from probe.defects import Defects
from probe.errors import CallError, DataError
from probe.image_file import ImageFile, check_pillow
from probe.texts import Texts

__all__ = ["ImageFolder", "find_image_folder", "read_image_folder"]

_SIDES = ("images", "captions")


class ImageFolder(NamedTuple):
    """A folder of images with captions, and what is searched in it.

    Attributes:
        captions: The file with the captions; images lie relative to its folder.
        searched: `images` for captions as queries, `captions` for images as queries.
    """

    captions: Path
    searched: str


def find_image_folder(name: str) -> ImageFolder | None:
    """Return the folder of images that a data set's name stands for.

    Args:
        name: `DIR`, `DIR:images` or `DIR:captions`; what follows the colon is searched.

    Returns:
        The folder; None where the name stands for something else.

    Raises:
        CallError: The folder is there, but not what is to be searched in it.
    """
    if os.path.exists(name):
        file = _find_captions(name)
        return ImageFolder(file, _SIDES[0]) if file else None
    place, colon, searched = name.rpartition(":")
    if not colon or not os.path.isdir(place):
        return None
    file = _find_captions(place)
    if file is None and searched in _SIDES:
        raise CallError(
            f"'{place}' holds no images with captions, so nothing is '{searched}' in it: leave :{searched} out"
        )
    if file is not None and searched not in _SIDES:
        raise CallError(
            f"'{place}' has images and captions: expected :images or :captions after it, found ':{searched}'"
        )
    return ImageFolder(file, searched) if file else None


def _find_captions(name: str) -> Path | None:
    folder = Path(name)
    found = next((folder / file for file in CAPTION_FILES if os.path.isfile(folder / file)), None)
    return None if found is None or list_files(folder, "corpus") else found


def read_image_folder(place: ImageFolder, split: str | None = None) -> Dataset:
    """Read images with captions; only those of one split are searched.

    Args:
        place: The folder, and what is searched in it.
        split: Whose captions to read; `test` when left out, or the only one there is.

    Returns:
        The data set; every caption is relevant to its own image only.

    Raises:
        CallError: There is no such split, or Pillow is not installed.
        DataError: A line is malformed, or an image is missing or none.
    """
    check_pillow()
    folder = place.captions.parent
    found = read_captions(place.captions)
    chosen = choose_split(sorted({caption.split for caption in found}), split, str(folder))
    captions = [caption for caption in found if caption.split == chosen]
    defects = Defects()
    images = _read_images(folder.absolute(), captions, defects)
    _note_shared(captions, defects)
    texts = Texts.gather((caption.name, caption.text) for caption in captions)
    searching = place.searched == "captions"
    return Dataset(
        name=folder.resolve().name + (":captions" if searching else ""),
        split=chosen,
        documents=texts if searching else images,
        queries=images if searching else texts,
        qrels=_judge(captions, searching),
        defects=defects.summarise(),
        images="queries" if searching else "documents",
    )


def _read_images(folder: Path, captions: Sequence[Caption], defects: Defects) -> Texts:
    places: dict[str, str] = {}
    for caption in captions:
        places.setdefault(caption.image, caption.place)
    return Texts.gather((name, _read_image(folder, name, place, defects)) for name, place in places.items())


def _read_image(folder: Path, name: str, place: str, defects: Defects) -> ImageFile:
    from probe.image_pixels import read_header

    path = folder / name
    if not os.path.isfile(path):
        raise DataError(f"{place}: the image '{name}' is not in {folder}: put it there, or drop its lines")
    try:
        header = read_header(path, name)
        image = ImageFile.of(path, name)
    except (DataError, OSError) as error:
        raise DataError(f"{place}: {error}") from error
    if header.transparent:
        defects.add("images with transparency (laid on white)", name)
    if not header.coloured:
        defects.add("images without colour (read as RGB)", name)
    if header.animated:
        defects.add("images of several frames (the first is read)", name)
    return image


def _note_shared(captions: Sequence[Caption], defects: Defects) -> None:
    images: dict[str, set[str]] = defaultdict(set)
    for caption in captions:
        images[caption.text].add(caption.image)
    for caption in captions:
        if len(images[caption.text]) > 1:
            defects.add("captions that several images share (each is relevant to its own only)", caption.place)


def _judge(captions: Sequence[Caption], searching: bool) -> Qrels:
    qrels: Qrels = defaultdict(dict)
    for caption in captions:
        query, document = (caption.image, caption.name) if searching else (caption.name, caption.image)
        qrels[query][document] = 1
    return dict(qrels)
