"""Reference data shipped with the product: model catalog, published scores, checksums of data sets."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["read_reference"]


@cache
def read_reference(name: str) -> Any:
    """Read one JSON file of `probe/tables`.

    Args:
        name: `catalog`, `published`, `beir` or `docstrings`.

    Returns:
        The parsed JSON; shared by all callers, so not to be changed.
    """
    return json.loads((files("probe") / "tables" / f"{name}.json").read_text(encoding="utf-8"))
