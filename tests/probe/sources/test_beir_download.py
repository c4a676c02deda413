"""Downloads of BEIR's data sets: checked, cached, never half there; no network is touched here."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import requests
from tiny_data import make_dataset, write_lines, zip_folder

from probe.errors import DataError
from probe.sources import beir_download as download
from probe.sources.beir_download import beir_names, cache_folder, download_beir
from probe.sources.loading import load_dataset


class Answer:
    """What the server would send."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.headers = {"content-length": str(len(content))}

    def raise_for_status(self) -> None:
        pass

    def iter_content(self, chunk_size: int) -> list[bytes]:
        return [self.content]

    def close(self) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    return zip_folder(make_dataset(tmp_path / "scifact"), tmp_path / "scifact.zip").read_bytes()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ENCODER_SURGERY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes | Exception) -> list[str]:
    asked: list[str] = []

    def get(url: str, **options: Any) -> Answer:
        asked.append(url)
        if isinstance(content, Exception):
            raise content
        return Answer(content)

    monkeypatch.setattr(requests, "get", get)
    return asked


def expect(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    reference = {"address": "https://example.org/{name}.zip", "md5": {"scifact": md5}, "documents": {}}
    monkeypatch.setattr(download, "read_table", lambda room, name: reference)


def test_a_data_set_is_downloaded_once(cache: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    expect(monkeypatch, archive)
    asked = serve(monkeypatch, archive)
    for _ in range(2):
        assert download_beir("scifact").read_bytes() == archive
    assert asked == ["https://example.org/scifact.zip"]
    assert len(load_dataset("scifact").documents) == 40
    assert load_dataset("scifact").name == "scifact"


def test_a_file_with_another_checksum_is_refused_and_not_kept(
    cache: Path, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    expect(monkeypatch, archive)
    serve(monkeypatch, archive + b"tampered")
    with pytest.raises(DataError, match="checksum mismatch"):
        download_beir("scifact")
    assert not (cache / "beir" / "scifact.zip").exists()


def test_no_network_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, requests.ConnectionError("no route"))
    with pytest.raises(DataError, match=r"is unreachable.*--dataset scifact.zip"):
        download_beir("scifact")


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCODER_SURGERY_CACHE", str(write_lines(tmp_path / "file", ["x"]) / "cache"))
    with pytest.raises(DataError, match="cannot write"):
        cache_folder()


def test_beirs_public_names_are_known() -> None:
    assert {"scifact", "nfcorpus", "arguana", "fiqa", "scidocs", "trec-covid", "quora"} <= set(beir_names())
