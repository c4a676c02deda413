"""Download BEIR's data sets once, checked by their published checksums."""

import os
from pathlib import Path

from probe.errors import DataError
from probe.io.package_data import read_table

__all__ = ["beir_documents", "beir_names", "cache_folder", "download_beir"]


def cache_folder() -> Path:
    """Return the folder downloads are kept in: `ENCODER_SURGERY_CACHE`, else the platform's cache folder.

    Raises:
        DataError: It cannot be made or written.
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
    return f"the cache folder {folder} cannot be written ({error}): set ENCODER_SURGERY_CACHE to another"


def beir_names() -> list[str]:
    """Return the names of the data sets BEIR offers for download."""
    return sorted(read_table("data", "beir")["md5"])


def beir_documents(name: str) -> int | None:
    """Return how many documents the data set has that BEIR publishes under a name; None where there is none."""
    documents: int | None = read_table("data", "beir")["documents"].get(name)
    return documents


def download_beir(name: str) -> Path:
    """Return the zip of a BEIR data set, downloaded where it is not cached; it is never unpacked.

    Raises:
        DataError: No network, a wrong checksum, or a cache that cannot be written.
    """
    import pooch
    import requests

    reference = read_table("data", "beir")
    address = reference["address"].format(name=name)
    folder = cache_folder() / "beir"
    try:
        fetched = pooch.retrieve(address, f"md5:{reference['md5'][name]}", fname=f"{name}.zip", path=folder)
    except requests.RequestException as error:
        raise DataError(
            f"'{name}' is not cached and {address} cannot be reached: bring the file here and pass --dataset {name}.zip"
        ) from error
    except ValueError as error:
        raise DataError(f"{address} is not the published file (its checksum differs); nothing was kept") from error
    except OSError as error:
        raise DataError(_unwritable(folder, error)) from error
    return Path(fetched)
