"""Read results that commands saved as JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from probe.errors import DataError, wrong_type
from probe.results.classification import ClassificationResult
from probe.results.gate import GateResult
from probe.results.geometry import GeometryMatrix, GeometryResult
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import DatasetMatrix
from probe.results.result import SCHEMA, Result
from probe.results.similarity import SimilarityResult
from probe.results.slim import SlimResult

__all__ = ["column_names", "read_result"]

_KINDS: dict[str, type[Result]] = {
    kind.kind: kind
    for kind in (Leaderboard, GeometryResult, ClassificationResult, SimilarityResult, SlimResult, GateResult)
}

# Of the same kinds, over several data sets.
_JOINED: dict[str, type[DatasetMatrix] | type[GeometryMatrix]] = {
    kind.kind: kind for kind in (DatasetMatrix, GeometryMatrix)
}


def column_names(kind: str, datasets: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what `--columns` may name of a kind of result; a metric of a leaderboard by its own name as well.

    Args:
        kind: The kind.
        datasets: Names of the data sets, if there are several.
    """
    joined = _JOINED.get(kind) if len(datasets) > 1 else None
    if joined is None:
        return _KINDS[kind].column_names
    own = [column for name in datasets for column in joined.names_on(name)]
    return (*joined.column_names, *own)


def read_result(path: str | Path) -> Result:
    """Read a result.

    Args:
        path: A .json file that a command saved.

    Returns:
        What the command showed.

    Raises:
        CallError: This is no path.
        DataError: It cannot be read, is empty, or is not a result of encoder-surgery.
    """
    if not isinstance(path, str | Path):
        raise wrong_type("result", path, "the path of a .json file")
    payload = _read_json(Path(path))
    kind, schema = payload.get("kind"), payload.get("schema")
    if not isinstance(kind, str) or kind not in _KINDS:
        keys = ", ".join(map(repr, list(payload)[:4])) or "nothing"
        found = f"kind {kind!r}" if "kind" in payload else f"an object with {keys}"
        raise DataError(
            f"{path}: not a result of encoder-surgery: found {found}, expected one of {', '.join(_KINDS)}; "
            "save one with --save FILE.json"
        )
    if schema != SCHEMA:
        raise DataError(f"{path}: schema {schema!r}, but this version reads schema {SCHEMA}: run the command again")
    try:
        form = _JOINED.get(kind, _KINDS[kind]) if payload.get("datasets") else _KINDS[kind]
        result: Result = TypeAdapter(form).validate_python(payload)
        result.title(), result.cells(), result.notes(), result.verdict(), result.cautions(), result.brief()
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: not a valid {kind} result, at '{where}': {first['msg']}") from error
    except KeyError as error:
        raise DataError(f"{path}: its settings or scores lack {error}: run the command again") from error
    return result


def _read_json(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); expected a saved .json") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    if not text.strip():
        raise DataError(f"{path}: the file is empty; expected a result saved with --save FILE.json")
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); expected a result saved with --save FILE.json") from error
    if not isinstance(payload, dict):
        raise DataError(f"{path}: expected an object saved with --save FILE.json, found a {type(payload).__name__}")
    return payload
