"""Texts in every form: files, folders, data sets, in memory."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_data import make_dataset

from probe.data.dataset import Dataset
from probe.errors import CallError, DataError, ProbeError
from surgery.vocabulary.texts import read_sources

MODEL: Any = SimpleNamespace(query_prompt="q: ", document_prompt="d: ")


def write_documents(folder: Path) -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "a.md").write_text("# Rivers\n\nWater flows down.\n\n## Lakes\n\nWater stays.\n")
    (folder / "inner" / "b.txt").write_text("Snow falls in winter.")
    (folder / "c.jsonl").write_text(json.dumps({"text": "Rain is wet.", "title": "Rain"}))
    (folder / "image.bin").write_bytes(b"\0\1")
    return folder


def test_a_folder_of_documents_is_read_with_its_headings(tmp_path: Path) -> None:
    (source,) = read_sources(str(write_documents(tmp_path / "docs")))
    assert source.name == "docs"
    texts = list(source.plain())
    assert "Rivers > Lakes Water stays." in texts
    assert any("Snow falls in winter." in text for text in texts)
    assert any("Rain" in text and "wet" in text for text in texts)


def test_a_file_is_read_alone_and_with_both_prompts(tmp_path: Path) -> None:
    (source,) = read_sources(write_documents(tmp_path / "docs") / "inner" / "b.txt")
    assert list(source.prompted(MODEL)) == ["d: Snow falls in winter.", "q: Snow falls in winter."]
    assert source.count(MODEL) == 2
    assert len(source) == 1


def test_a_data_set_has_documents_and_every_query(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "set")
    with (folder / "queries.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "unjudged", "text": "nobody judged this"}) + "\n")
    (source,) = read_sources(str(folder))
    prompted = list(source.prompted(MODEL))
    assert "q: nobody judged this" in prompted
    assert not any(text.startswith("d: nobody") for text in prompted)
    assert len(prompted) == source.count(MODEL) == len(source)
    assert sum(text.startswith("d: ") for text in prompted) == len(source.documents)


def test_a_data_set_needs_neither_queries_nor_labels(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text(json.dumps({"_id": "1", "title": "A", "text": "b"}) + "\n")
    (source,) = read_sources(folder)
    assert list(source.plain()) == ["A b"]


def test_a_data_set_among_documents_does_not_hide_them(tmp_path: Path) -> None:
    folder = write_documents(tmp_path / "docs")
    make_dataset(folder / "made")
    (source,) = read_sources(folder)
    assert any("Snow falls in winter." in text for text in source.plain())


def test_several_forms_go_together(dataset: Dataset, tmp_path: Path) -> None:
    file = write_documents(tmp_path / "docs") / "a.md"
    sources = read_sources([dataset, file])
    assert [source.name for source in sources] == [dataset.name, "a.md"]
    assert len(sources[0]) == len(dataset.documents) + len(dataset.queries)
    assert [source.name for source in read_sources({"mine": ["a", "b", "a"], "more": ["c"]})] == ["mine", "more"]


FAULTS: dict[str, tuple[Callable[[Path], Any], type[ProbeError], str]] = {
    "nothing": (lambda folder: [], CallError, "no texts: expected a file"),
    "no names": (lambda folder: {}, CallError, "no texts: expected a file"),
    "no file": (lambda folder: folder / "none.txt", CallError, "none.txt' not found"),
    "no data set": (lambda folder: "scifakt", CallError, "unknown data set 'scifakt'"),
    "an empty file": (lambda folder: _write(folder / "empty.txt", b""), DataError, "empty.txt': empty"),
    "an empty folder": (lambda folder: _folder(folder / "empty"), DataError, "empty' has no texts"),
    "bytes": (lambda folder: _write(folder / "a.pdf", b"\0\1\2"), DataError, r"a\.pdf': "),
    "no zip": (lambda folder: _write(folder / "a.zip", b"no"), DataError, "not a readable zip"),
    "no strings": (lambda folder: {"mine": [5]}, CallError, "a list of strings"),
    "one string": (lambda folder: {"mine": "rain"}, CallError, "a list of strings"),
    "a number": (lambda folder: 5, CallError, "texts"),
}


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told(fault: str, tmp_path: Path) -> None:
    make, kind, words = FAULTS[fault]
    with pytest.raises(kind, match=words):
        read_sources(make(tmp_path))


def test_files_of_a_folder_that_cannot_be_read_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_documents(tmp_path / "docs")
    (folder / "empty.md").write_text("")
    read_sources(folder)
    assert "empty.md is not read: empty" in caplog.text
