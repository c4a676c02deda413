"""The catalog: short names of well-known encoders with the settings they were published with."""

from dataclasses import dataclass

from probe.io.package_data import read_table

__all__ = ["CatalogEntry", "find_entry", "list_entries"]


@dataclass(frozen=True)
class CatalogEntry:
    """A well-known encoder.

    Attributes:
        alias: Short name.
        hub_id: Name on the Hugging Face hub.
        pooling: The pooling it was trained with; None of a model of two towers, each of which has its own.
        max_tokens: Longest text, in tokens, special ones included.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
    """

    alias: str
    hub_id: str
    pooling: str | None
    max_tokens: int
    query_prompt: str = ""
    document_prompt: str = ""

    @property
    def has_towers(self) -> bool:
        """Whether it is a model of two towers, one for images and one for texts."""
        return self.pooling is None


def list_entries() -> tuple[CatalogEntry, ...]:
    """Return every entry of the catalog, in its own order."""
    return tuple(CatalogEntry(**fields) for fields in read_table("models", "catalog"))


def find_entry(name: str) -> CatalogEntry | None:
    """Return the entry with this alias or hub id, or None."""
    return next((entry for entry in list_entries() if name in (entry.alias, entry.hub_id)), None)
