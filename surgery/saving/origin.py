"""The origin of a saved model and the steps applied to it: the facts behind its model card."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from probe.models.sources import ModelSource

__all__ = ["Origin", "add_step", "front_matter", "inherit", "join_origins", "read_origin"]

_FACTS, _CARD = "surgery.json", "README.md"
_LICENSE = ("license", "license_name", "license_link")
_TAGS = ("sentence-transformers", "feature-extraction", "sentence-similarity", "encoder-surgery")


@dataclass(frozen=True)
class Origin:
    """The facts in surgery.json that a model card repeats.

    Attributes:
        base_model: Hub ids of the original models; empty if they are not on the hub.
        license: Their license, from the metadata of their cards; empty if unknown.
        steps: Training steps, in order, as plain values.
        facts: The complete content of the file.
    """

    base_model: tuple[str, ...]
    license: Mapping[str, str]
    steps: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any]


def read_origin(folder: Path) -> Origin:
    """Return the origin recorded in a saved folder; empty without a record."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        facts = {}
    return Origin(tuple(facts.get("base_model", ())), facts.get("license", {}), tuple(facts.get("steps", ())), facts)


def inherit(source: ModelSource) -> dict[str, Any]:
    """Return the facts a model inherits from its original: hub id, license and training steps."""
    before = read_origin(source.folder)
    return {
        "base_model": [source.hub_id] if source.hub_id else list(before.base_model),
        "license": _read_license(source.folder) or dict(before.license),
        "steps": list(before.steps),
    }


def join_origins(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the facts a fused model inherits from its members; the license only if all share it."""
    names = dict.fromkeys(name for part in parts for name in part["base_model"])
    licenses = [part["license"] for part in parts]
    common = licenses[0] if licenses and all(one == licenses[0] for one in licenses) else {}
    return {"base_model": list(names), "license": common, "steps": []}


def add_step(folder: Path, step: Mapping[str, Any]) -> None:
    """Append a training step to a saved folder's record."""
    origin = read_origin(folder)
    changed = {**origin.facts, "steps": [*origin.steps, dict(step)]}
    (folder / _FACTS).write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def front_matter(origin: Origin, tags: Sequence[str] = ()) -> str:
    """Return the YAML metadata block of a model card, with its `---` lines."""
    names = list(origin.base_model)
    metadata: dict[str, Any] = {
        **origin.license,
        **({"base_model": names[0] if len(names) == 1 else names} if names else {}),
        "library_name": "sentence-transformers",
        "pipeline_tag": "sentence-similarity",
        "tags": [*_TAGS, *tags],
    }
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)}---\n"


def _read_license(folder: Path) -> dict[str, str]:
    """Return the license in the metadata of a folder's model card, or an empty dict."""
    try:
        _, metadata, _ = (folder / _CARD).read_text(encoding="utf-8").split("---\n", 2)
        found = yaml.safe_load(metadata)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    known = found if isinstance(found, dict) else {}
    return {name: known[name] for name in _LICENSE if isinstance(known.get(name), str)}
