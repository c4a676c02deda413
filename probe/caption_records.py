"""The lines of a file of captions: each names an image and says what is on it."""

import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from probe.errors import DataError
from probe.text_lines import SURROGATE, label, parse_json, read_lines, replace_surrogates

__all__ = ["Caption", "read_captions"]

_EXPECTED = 'expected {"image": "a/b.png", "caption": "what is on it"}'
_DEFAULT_SPLIT = "test"


class Caption(NamedTuple):
    """What somebody said of an image.

    Attributes:
        place: File and line, as messages name them.
        name: Its id: its line's `_id`, or c1, c2, ... by its place among all captions of the file.
        text: What was said.
        image: The image's path relative to the file's folder.
        split: Which split it belongs to.
    """

    place: str
    name: str
    text: str
    image: str
    split: str


def read_captions(path: Path) -> list[Caption]:
    """Read a file of captions.

    Args:
        path: A JSONL file. A line has `image` or `file_name`; `caption` or `text`, a string or several; and where it
            is wanted `split` and `_id`.

    Returns:
        The captions of all splits, in file order.

    Raises:
        DataError: The file cannot be read, a line is malformed, or an id comes twice.
    """
    found: list[Caption] = []
    for mark, line in read_lines(path):
        place = f"{label(path)}:{mark.number + 1}"
        found.extend(_read_line(parse_json(line, place), place, len(found) + 1))
    _refuse_duplicates(found)
    return found


def _read_line(record: Any, place: str, number: int) -> Iterator[Caption]:
    if not isinstance(record, dict):
        raise DataError(f"{place}: {_EXPECTED}, found {str(record)[:60]}")
    image, texts, split = _read_image(record, place), _read_texts(record, place), _read_split(record, place)
    own = _read_id(record, place)
    if own is not None and len(texts) > 1:
        raise DataError(f'{place}: "_id" names one caption, but there are {len(texts)}: give each a line of its own')
    for offset, text in enumerate(texts):
        yield Caption(place, own or f"c{number + offset}", text, image, split)


def _read_image(record: dict[str, Any], place: str) -> str:
    value = record.get("image") or record.get("file_name")
    if value is None or value == "":
        raise DataError(f'{place}: no image is named: expected its path as "image" (or "file_name")')
    if not isinstance(value, str) or SURROGATE.search(value):
        raise DataError(f'{place}: expected a path as "image" (or "file_name"), found {ascii(value)[:60]}')
    path = posixpath.normpath(value)
    if os.path.isabs(path) or path.split("/")[0] in (".", ".."):
        raise DataError(f"{place}: the image '{value}' lies outside the folder of the captions: move it there")
    return path


def _read_texts(record: dict[str, Any], place: str) -> list[str]:
    value: Any = record.get("text") if record.get("caption") is None else record["caption"]
    texts = value if isinstance(value, list) else [value]
    if value is None or not texts:
        raise DataError(f'{place}: the image has no caption: expected a text, or several, as "caption" (or "text")')
    if not all(isinstance(text, str) for text in texts):
        raise DataError(f'{place}: expected a text, or several, as "caption" (or "text"), found {ascii(value)[:60]}')
    if not all(text.strip() for text in texts):
        raise DataError(f"{place}: a caption is empty: say what is on the image, or drop it")
    return [replace_surrogates(text.strip()) for text in texts]


def _read_split(record: dict[str, Any], place: str) -> str:
    value = record.get("split")
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise DataError(f'{place}: expected a name as "split", train or test for instance, found {ascii(value)[:60]}')
    return value.strip() if value else _DEFAULT_SPLIT


def _read_id(record: dict[str, Any], place: str) -> str | None:
    value = record.get("_id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value) or SURROGATE.search(str(value)):
        raise DataError(f'{place}: expected a text or a number as "_id", found {ascii(value)[:60]}')
    return str(value)


def _refuse_duplicates(captions: list[Caption]) -> None:
    images = {caption.image for caption in captions}
    seen: dict[str, str] = {}
    for place, name, *_ in captions:
        if name in seen:
            raise DataError(
                f"{place}: the id '{name}' is already that of a caption at {seen[name]}: give it another _id"
            )
        if name in images:
            raise DataError(f"{place}: the caption's id '{name}' is also an image's name: give it another _id")
        seen[name] = place
