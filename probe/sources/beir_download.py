"""Download of BEIR data sets, with a cache and checks of the published checksums."""

import os
from pathlib import Path

from probe.errors import DataError
from probe.io.package_data import read_table

__all__ = ["beir_documents", "beir_names", "cache_folder", "download_beir"]


def cache_folder() -> Path:
    """Return the download cache: `ENCODER_SURGERY_CACHE`, else the platform's cache folder.

    Raises:
        DataError: If the folder cannot be created or written.
    """
    import platformdirs

    folder = Path(os.environ.get("ENCODER_SURGERY_CACHE") or platformdirs.user_cache_path("encoder-surgery"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(_unwritable(folder, error)) from error
    if not os.access(folder, os.W_OK):
        raise DataError(_unwritable(folder, "permission denied"))
    return folder


def _unwritable(folder: Path, error: object) -> str:
    return f"cannot write to the cache folder {folder} ({error}): set ENCODER_SURGERY_CACHE to another folder"


def beir_names() -> list[str]:
    """Return the names of the data sets that BEIR publishes."""
    return sorted(read_table("sources", "beir")["md5"])


def beir_documents(name: str) -> int | None:
    """Return the document count of a published BEIR data set, or None for other names."""
    documents: int | None = read_table("sources", "beir")["documents"].get(name)
    return documents


def download_beir(name: str) -> Path:
    """Return the zip of a BEIR data set, downloaded if not cached; it is never unpacked.

    Raises:
        DataError: If there is no network, the checksum differs, or the cache is not writable.
    """
    import pooch
    import requests

    reference = read_table("sources", "beir")
    address = reference["address"].format(name=name)
    folder = cache_folder() / "beir"
    try:
        fetched = pooch.retrieve(address, f"md5:{reference['md5'][name]}", fname=f"{name}.zip", path=folder)
    except requests.RequestException as error:
        raise DataError(
            f"'{name}' is not cached and {address} is unreachable: copy the file here and pass --dataset {name}.zip"
        ) from error
    except ValueError as error:
        raise DataError(f"checksum mismatch: {address} is not the published file; download discarded") from error
    except OSError as error:
        raise DataError(_unwritable(folder, error)) from error
    return Path(fetched)
