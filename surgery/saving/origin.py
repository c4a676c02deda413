"""Where a saved model comes from, and what was done to it: the facts that its card is written from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from probe.models.sources import ModelSource

__all__ = ["Origin", "add_step", "front_matter", "inherit", "join_origins", "read_origin"]

_FACTS, _CARD = "surgery.json", "README.md"
_LICENSE = ("license", "license_name", "license_link")
_TAGS = ("sentence-transformers", "feature-extraction", "sentence-similarity", "encoder-surgery")


@dataclass(frozen=True)
class Origin:
    """What surgery.json says that a card repeats.

    Attributes:
        base_model: Hub ids of the models it was made of; none where they are not on the hub.
        license: The license of those, as their cards' metadata has it; empty where it is not known.
        steps: What was done, in order, as plain values.
        facts: All of the file.
    """

    base_model: tuple[str, ...]
    license: Mapping[str, str]
    steps: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any]


def read_origin(folder: Path) -> Origin:
    """Return what a folder of ours says of its origin; nothing where it does not."""
    try:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        facts = {}
    return Origin(tuple(facts.get("base_model", ())), facts.get("license", {}), tuple(facts.get("steps", ())), facts)


def inherit(source: ModelSource) -> dict[str, Any]:
    """Return what a model takes over from the one that it is made of: its hub id, its license, what was done to it."""
    before = read_origin(source.folder)
    return {
        "base_model": [source.hub_id] if source.hub_id else list(before.base_model),
        "license": _read_license(source.folder) or dict(before.license),
        "steps": list(before.steps),
    }


def join_origins(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a model of several takes over; a license only where all have the same."""
    names = dict.fromkeys(name for part in parts for name in part["base_model"])
    licenses = [part["license"] for part in parts]
    common = licenses[0] if licenses and all(one == licenses[0] for one in licenses) else {}
    return {"base_model": list(names), "license": common, "steps": []}


def add_step(folder: Path, step: Mapping[str, Any]) -> None:
    """Have a folder of ours say what else was done to it."""
    origin = read_origin(folder)
    changed = {**origin.facts, "steps": [*origin.steps, dict(step)]}
    (folder / _FACTS).write_text(json.dumps(changed, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def front_matter(origin: Origin, tags: Sequence[str] = ()) -> str:
    """Return the metadata of a card, between its lines of dashes."""
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
    """Return the license in the metadata of a folder's card, or nothing."""
    try:
        _, metadata, _ = (folder / _CARD).read_text(encoding="utf-8").split("---\n", 2)
        found = yaml.safe_load(metadata)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    known = found if isinstance(found, dict) else {}
    return {name: known[name] for name in _LICENSE if isinstance(known.get(name), str)}
