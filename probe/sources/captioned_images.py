"""Reader of image folders with captions as retrieval data sets, in either direction."""

import os
import posixpath
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from probe.data.dataset import Dataset, Defects, Qrels
from probe.data.images import ImageFile, check_pillow
from probe.data.qrels import choose_split
from probe.data.records import check_id
from probe.data.texts import Texts
from probe.errors import CallError, DataError
from probe.io.text_lines import SURROGATE, label, parse_json, read_lines, replace_surrogates
from probe.sources.beir import CAPTION_FILES, list_files

__all__ = ["Caption", "ImageFolder", "find_image_folder", "read_captions", "read_image_folder"]

_EXPECTED = 'expected {"image": "a/b.png", "caption": "text"}'
_DEFAULT_SPLIT = "test"


class Caption(NamedTuple):
    """A caption of an image.

    Attributes:
        location: File and line, for messages.
        name: Its `_id`; default: c1, c2, ... by position in the file.
        text: Its text.
        image: Path of the image, relative to the file's folder.
        split: Name of its split.
    """

    location: str
    name: str
    text: str
    image: str
    split: str


def read_captions(path: Path) -> list[Caption]:
    """Read the captions of all splits, in file order.

    Args:
        path: JSONL file. Each line has `image` or `file_name`; `caption` or `text` (a string or a list); optionally
            `split` and `_id`.

    Raises:
        DataError: If the file is unreadable, a line is malformed, or an id is not unique.
    """
    found: list[Caption] = []
    for mark, line in read_lines(path):
        location = f"{label(path)}:{mark.number + 1}"
        found.extend(_read_line(parse_json(line, location), location, len(found) + 1))
    _refuse_duplicates(found)
    return found


def _read_line(record: Any, location: str, number: int) -> Iterator[Caption]:
    if not isinstance(record, dict):
        raise DataError(f"{location}: {_EXPECTED}, found {str(record)[:60]}")
    image, texts = _read_image_path(record, location), _read_texts(record, location)
    split, own = _read_split(record, location), _read_id(record, location)
    if own is not None and len(texts) > 1:
        raise DataError(f'{location}: one "_id" for {len(texts)} captions: put each caption on its own line')
    for offset, text in enumerate(texts):
        yield Caption(location, own or f"c{number + offset}", text, image, split)


def _read_image_path(record: dict[str, Any], location: str) -> str:
    value = record.get("image") or record.get("file_name")
    if value is None or value == "":
        raise DataError(f'{location}: no image: expected its path as "image" (or "file_name")')
    if not isinstance(value, str) or SURROGATE.search(value):
        raise DataError(f'{location}: expected a path as "image" (or "file_name"), found {ascii(value)[:60]}')
    path = posixpath.normpath(value)
    if os.path.isabs(path) or path.split("/")[0] in (".", ".."):
        raise DataError(f"{location}: image '{value}' is outside the captions' folder: move it into the folder")
    return path


def _read_texts(record: dict[str, Any], location: str) -> list[str]:
    value: Any = record.get("text") if record.get("caption") is None else record["caption"]
    texts = value if isinstance(value, list) else [value]
    if value is None or not texts:
        raise DataError(f'{location}: no caption: expected a string or a list as "caption" (or "text")')
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f'{location}: expected a string or a list as "caption" (or "text"), found {ascii(value)[:60]}')
    if not all(text.strip() for text in texts):
        raise DataError(f"{location}: empty caption: write one or remove it")
    return [replace_surrogates(text.strip()) for text in texts]


def _read_split(record: dict[str, Any], location: str) -> str:
    value = record.get("split")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise DataError(f'{location}: expected a name such as train or test as "split", found {ascii(value)[:60]}')
    return value.strip() if value else _DEFAULT_SPLIT


def _read_id(record: dict[str, Any], location: str) -> str | None:
    value = record.get("_id")
    return None if value is None else check_id(value, location)


def _refuse_duplicates(captions: list[Caption]) -> None:
    images = {caption.image for caption in captions}
    seen: dict[str, str] = {}
    for location, name, *_ in captions:
        if name in seen:
            raise DataError(f"{location}: duplicate id '{name}' (first used at {seen[name]}): choose another _id")
        if name in images:
            raise DataError(f"{location}: the caption's id '{name}' is also an image name: choose another _id")
        seen[name] = location


_SIDES = ("images", "captions")


class ImageFolder(NamedTuple):
    """A folder of images with captions, and the side that is searched.

    Attributes:
        captions: The captions file; image paths are relative to its folder.
        searched: `images` for captions as queries, `captions` for images as queries.
    """

    captions: Path
    searched: str


def find_image_folder(name: str) -> ImageFolder | None:
    """Return the image folder that a data set name refers to.

    Args:
        name: `DIR`, `DIR:images` or `DIR:captions`; the part after the colon is the side that is searched.

    Returns:
        The folder, or None if the name is not an image folder.

    Raises:
        CallError: If the folder exists but the part after the colon is invalid.
    """
    if os.path.exists(name):
        file = _find_captions(name)
        return ImageFolder(file, _SIDES[0]) if file else None
    folder, colon, searched = name.rpartition(":")
    if not colon or not os.path.isdir(folder):
        return None
    file = _find_captions(folder)
    if file is None and searched in _SIDES:
        raise CallError(f"'{folder}' has no images with captions: ':{searched}' does not apply, remove it")
    if file is not None and searched not in _SIDES:
        raise CallError(
            f"'{folder}' has images and captions: expected ':images' or ':captions' after it, found ':{searched}'"
        )
    return ImageFolder(file, searched) if file else None


def _find_captions(name: str) -> Path | None:
    folder = Path(name)
    found = next((folder / file for file in CAPTION_FILES if os.path.isfile(folder / file)), None)
    return None if found is None or list_files(folder, "corpus") else found


def read_image_folder(source: ImageFolder, split: str | None = None) -> Dataset:
    """Read the images and captions of one split.

    Args:
        source: The folder and the side that is searched.
        split: Split to read; default: `test`, or the only split.

    Returns:
        The data set; a caption is relevant to its own image only.

    Raises:
        CallError: If the split does not exist or Pillow is not installed.
        DataError: If a line is malformed, or an image is missing or unreadable.
    """
    check_pillow()
    folder = source.captions.parent
    found = read_captions(source.captions)
    chosen = choose_split(sorted({caption.split for caption in found}), split, str(folder))
    captions = [caption for caption in found if caption.split == chosen]
    defects = Defects()
    images = _read_images(folder.absolute(), captions, defects)
    _note_shared(captions, defects)
    texts = Texts.gather((caption.name, caption.text) for caption in captions)
    searching = source.searched == "captions"
    return Dataset(
        name=folder.resolve().name + (":captions" if searching else ""),
        split=chosen,
        documents=texts if searching else images,
        queries=images if searching else texts,
        qrels=_judge(captions, searching),
        defects=defects.summarize(),
        images="queries" if searching else "documents",
    )


def _read_images(folder: Path, captions: Sequence[Caption], defects: Defects) -> Texts:
    first: dict[str, str] = {}
    for caption in captions:
        first.setdefault(caption.image, caption.location)
    return Texts.gather((name, _read_image(folder, name, first[name], defects=defects)) for name in first)


def _read_image(folder: Path, name: str, location: str, *, defects: Defects) -> ImageFile:
    from probe.io.image_pixels import read_header

    path = folder / name
    if not os.path.isfile(path):
        raise DataError(f"{location}: image '{name}' not found in {folder}: add it or remove its lines")
    try:
        header = read_header(path, name)
        image = ImageFile.of(path, name)
    except (DataError, OSError) as error:
        raise DataError(f"{location}: {error}") from error
    if header.transparent:
        defects.add("images with transparency (blended onto white)", name)
    if not header.coloured:
        defects.add("greyscale images (read as RGB)", name)
    if header.animated:
        defects.add("images with several frames (only the first is used)", name)
    return image


def _note_shared(captions: Sequence[Caption], defects: Defects) -> None:
    images: dict[str, set[str]] = defaultdict(set)
    for caption in captions:
        images[caption.text].add(caption.image)
    for caption in captions:
        if len(images[caption.text]) > 1:
            defects.add("captions shared by several images (each is relevant to its own image only)", caption.location)


def _judge(captions: Sequence[Caption], searching: bool) -> Qrels:
    qrels: Qrels = defaultdict(dict)
    for caption in captions:
        query, document = (caption.image, caption.name) if searching else (caption.name, caption.image)
        qrels[query][document] = 1
    return dict(qrels)
