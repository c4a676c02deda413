"""The thirteen NanoBEIR data sets by name: 50 queries and a few thousand documents of each BEIR set."""

from probe.io.package_data import read_table

__all__ = ["find_nano", "is_nano", "nano_address", "nanobeir_names"]

# mteb's copies of the repositories.
_OWNERS = ("zeta-alpha-ai", "mteb")
_COPIED = "retrieval"


def nanobeir_names() -> list[str]:
    """Return the names of the NanoBEIR data sets, as sentence-transformers and their repositories spell them."""
    return sorted(read_table("sources", "nanobeir")["revisions"])


def find_nano(name: str) -> str | None:
    """Return the name of a NanoBEIR data set in its own spelling, given in any case; None if it is none."""
    return {known.casefold(): known for known in nanobeir_names()}.get(name.casefold())


def nano_address(name: str) -> str:
    """Return the address of a NanoBEIR data set on the hub, `OWNER/NAME@REVISION`."""
    table = read_table("sources", "nanobeir")
    return f"{table['owner']}/{name}@{table['revisions'][name]}"


def is_nano(owner: str, name: str) -> bool:
    """Return whether a repository holds a NanoBEIR data set: the original, or mteb's copy of it."""
    known = {nano.casefold().removesuffix(_COPIED) for nano in nanobeir_names()}
    return owner in _OWNERS and name.casefold().removesuffix(_COPIED) in known
