"""Snapshots of the hub's repositories: from its local cache, over the network, and words for what fails."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.errors import CallError, ModelError, ProbeError, first_line

__all__ = [
    "CODE",
    "UNWANTED",
    "WANTED",
    "HubUnreachableError",
    "fetch_snapshot",
    "find_snapshot",
    "is_known_absent",
    "is_listed",
    "list_missing",
    "partial_snapshot",
]

# All that sentence-transformers reads of a model: configs, vocabularies under every name tokenizers give them, chat
# templates, code, weights; of modules after the transformer their pickles, too, which it opens with weights alone.
WANTED = (
    "*.json",
    "*.safetensors",
    "*.txt",
    "*.model",
    "*.spm",
    "*.bpe",
    "*.codes",
    "*.vocab",
    "*.tokenizer",
    "*.tiktoken",
    "*.jinja",
    "*.py",
    "*/pytorch_model.bin",
)
# Other programs' weights, a transformer's pickles, what trainings leave behind.
UNWANTED = (
    "onnx/*",
    "openvino/*",
    "*/onnx/*",
    "*/openvino/*",
    "*_Transformer/pytorch_model.bin",
    "*_CLIPModel/pytorch_model.bin",
    "checkpoint-*",
    "*/checkpoint-*",
    "runs/*",
    ".*",
)
# What a model's code in another repository is made of.
CODE = ("*.py",)

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_TOO_MANY = 429
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class HubUnreachableError(ModelError):
    """The hub cannot be asked: there is no network, it is switched off, or the hub itself fails."""


def find_snapshot(hub_id: str, revision: str | None = None, wanted: Sequence[str] = WANTED) -> Path | None:
    """Return the folder of a repository in the hub's cache that holds all that is wanted of it, or None.

    Args:
        hub_id: Name of the repository, owner/name.
        revision: A commit, branch or tag.
        wanted: Patterns of its files; those of `fetch_snapshot`, or the cache misses what was never asked for.

    Raises:
        CallError: That is no name or no revision.
        ModelError: The cache cannot be read.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _snapshot(hub_id, revision, wanted, offline=True)
    except LocalEntryNotFoundError:
        return None
    except Exception as error:  # whatever the hub's client makes of a foreign disk
        raise _explain(hub_id, revision, error) from error


def fetch_snapshot(hub_id: str, revision: str | None = None, wanted: Sequence[str] = WANTED) -> Path:
    """Download what a repository has of the wanted files, and return their folder.

    Without a network it is what the cache holds, if it is not known to lack anything.

    Raises:
        CallError: There is no such repository or revision.
        HubUnreachableError: The hub cannot be asked, and the cache is not known to hold everything.
        ModelError: The files cannot be written, or not be had for another reason.
    """
    try:
        return _snapshot(hub_id, revision, wanted, offline=False)
    except Exception as error:  # the client's errors and those of its own HTTP library have no common class
        raise _explain(hub_id, revision, error) from error


def _snapshot(hub_id: str, revision: str | None, wanted: Sequence[str], *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise CallError(f"'{revision}' is no revision of '{hub_id}': expected a commit, a branch or a tag")
    patterns: dict[str, Any] = {"allow_patterns": list(wanted), "ignore_patterns": list(UNWANTED)}
    return Path(snapshot_download(hub_id, revision=revision, local_files_only=offline, **patterns))


def partial_snapshot(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the folder of a repository in the hub's cache, however much of it is missing; None if there is none."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=["no such file"])
        )
    except LocalEntryNotFoundError:
        return None


def list_missing(hub_id: str, folder: Path, wanted: Sequence[str] = WANTED) -> list[str]:
    """Return the wanted files that a repository is known to have and its snapshot in the cache lacks."""
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    names = _listing(hub_id, folder) or ()
    asked = filter_repo_objects(names, allow_patterns=list(wanted), ignore_patterns=list(UNWANTED))
    return sorted(name for name in asked if not (folder / name).is_file())


def is_known_absent(hub_id: str, folder: Path, name: str) -> bool:
    """Return whether the cache knows that a repository has no file of a name at the commit of a snapshot."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    listed = _listing(hub_id, folder)
    if listed is not None:
        return name not in listed
    return try_to_load_from_cache(hub_id, name, revision=folder.name) is _CACHED_NO_EXIST


def is_listed(hub_id: str, folder: Path) -> bool:
    """Return whether the cache knows all that a repository has at the commit of a snapshot."""
    return _listing(hub_id, folder) is not None


def _listing(hub_id: str, folder: Path) -> set[str] | None:
    """Return the names of all files of a repository at the commit of a snapshot, where the cache has kept them."""
    try:
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
    except ImportError:  # of before 2.0
        return None
    try:
        return {file.path for file in get_cached_repo_tree(hub_id, revision=folder.name)}
    except CachedRepoTreeNotFoundError:
        return None


def _explain(hub_id: str, revision: str | None, error: Exception) -> ProbeError:
    """Return what is to be said of an error of the hub's client."""
    from huggingface_hub import errors

    if isinstance(error, ProbeError):
        return error
    known: dict[type[Exception], ProbeError] = {  # a class before those it is derived from
        errors.HFValidationError: CallError(f"'{hub_id}' is no hub id (expected owner/name): {first_line(error)}"),
        errors.GatedRepoError: ModelError(
            f"'{hub_id}' is gated: accept its terms on the hub, then run `hf auth login`"
        ),
        errors.RepositoryNotFoundError: CallError(
            f"the hub has no model '{hub_id}' (or it is private: `hf auth login`)"
        ),
        errors.RevisionNotFoundError: CallError(
            f"'{hub_id}' has no revision '{revision}' on the hub: expected a commit, a branch or a tag"
        ),
    }
    said = next((words for kind, words in known.items() if isinstance(error, kind)), None)
    chain = list(_causes(error))
    return said or _explain_disk(error, chain) or _explain_network(hub_id, chain)


def _explain_disk(error: Exception, chain: list[BaseException]) -> ProbeError | None:
    codes = {cause.errno for cause in chain if isinstance(cause, OSError)}
    if codes & _FULL:
        return ModelError(
            f"the disk of the hub's cache is full ({_cache()}): make room there, or set HF_HOME to a folder elsewhere"
        )
    if codes & _READ_ONLY:
        return ModelError(
            f"the hub's cache cannot be written or read ({first_line(error)}): set HF_HOME to a folder of yours"
        )
    return None


def _explain_network(hub_id: str, chain: list[BaseException]) -> ProbeError:
    from huggingface_hub import errors

    kinds = {base.__name__ for cause in chain for base in type(cause).__mro__}
    deepest = chain[-1]
    status = next((c.response.status_code for c in chain if isinstance(c, errors.HfHubHTTPError)), None)
    if status is not None and status < 500 and status != _TOO_MANY:
        return ModelError(f"the hub refuses to give '{hub_id}' (HTTP {status}): `hf auth login` may help")
    reasons = {
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
        "ProxyError": f"the proxy refuses ({first_line(deepest)}; see HTTPS_PROXY)",
        "HfHubHTTPError": f"the hub answers with HTTP {status}",
        "TimeoutException": "the hub does not answer in time",
        "TimeoutError": "the hub does not answer in time",
        "TransportError": "the hub cannot be reached",
        "ConnectionError": "the hub cannot be reached",
        "LocalEntryNotFoundError": "the hub cannot be reached",
    }
    reason = next((words for kind, words in reasons.items() if kind in kinds), None)
    if reason is not None:
        return HubUnreachableError(reason)
    said = f"{type(deepest).__name__}: {first_line(deepest)}"
    return ModelError(f"'{hub_id}' cannot be fetched from the hub: {said}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cache() -> str:
    from huggingface_hub import constants

    return os.fspath(constants.HF_HUB_CACHE)
