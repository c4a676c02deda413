"""Chunks of a corpus are found again by another process, and a changed corpus is noticed."""

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset, zip_folder

from probe import chunk_texts
from probe.chunk_texts import ChunkTexts, can_be_sent, mark_chunks
from probe.dataset import load_dataset
from probe.errors import DataError
from probe.texts import Documents, Texts, chunks

SIZE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose corpus has blank lines, a byte order mark and characters of several bytes."""
    folder = make_dataset(tmp_path_factory.mktemp("chunks") / "data", documents=70)
    corpus = folder / "corpus.jsonl"
    lines = corpus.read_text(encoding="utf-8").splitlines()
    lines[20] = lines[20].replace('"text": "', '"text": "größer 水 ')
    text = "\n".join([*lines[:16], "", "  ", "\u00a0", *lines[16:40], "", *lines[40:]])
    corpus.write_text("\ufeff" + text, encoding="utf-8")
    return folder


def corpora(folder: Path) -> dict[str, Documents]:
    zipped = zip_folder(folder, folder.parent / "data.zip")
    return {
        "folder": load_dataset(str(folder)).documents,
        "zip": load_dataset(str(zipped)).documents,
        "limited": load_dataset(str(folder), limit=40).documents,
        "held": Texts.gather(load_dataset(str(folder)).documents),
    }


@pytest.mark.parametrize("kind", ["folder", "zip", "limited", "held"])
def test_every_chunk_is_what_reading_all_of_them_gives_in_any_order(kind: str, folder: Path) -> None:
    documents = corpora(folder)[kind]
    expected = list(chunks(documents, SIZE))
    marks = list(mark_chunks(documents, SIZE))
    assert [mark.number for mark in marks] == list(range(len(expected)))
    reader = ChunkTexts(documents, SIZE)
    order = [0, 2, 1, 1, *reversed(range(len(marks)))]
    assert [reader.read(marks[number]) for number in order] == [expected[number] for number in order]


def test_a_chunk_of_a_file_is_read_from_its_first_byte_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents, read = load_dataset(str(folder)).documents, []
    marks = list(mark_chunks(documents, SIZE))
    stream = chunk_texts.stream_records

    def spy(path: Path, offset: int) -> Any:
        for record in stream(path, offset):
            read.append(record)
            yield record

    monkeypatch.setattr(chunk_texts, "stream_records", spy)
    texts = ChunkTexts(documents, SIZE).read(marks[3])
    assert texts.ids == tuple(f"d{i}" for i in range(48, 64))
    assert len(read) == SIZE


def test_chunks_that_come_in_order_are_read_in_one_go() -> None:
    class Counted:
        begun = 0

        def __iter__(self) -> Any:
            self.begun += 1
            yield from ((f"d{i}", f"text {i}") for i in range(50))

    documents: Any = Counted()
    marks = list(mark_chunks(documents, 8))
    reader = ChunkTexts(documents, 8)
    assert [reader.read(marks[n]).ids[0] for n in (0, 2, 5)] == ["d0", "d16", "d40"]
    assert documents.begun == 2


def test_a_changed_chunk_is_refused_and_the_others_are_not(folder: Path, tmp_path: Path) -> None:
    import shutil

    copied = Path(shutil.copytree(folder, tmp_path / "copy"))
    for limit in (None, 60):
        documents = load_dataset(str(copied), limit=limit).documents
        marks = list(mark_chunks(documents, SIZE))
        before = (copied / "corpus.jsonl").read_text(encoding="utf-8")
        (copied / "corpus.jsonl").write_text(before.replace('"d20"', '"x20"'), encoding="utf-8")
        reader = ChunkTexts(documents, SIZE)
        assert reader.read(marks[0]).ids[0] == "d0"
        with pytest.raises(DataError, match="changed while it was read"):
            reader.read(marks[1])
        assert len(reader.read(marks[2])) == SIZE
        (copied / "corpus.jsonl").write_text(before, encoding="utf-8")


def test_a_corpus_that_changes_while_it_is_marked_is_refused(folder: Path, tmp_path: Path) -> None:
    documents = load_dataset(str(folder)).documents
    with pytest.raises(DataError, match="was changed"):
        list(mark_chunks(replace(documents, text_hash="another"), SIZE))  # type: ignore[type-var]


def test_only_handles_on_files_are_sent(folder: Path) -> None:
    kinds = corpora(folder)
    assert {kind: can_be_sent(documents) for kind, documents in kinds.items()} == {
        "folder": True,
        "zip": False,
        "limited": True,
        "held": False,
    }
    assert len(pickle.dumps(kinds["folder"])) < 2000


def test_a_failed_reading_leaves_the_next_chunk_readable() -> None:
    class Flaky:
        faults = 1

        def __iter__(self) -> Any:
            for i in range(40):
                if i == 12 and self.faults:
                    self.faults -= 1
                    raise OSError("the disk is away")
                yield f"d{i}", f"text {i}"

    documents: Any = Flaky()
    documents.faults = 0
    marks = list(mark_chunks(documents, 8))
    documents.faults = 1
    reader = ChunkTexts(documents, 8)
    assert reader.read(marks[0]).ids[0] == "d0"
    with pytest.raises(OSError, match="away"):
        reader.read(marks[1])
    assert reader.read(marks[2]).ids[0] == "d16"
