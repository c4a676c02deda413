"""A corpus read from any document on: the same texts as read from its beginning, without what is before them."""

import contextlib
import json
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import pytest
from beir_forms import FORMS, pack
from fake_bucket import Bucket, fill_bucket, use_bucket
from tiny_data import write_beir, write_lines, zip_folder

from probe.data import corpus as corpus_module
from probe.data import records as parquet_records
from probe.data import sampling
from probe.data import texts as texts_module
from probe.data.corpus import Corpus, find_positions, read_named, scan_corpus
from probe.data.dataset import Defects
from probe.data.records import JsonLines, ParquetRows
from probe.data.sampling import read_forward, select
from probe.data.texts import Documents, Texts
from probe.errors import DataError
from probe.sources.loading import load_dataset

__all__ = ["use_bucket"]

COUNT = 50
SLICES = [(0, 8), (8, 8), (16, 16), (3, 2), (7, 10), (45, 8), (48, 2), (49, 1), (0, COUNT), (50, 8), (90, 1), (5, 0)]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (corpus_module, texts_module):
        monkeypatch.setattr(module, "BLOCK", 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {f"d{i}": f"text {i} ä " * (1 + i % 5) for i in range(COUNT)}
    folder = write_beir(tmp_path / "numbered", texts, {"q": "text"}, {"q": {"d1": 1}})
    # Characters of several bytes, not escapes: an offset counts bytes.
    lines = [json.dumps({"_id": name, "text": text}, ensure_ascii=False) for name, text in texts.items()]
    write_lines(folder / "corpus.jsonl", lines)
    return folder


def with_blank_lines(folder: Path) -> None:
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    text = "\r\n\r\n".join(lines)
    (folder / "corpus.jsonl").write_bytes(b"\xef\xbb\xbf" + text.encode())


FORMS_HERE: dict[str, Callable[[Path], Any]] = {**FORMS, "blank lines": with_blank_lines}


@pytest.fixture(params=[*FORMS_HERE, "zip", "bucket", "held", "limited"])
def documents(request: pytest.FixtureRequest, folder: Path, use_bucket: type[Bucket]) -> Documents:
    """The documents in each form that they can have."""
    if request.param in FORMS_HERE:
        FORMS_HERE[request.param](folder)
    if request.param == "zip":
        return load_dataset(str(zip_folder(folder, folder.with_suffix(".zip")))).documents
    if request.param == "bucket":
        return load_dataset(fill_bucket(folder, "bucket/numbered")).documents
    found = load_dataset(str(folder)).documents
    if request.param == "held":
        return Texts.gather(found)
    return select(found, {"d1", "d9", "d40", "d41", "d42", "d49"}, 26) if request.param == "limited" else found


@pytest.mark.parametrize(("start", "count"), SLICES)
def test_any_part_is_what_a_stream_has_there(documents: Documents, start: int, count: int) -> None:
    assert list(documents.read(start, count)) == list(documents)[start : start + count]


def test_another_process_reads_the_same(documents: Documents) -> None:
    other = pickle.loads(pickle.dumps(documents))
    assert (len(other), other.text_hash) == (len(documents), documents.text_hash)
    assert list(other.read(17, 12)) == list(documents)[17:29]
    assert list(other) == list(documents)


def read_from(documents: Documents, start: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many records are parsed to read a block."""
    seen = 0
    assert isinstance(documents, Corpus)
    kind: Any = type(documents.records)
    real = kind.entries

    def count(self: Any, *args: Any) -> Any:
        nonlocal seen
        for entry in real(self, *args):
            seen += 1
            yield entry

    monkeypatch.setattr(kind, "entries", count)
    documents.read(start, 8)
    return seen


def test_what_is_before_a_block_is_not_parsed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = load_dataset(str(folder)).documents
    assert isinstance(documents, Corpus)
    assert isinstance(documents.records, JsonLines)
    assert read_from(documents, 40, monkeypatch) == 8


def test_row_groups_before_a_block_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FORMS["parquet folder"](folder)
    documents = load_dataset(str(folder)).documents
    assert isinstance(documents, Corpus)
    assert isinstance(documents.records, ParquetRows)
    assert documents.records.groups == ((7, 7, 3), (7, 7, 3), (7, 7, 2))
    groups: list[tuple[str, range]] = []
    read_groups = parquet_records._read_groups

    def note(path: Any, wanted: range) -> Any:
        groups.append((path.name, wanted))
        return read_groups(path, wanted)

    monkeypatch.setattr(parquet_records, "_read_groups", note)
    assert documents.read(40, 8).ids == tuple(f"d{i}" for i in range(40, 48))
    assert groups == [("part-2.parquet", range(0, 3))]


def test_files_that_systems_leave_behind_are_no_part_of_a_corpus(folder: Path) -> None:
    FORMS["parquet folder"](folder)
    (folder / "corpus" / "._part-0.parquet").write_bytes(b"\0\5\26\7")
    assert len(load_dataset(str(folder)).documents) == COUNT


def test_few_bytes_of_a_bucket_are_fetched_for_a_block(
    folder: Path, use_bucket: type[Bucket], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = load_dataset(fill_bucket(folder, "bucket/numbered")).documents
    monkeypatch.setattr("probe.io.remote_path._BUFFER", 256)
    fetched: list[int] = []
    real = Bucket.cat_file

    def count(self: Bucket, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        data = real(self, path, start, end)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(Bucket, "cat_file", count)
    documents.read(24, 8)
    assert 0 < sum(fetched) < (folder / "corpus.jsonl").stat().st_size / 3


def test_the_index_has_a_row_per_block(folder: Path) -> None:
    documents = load_dataset(str(folder)).documents
    assert isinstance(documents, Corpus)
    assert documents.index.shape == (7, 3)


@pytest.mark.parametrize("form", ["jsonl", "packed", "parquet"])
def test_a_corpus_changed_since_it_was_opened_is_refused(folder: Path, form: str) -> None:
    original = (folder / "corpus.jsonl").read_text(encoding="utf-8")
    FORMS[form](folder)
    documents = load_dataset(str(folder)).documents
    (folder / "corpus.jsonl").write_text(original.replace("text 44", "text 45"), encoding="utf-8")
    (folder / "corpus.parquet").unlink(missing_ok=True)
    (folder / "corpus.jsonl.gz").unlink(missing_ok=True)
    FORMS[form](folder)
    assert documents.read(30, 10).ids[0] == "d30"
    with pytest.raises(DataError, match=r"numbered/corpus\.\S+ was changed while being read"):
        documents.read(43, 1)


def test_a_corpus_cut_short_since_it_was_opened_is_refused(folder: Path) -> None:
    documents = load_dataset(str(folder)).documents
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "corpus.jsonl").write_text("".join(lines[:44]), encoding="utf-8")
    with pytest.raises(DataError, match="was changed while being read"):
        documents.read(40, 4)


class Counted:
    """A file that counts the bytes read from it."""

    def __init__(self, file: Any) -> None:
        self.file, self.count = file, 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self.file.read(size)
        self.count += len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class GzipPath:
    """A gzipped file whose opened streams are counted."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.opened = path, path.name, list[Counted]()

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def open(self, mode: str) -> Any:
        self.opened.append(Counted(self.path.open(mode)))
        return contextlib.nullcontext(self.opened[-1])


@pytest.fixture(params=["gzip", "zip"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Corpus, Callable[[], int], int]:
    """Return a corpus in a compressed file, how many of its bytes were read, and how many there are."""
    dice = random.Random(3)
    lines = [json.dumps({"_id": f"d{i}", "text": dice.randbytes(6000).hex()}) for i in range(COUNT)]
    plain = write_lines(tmp_path / "corpus.jsonl", lines)
    path: Any
    if request.param == "gzip":
        pack(tmp_path, "corpus")
        path = GzipPath(tmp_path / "corpus.jsonl.gz")
        opened, size = path.opened, path.path.stat().st_size
    else:
        with zipfile.ZipFile(tmp_path / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(plain, "corpus.jsonl")
        opened, size = [Counted((tmp_path / "data.zip").open("rb"))], (tmp_path / "data.zip").stat().st_size
        path = zipfile.Path(zipfile.ZipFile(cast(IO[bytes], opened[0]))) / "corpus.jsonl"
    corpus = scan_corpus(JsonLines(path), (), {}, defects=Defects()).corpus
    before = sum(file.count for file in opened)
    return corpus, lambda: sum(file.count for file in opened) - before, size


@pytest.mark.parametrize("selected", [False, True])
def test_parts_in_rising_order_decompress_a_file_once(
    packed: tuple[Corpus, Callable[[], int], int], selected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, count_read, size = packed
    monkeypatch.setattr(sampling, "BLOCK", 8)
    documents = select(corpus, {f"d{i}" for i in range(0, COUNT, 2)}, 30) if selected else corpus
    expected = list(documents)
    assert documents.text_hash
    passes, forward = count_read(), read_forward(documents)
    parts = [list(forward.read(start, 8)) for start in range(0, len(documents), 8)]
    assert [row for part in parts for row in part] == expected
    # Whatever is decompressed into a buffer before the first part, at most.
    assert count_read() - passes <= 1.3 * size
    assert list(forward.read(0, 3)) == expected[:3]


def test_every_part_of_a_file_that_is_opened_for_it_decompresses_what_is_before(
    packed: tuple[Corpus, Callable[[], int], int],
) -> None:
    corpus, count_read, size = packed
    for start in range(0, COUNT, 8):
        corpus.read(start, 8)
    assert count_read() > 3 * size


def test_an_open_file_that_fails_is_opened_again(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "corpus.jsonl", ['{"_id": "a", "text": "b"}'])
    forward = read_forward(scan_corpus(JsonLines(path), (), {}, defects=Defects()).corpus)
    assert list(forward.read(0, 1)) == [("a", "b")]
    records: Any = cast(Corpus, forward).records
    records._file._file.close()
    records._file.close()
    assert list(forward.read(0, 1)) == [("a", "b")]


def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the lines that are parsed from now on."""
    lines: list[str] = []
    parse = parquet_records.parse_json

    def note(line: str, location: str) -> Any:
        lines.append(location)
        return parse(line, location)

    monkeypatch.setattr(parquet_records, "parse_json", note)
    return lines


def test_documents_are_looked_up_in_their_blocks_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = load_dataset(str(folder)).documents
    rows = dict(documents)
    lines = parsed(monkeypatch)
    names = {"d49", "d3", "d1", "missing"}
    assert list(read_named(documents, names).items()) == [(name, (rows[name], "")) for name in ("d1", "d3", "d49")]
    assert len(lines) == 8 + 2
    lines.clear()
    assert find_positions(documents, names) == {"d1": 1, "d3": 3, "d49": 49}
    assert lines == []


def test_another_process_looks_documents_up_by_reading_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = pickle.loads(pickle.dumps(load_dataset(str(folder)).documents))
    lines = parsed(monkeypatch)
    assert find_positions(documents, {"d3"}) == {"d3": 3}
    assert len(lines) == COUNT


def test_ids_with_one_key_are_told_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "hash", len, raising=False)
    documents = load_dataset(str(folder)).documents
    assert find_positions(documents, {"d3", "d44"}) == {"d3": 3, "d44": 44}
    assert find_positions(documents, {"d3", "d4"}) == {"d3": 3, "d4": 4}


def test_a_changed_file_is_noticed_where_documents_are_looked_up(folder: Path) -> None:
    documents = load_dataset(str(folder)).documents
    text = (folder / "corpus.jsonl").read_text(encoding="utf-8")
    (folder / "corpus.jsonl").write_text(text.replace("text 3 ", "task 3 "), encoding="utf-8")
    with pytest.raises(DataError, match="changed"):
        read_named(documents, {"d1"})
