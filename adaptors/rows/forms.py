"""The form of a file of training rows, detected from its columns, with names as in other libraries too."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from probe.errors import CallError, DataError, did_you_mean
from probe.io.text_lines import label

__all__ = ["FORMS", "Form", "find_form"]

FORMS = (
    "anchor, positive[, negative or negative_1, negative_2, ...]; query, pos[, neg] (lists of texts); sentence1, "
    "sentence2, score; query, documents, labels"
)

# Accepted names of every column; the first is the canonical one.
_NAMES = {
    "query": ("query", "anchor", "sentence1"),
    "document": ("document", "sentence2"),
    "label": ("label", "score"),
    "positive": ("positive",),
    "pos": ("pos",),
    "neg": ("neg",),
    "documents": ("documents",),
    "labels": ("labels",),
}
# The columns of a form besides the query.
_OWN = {
    "point-wise": ("document", "label"),
    "pair-wise": ("positive",),
    "lists of positives": ("pos",),
    "list-wise": ("documents", "labels"),
}
_NUMBERED = re.compile(r"negative_([1-9]\d*)")


@dataclass(frozen=True)
class Form:
    """The form of the rows of a file.

    Attributes:
        kind: `point-wise`, `pair-wise`, `lists of positives` or `list-wise`.
        columns: The file's name of every column to read, by canonical name; negatives in order.
    """

    kind: str
    columns: Mapping[str, str]

    @property
    def negatives(self) -> list[str]:
        """The file's names of the columns with single negatives."""
        return [column for name, column in self.columns.items() if name.startswith("negative")]


def find_form(path: Path, places: Mapping[str, str], given: Mapping[str, str]) -> Form:
    """Return the form of a file from its columns; unknown columns are ignored.

    Args:
        path: The file.
        places: Its columns, each with the file and line of its first occurrence.
        given: Column names of the file by any of the accepted names.

    Raises:
        CallError: A given name is not an accepted one, or the file lacks a given column.
        DataError: The columns match no form or several, or a column occurs under two names.
    """
    found = _find_columns(path, places, given)
    kinds = [kind for kind, own in _OWN.items() if any(name in found for name in own)]
    negative = any(name.startswith("negative") for name in found)
    if negative and "pair-wise" not in kinds:
        kinds.append("pair-wise")
    if len(kinds) != 1:
        fault = f"columns of two forms ({' and '.join(kinds)})" if kinds else "unknown columns"
        raise DataError(f"{label(path)}:1: {fault}: found {_list(places)}\n{_expected()}")
    wanted = ("query", *_OWN[kinds[0]])
    missing = [name for name in wanted if name not in found]
    if missing:
        names = " or ".join(f'"{name}"' for name in _NAMES[missing[0]])
        raise DataError(
            f"{label(path)}:1: column {names} is missing: found {_list(places)} ({kinds[0]})\n{_expected()}"
        )
    if "neg" in found and kinds[0] != "lists of positives":
        raise DataError(
            f'{label(path)}:1: column "{found["neg"]}" belongs to pos, not to {kinds[0]} rows: found {_list(places)}\n'
            f"{_expected()}"
        )
    more = {"pair-wise": _order_negatives(found, places), "lists of positives": [n for n in ("neg",) if n in found]}
    return Form(kinds[0], {name: found[name] for name in (*wanted, *more.get(kinds[0], []))})


def _find_columns(path: Path, places: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the file's name of every known column in it."""
    usual = {alias: name for name, aliases in _NAMES.items() for alias in aliases}
    found: dict[str, str] = {}
    for alias, column in given.items():
        name = usual.get(alias, alias)
        if alias not in usual and alias != "negative" and not _NUMBERED.fullmatch(alias):
            known = [*usual, "negative", "negative_1"]
            raise CallError(f"--columns {alias}={column}: unknown name '{alias}': {did_you_mean(alias, known)}")
        if column not in places:
            raise CallError(f"--columns {alias}={column}: '{path}' has no column '{column}', found {_list(places)}")
        if name in found:
            raise CallError(f"--columns {alias}={column}: '{alias}' is already '{found[name]}': give only one of them")
        found[name] = column
    mapped = set(found.values())
    for column in places:
        name = usual.get(column, column if column.startswith("negative") else "")
        if not name or column in mapped or name in given or any(usual.get(one) == name for one in given):
            continue
        if name in found:
            raise DataError(
                f"{places[column]}: columns {found[name]} and {column} have the same meaning: choose with --columns "
                f"{name}={found[name]}"
            )
        found[name] = column
    return found


def _order_negatives(found: Mapping[str, str], places: Mapping[str, str]) -> list[str]:
    """Return the names of the columns with negatives, in order."""
    names = [name for name in found if name.startswith("negative")]
    if names == ["negative"]:
        return names
    for name in names:
        if not _NUMBERED.fullmatch(name):
            raise DataError(
                f'{places[found[name]]}: column "{name}": expected only negative, or negative_1, negative_2, ...'
            )
    names.sort(key=lambda name: int(name.removeprefix("negative_")))
    for number, name in enumerate(names, start=1):
        if name != f"negative_{number}":
            raise DataError(
                f'{places[found[name]]}: column "{name}" without "negative_{number}": number them without gaps'
            )
    return names


def _list(places: Mapping[str, str]) -> str:
    return (", ".join(places) or "no columns")[:80]


def _expected() -> str:
    return f"expected {FORMS}; or map your columns: --columns anchor=question,positive=answer"
