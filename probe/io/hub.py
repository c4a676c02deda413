"""Snapshots of Hugging Face hub repositories, from the local cache or the network, with readable errors."""

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

# All files that sentence-transformers reads of a model: configs, vocabularies, chat templates, code, weights; pickles
# only for modules after the transformer, loaded with weights_only.
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
# Weights of other frameworks, pickles of transformers, leftovers of training.
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
# Files of a code-only repository.
CODE = ("*.py",)

_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_TOO_MANY = 429
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS}


class HubUnreachableError(ModelError):
    """The hub is unreachable: no network, offline mode, or a server error."""


def find_snapshot(hub_id: str, revision: str | None = None, wanted: Sequence[str] = WANTED) -> Path | None:
    """Return the cached snapshot folder if it holds all wanted files, else None.

    Args:
        hub_id: Repository, owner/name.
        revision: Commit, branch or tag.
        wanted: File patterns; use those passed to `fetch_snapshot`, or the cache counts as incomplete.

    Raises:
        CallError: If the repository id or the revision is invalid.
        ModelError: If the cache cannot be read.
    """
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return _snapshot(hub_id, revision, wanted, offline=True)
    except LocalEntryNotFoundError:
        return None
    except Exception as error:  # the hub client raises many types on cache problems
        raise _explain(hub_id, revision, error) from error


def fetch_snapshot(hub_id: str, revision: str | None = None, wanted: Sequence[str] = WANTED) -> Path:
    """Download the wanted files of a repository and return their folder.

    Without a network, returns the cached snapshot unless it is known to be incomplete.

    Raises:
        CallError: If the repository or revision does not exist.
        HubUnreachableError: If the hub is unreachable and the cache may be incomplete.
        ModelError: If the files cannot be downloaded or written.
    """
    try:
        return _snapshot(hub_id, revision, wanted, offline=False)
    except Exception as error:  # errors of the client and of its HTTP library share no base class
        raise _explain(hub_id, revision, error) from error


def _snapshot(hub_id: str, revision: str | None, wanted: Sequence[str], *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise CallError(f"invalid revision '{revision}' of '{hub_id}': expected a commit, branch or tag")
    patterns: dict[str, Any] = {"allow_patterns": list(wanted), "ignore_patterns": list(UNWANTED)}
    return Path(snapshot_download(hub_id, revision=revision, local_files_only=offline, **patterns))


def partial_snapshot(hub_id: str, revision: str | None = None) -> Path | None:
    """Return the cached snapshot folder, complete or not; None if nothing is cached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=["no such file"])
        )
    except LocalEntryNotFoundError:
        return None


def list_missing(hub_id: str, folder: Path, wanted: Sequence[str] = WANTED) -> list[str]:
    """Return the wanted files that the repository has but its cached snapshot lacks."""
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    names = _listing(hub_id, folder) or ()
    asked = filter_repo_objects(names, allow_patterns=list(wanted), ignore_patterns=list(UNWANTED))
    return sorted(name for name in asked if not (folder / name).is_file())


def is_known_absent(hub_id: str, folder: Path, name: str) -> bool:
    """Return whether the cache records that a file does not exist at the snapshot's commit."""
    from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

    listed = _listing(hub_id, folder)
    if listed is not None:
        return name not in listed
    return try_to_load_from_cache(hub_id, name, revision=folder.name) is _CACHED_NO_EXIST


def is_listed(hub_id: str, folder: Path) -> bool:
    """Return whether the repository's file list at the snapshot's commit is cached."""
    return _listing(hub_id, folder) is not None


def _listing(hub_id: str, folder: Path) -> set[str] | None:
    """Return the names of all files of a repository at the snapshot's commit, or None if the list is not cached."""
    try:
        from huggingface_hub import get_cached_repo_tree
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
    except ImportError:  # huggingface_hub < 2.0
        return None
    try:
        return {file.path for file in get_cached_repo_tree(hub_id, revision=folder.name)}
    except CachedRepoTreeNotFoundError:
        return None


def _explain(hub_id: str, revision: str | None, error: Exception) -> ProbeError:
    """Return the error to raise for an error of the hub client."""
    from huggingface_hub import errors

    if isinstance(error, ProbeError):
        return error
    known: dict[type[Exception], ProbeError] = {  # subclasses before their base classes
        errors.HFValidationError: CallError(f"invalid hub id '{hub_id}' (expected owner/name): {first_line(error)}"),
        errors.GatedRepoError: ModelError(
            f"'{hub_id}' is gated: accept its terms on the hub, then run `hf auth login`"
        ),
        errors.RepositoryNotFoundError: CallError(
            f"model '{hub_id}' not found on the hub (or private: run `hf auth login`)"
        ),
        errors.RevisionNotFoundError: CallError(
            f"revision '{revision}' of '{hub_id}' not found on the hub: expected a commit, branch or tag"
        ),
    }
    said = next((words for kind, words in known.items() if isinstance(error, kind)), None)
    chain = list(_causes(error))
    return said or _explain_disk(error, chain) or _explain_network(hub_id, chain)


def _explain_disk(error: Exception, chain: list[BaseException]) -> ProbeError | None:
    codes = {cause.errno for cause in chain if isinstance(cause, OSError)}
    if codes & _FULL:
        return ModelError(f"disk full at the hub cache ({_cache()}): free some space, or set HF_HOME to another folder")
    if codes & _READ_ONLY:
        return ModelError(f"no access to the hub cache ({first_line(error)}): set HF_HOME to a folder you can write to")
    return None


def _explain_network(hub_id: str, chain: list[BaseException]) -> ProbeError:
    from huggingface_hub import errors

    kinds = {base.__name__ for cause in chain for base in type(cause).__mro__}
    deepest = chain[-1]
    status = next((c.response.status_code for c in chain if isinstance(c, errors.HfHubHTTPError)), None)
    if status is not None and status < 500 and status != _TOO_MANY:
        return ModelError(f"the hub denied access to '{hub_id}' (HTTP {status}): try `hf auth login`")
    reasons = {
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set",
        "ProxyError": f"proxy error ({first_line(deepest)}; check HTTPS_PROXY)",
        "HfHubHTTPError": f"the hub returned HTTP {status}",
        "TimeoutException": "the hub timed out",
        "TimeoutError": "the hub timed out",
        "TransportError": "the hub is unreachable",
        "ConnectionError": "the hub is unreachable",
        "LocalEntryNotFoundError": "the hub is unreachable",
    }
    reason = next((words for kind, words in reasons.items() if kind in kinds), None)
    if reason is not None:
        return HubUnreachableError(reason)
    said = f"{type(deepest).__name__}: {first_line(deepest)}"
    return ModelError(f"'{hub_id}' cannot be downloaded from the hub: {said}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _cache() -> str:
    from huggingface_hub import constants

    return os.fspath(constants.HF_HUB_CACHE)
