"""The catalog as a table: what each alias stands for, and whether its files are on this machine."""

from dataclasses import dataclass

from rich import box
from rich.table import Table

from probe.errors import ProbeError
from probe.layers.hookpoint import TOWERS
from probe.models.catalog import CatalogEntry, list_entries
from probe.models.published_config import read_model_config
from probe.models.sources import find_offline

__all__ = ["KnownModel", "list_models", "model_notes", "models_table"]

_TOWERS = "two towers"
_EXPLANATION = "offline: available without a network; any other hub id or folder is a model too"


@dataclass(frozen=True)
class KnownModel:
    """A catalog entry and what is known of its files.

    Attributes:
        alias: Short name.
        hub_id: Name on the Hugging Face hub.
        pooling: The pooling it was trained with; None of a model of two towers.
        max_tokens: Longest text, in tokens.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        offline: Whether its files need no network now.
        other_prompts: Prompts that its files have under other names, where those are offline.
    """

    alias: str
    hub_id: str
    pooling: str | None
    max_tokens: int
    query_prompt: str
    document_prompt: str
    offline: bool
    other_prompts: dict[str, str]


def list_models() -> list[KnownModel]:
    """Return every entry of the catalog, and whether its files need no network now."""
    return [_describe(entry) for entry in list_entries()]


def _describe(entry: CatalogEntry) -> KnownModel:
    try:
        folder = find_offline(entry.hub_id)
        prompts = read_model_config(folder).prompts if folder else {}
    except ProbeError:  # it is said when the model is asked for
        return KnownModel(**vars(entry), offline=False, other_prompts={})
    others = {name: text for name, text in prompts.items() if name not in ("query", "document")}
    return KnownModel(**vars(entry), offline=folder is not None, other_prompts=others)


def models_table(models: list[KnownModel]) -> Table:
    """Return the models as a rich table."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("alias", "hub id", "pooling", "max tokens", "offline"):
        table.add_column(title, no_wrap=True)
    for model in models:
        offline = "yes" if model.offline else "no"
        table.add_row(model.alias, model.hub_id, model.pooling or _TOWERS, str(model.max_tokens), offline)
    return table


def model_notes(models: list[KnownModel]) -> list[str]:
    """Return what belongs below the table: the prompts by alias, and what its last column means."""
    return [*_prompt_lines(models), *_other_lines(models), *_tower_lines(models), _EXPLANATION]


def _other_lines(models: list[KnownModel]) -> list[str]:
    return [
        f"{model.alias} has other named prompts (--query-prompt-name, --document-prompt-name): "
        + ", ".join(f"{name} {text!r}" for name, text in model.other_prompts.items())
        for model in models
        if model.other_prompts
    ]


def _tower_lines(models: list[KnownModel]) -> list[str]:
    names = [model.alias for model in models if model.pooling is None]
    line = f"{_TOWERS}: one for images, one for texts, each with its own pooling; choose one, such as "
    return [line + " or ".join(f"{names[0]}@{tower}" for tower in TOWERS)] if names else []


def _prompt_lines(models: list[KnownModel]) -> list[str]:
    aliases: dict[str, list[str]] = {}
    for model in models:
        for side, prompt in (("query", model.query_prompt), ("document", model.document_prompt)):
            if prompt:
                aliases.setdefault(f"{side} prompt {prompt!r}", []).append(model.alias)
    return [f"{prompt}: {', '.join(names)}" for prompt, names in aliases.items()]
