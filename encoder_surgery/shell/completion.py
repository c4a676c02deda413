"""Shell completion of values: models, encoders, data sets, metrics."""

from collections.abc import Iterable
from pathlib import Path

__all__ = ["complete_datasets", "complete_metrics", "complete_models", "complete_specs"]

_METRICS = ("ndcg@10", "map@100", "recall@100", "precision@10", "mrr@10", "success@1")


def complete_models(incomplete: str) -> list[str]:
    """Return the aliases and folders that begin with a prefix."""
    from probe.models.catalog import list_entries

    return _matching([entry.alias for entry in list_entries()], incomplete) + _folders(incomplete)


def complete_specs(incomplete: str) -> list[str]:
    """Return the encoders that begin with a prefix; in a fusion, the last member is completed."""
    first, plus, last = incomplete.rpartition("+")
    return [f"{first}{plus}{name}" for name in complete_models(last)]


def complete_datasets(incomplete: str) -> list[str]:
    """Return the names of data sets, in any case, and the folders and zips, that begin with a prefix."""
    from probe.sources.beir_download import beir_names
    from probe.sources.nanobeir import nanobeir_names

    nano = [name for name in nanobeir_names() if name.casefold().startswith(incomplete.casefold())]
    return _matching(["docstrings", *beir_names()], incomplete) + nano + _folders(incomplete, ".zip")


def complete_metrics(incomplete: str) -> list[str]:
    """Return metrics at their usual cut-offs that begin with a prefix."""
    return _matching(_METRICS, incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _folders(incomplete: str, *suffixes: str) -> list[str]:
    """Return folders, and files of the given suffixes, whose path begins with a prefix."""
    typed = Path(incomplete)
    parent = typed if incomplete.endswith("/") else typed.parent
    if not (incomplete.startswith((".", "/")) or "/" in incomplete) or not parent.is_dir():
        return []
    start = incomplete[: len(incomplete) - len(incomplete.rpartition("/")[2])]
    stem = incomplete.rpartition("/")[2]
    found = sorted(path for path in parent.iterdir() if path.name.startswith(stem) and not path.name.startswith("."))
    return [f"{start}{path.name}" for path in found if path.is_dir() or path.suffix in suffixes]
