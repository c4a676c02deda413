"""Data sets at URLs, in Parquet and packed: the same texts, hashes and scores as JSON lines on the disk."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from beir_forms import FORMS, pack, read_jsonl, to_parquet
from fake_bucket import Bucket, fill_bucket, use_bucket
from tiny_data import make_dataset, write_beir, write_lines
from typer.testing import CliRunner, Result

import cli
from probe.data.texts import Texts
from probe.errors import CallError, DataError, ProbeError
from probe.sources.beir import read_beir
from probe.sources.loading import load_dataset

__all__ = ["use_bucket"]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A data set with titles, in JSON lines."""
    folder = make_dataset(tmp_path / "plain" / "tiny")
    records = read_jsonl(folder / "corpus.jsonl")
    for number, record in enumerate(records):
        record["title"] = ("", None, "Title of a text")[number % 3]
    write_lines(folder / "corpus.jsonl", [json.dumps(record) for record in records])
    return folder


@pytest.fixture(params=list(FORMS))
def converted(request: pytest.FixtureRequest, plain: Path, tmp_path: Path) -> Path:
    """The same data set in each form."""
    folder = tmp_path / "converted" / "tiny"
    shutil.copytree(plain, folder)
    FORMS[request.param](folder)
    return folder


@pytest.fixture(params=["path", "file", "fake", "memory"])
def place(request: pytest.FixtureRequest, converted: Path, use_bucket: type[Bucket]) -> str:
    """Where it lies."""
    if request.param == "path":
        return str(converted)
    if request.param == "file":
        return f"file://{converted}"
    if request.param == "fake":
        return fill_bucket(converted, "bucket/data/tiny")
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(converted), f"/{converted.parent.parent.name}/tiny", recursive=True)
    return f"memory://{converted.parent.parent.name}/tiny"


def test_every_form_and_place_gives_the_same_data_set(plain: Path, place: str) -> None:
    expected, found = load_dataset(str(plain)), load_dataset(place)
    assert Texts.gather(found.documents) == Texts.gather(expected.documents)
    assert found.documents.text_hash == expected.documents.text_hash
    assert found.text_hash == expected.text_hash
    assert (found.queries, found.qrels, found.defects) == (expected.queries, expected.qrels, expected.defects)
    assert (found.name, found.split) == ("tiny", "test")


def test_every_form_and_place_can_be_limited(plain: Path, place: str) -> None:
    expected, found = load_dataset(str(plain), limit=20), load_dataset(place, limit=20)
    assert list(found.documents) == list(expected.documents)
    assert found.text_hash == expected.text_hash


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, [str(arg) for arg in args], prog_name="probe")


def rows_of(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    rows: list[dict[str, Any]] = json.loads(result.stdout)["rows"]
    return [{key: value for key, value in row.items() if key != "ms_per_text"} for row in rows]


def test_a_sweep_over_buckets_equals_the_local_one_cold_and_warm(
    plain: Path, tmp_path: Path, tiny_folder: Callable[[str], Path], use_bucket: type[Bucket]
) -> None:
    ask = ("layers", "--model", tiny_folder("bert"), "--pooling", "own,cls", "--format", "json")
    local = rows_of(run(*ask, "--dataset", plain, "--store", tmp_path / "store"))
    to_parquet(plain, "corpus")
    url = fill_bucket(plain, "bucket/tiny")
    cold = rows_of(run(*ask, "--dataset", url, "--store", "fake://bucket/store"))
    puts = use_bucket.requests["put"]
    warm = rows_of(run(*ask, "--dataset", url, "--store", "fake://bucket/store"))
    without = rows_of(run(*ask, "--dataset", url, "--no-store"))
    assert local == cold == warm == without
    assert use_bucket.requests["put"] - puts == 2, "the second run only touches its two manifests"
    stored = sorted(key.removeprefix("bucket/store/") for key in use_bucket.objects if key.endswith(".safetensors"))
    assert stored == sorted(str(path.relative_to(tmp_path / "store")) for path in tmp_path.rglob("*.safetensors"))


def test_the_commands_of_the_store_take_a_url(
    plain: Path, tiny_folder: Callable[[str], Path], use_bucket: type[Bucket]
) -> None:
    kept = ("--store", "fake://bucket/store")
    assert run("layers", "-m", tiny_folder("bert"), "-d", plain, *kept).exit_code == 0
    assert run("store", "verify", *kept).stdout == "5 files, none damaged\n"
    shelves = json.loads(run("store", "list", "--format", "json", *kept).stdout)
    assert [shelf["side"] for shelf in shelves] == ["documents", "queries"]
    assert shelves[0]["folder"].startswith("fake://bucket/store/shelves/")
    assert "40" in run("store", "list", *kept).stdout
    key = next(key for key in use_bucket.objects if key.endswith(".safetensors"))
    use_bucket.objects[key] = (b"nonsense", 0.0)
    damaged = run("store", "verify", *kept)
    assert (damaged.exit_code, f"fake://{key}" in damaged.stdout) == (1, True)
    assert "fake://" in run("store", "prune", "--all", "--dry-run", *kept).stdout
    assert run("store", "prune", "--yes", *kept).stdout.startswith("deleted 1 files")
    assert run("store", "prune", "--all", "--yes", *kept).stdout.startswith("deleted 3 files")


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--dataset", "fake://bucket/nowhere"], 2, "no data set at 'fake://bucket/nowhere'"),
        (["--dataset", "fake://bucket/tiny/corpus.jsonl"], 2, "expected a readable, uncompressed folder"),
        (["--dataset", "fake://bucket"], 2, "'fake://bucket' is not a BEIR data set: it has no corpus.jsonl"),
        (["--dataset", "file:///nowhere/at/all"], 2, "no data set at '/nowhere/at/all'"),
        (["--dataset", "gs://bucket/x"], 2, "'gs://bucket/x' needs a package that is not installed"),
        (["--dataset", "nowhere://x/y"], 2, "'nowhere://x/y' cannot be opened"),
        (["--store", "gs://bucket/x"], 2, "'gs://bucket/x' needs a package that is not installed"),
        (["--store", "fake://bucket/tiny/corpus.jsonl"], 2, "is a file: expected a folder"),
    ],
)
def test_a_wrong_url_gets_one_line(
    plain: Path,
    tiny_folder: Callable[[str], Path],
    use_bucket: type[Bucket],
    options: list[str],
    code: int,
    message: str,
) -> None:
    url = fill_bucket(plain, "bucket/tiny")
    ask = ["layers", "--model", tiny_folder("bert"), *([] if "--dataset" in options else ["--dataset", url]), *options]
    result = run(*ask)
    assert result.exit_code == code
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", ["--dataset", "--store"])
def test_a_bucket_that_cannot_be_reached_gets_one_line(
    plain: Path, tiny_folder: Callable[[str], Path], use_bucket: type[Bucket], option: str
) -> None:
    use_bucket.broken["list"] = RuntimeError("no credentials")
    data = [] if option == "--dataset" else ["-d", plain]
    result = run("layers", "-m", tiny_folder("bert"), *data, option, "fake://bucket/tiny")
    assert result.exit_code == 1
    assert "fake://bucket/tiny' is unreachable" in result.stderr
    assert "no credentials" in result.stderr


def test_a_network_that_breaks_while_the_corpus_is_read_is_said(plain: Path, use_bucket: type[Bucket]) -> None:
    url = fill_bucket(plain, "bucket/tiny")
    documents = load_dataset(url).documents
    use_bucket.broken["get"] = RuntimeError("connection lost")
    with pytest.raises(DataError, match=r"tiny/corpus.jsonl:1: cannot be read .*connection lost"):
        list(documents)


def test_a_malformed_line_at_a_url_is_named(plain: Path, use_bucket: type[Bucket]) -> None:
    with (plain / "corpus.jsonl").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(DataError, match=r"tiny/corpus.jsonl:41: not JSON"):
        load_dataset(fill_bucket(plain, "bucket/tiny"))


def test_json_lines_come_before_parquet(plain: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"_id": "x", "text": "other"}]), plain / "corpus.parquet")
    assert len(load_dataset(str(plain)).documents) == 40


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small data set whose corpus is still to be written."""
    folder = write_beir(tmp_path / "small", {"1": "one"}, {"q": "due"}, {"q": {"1": 1}})
    (folder / "corpus.jsonl").unlink()
    return folder


def write_rows(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> str:
    (folder / name).parent.mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / name, row_group_size=2)
    return str(folder)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"_id": "1", "body": "x"}], r"small/corpus.parquet: missing column text: expected .*, found _id, body"),
        ([{"name": "1"}], r"small/corpus.parquet: missing column _id and text"),
        ([{"_id": "1", "text": 5}], r'small/corpus.parquet:row 1: expected a string as "text", found a int'),
        ([{"_id": "1", "text": "x"}, {"_id": None, "text": "x"}], r"small/corpus.parquet:row 2: expected an object"),
        ([{"_id": str(i % 3), "text": "x"} for i in range(4)], r"row 4: duplicate id '0', first used in row 1"),
    ],
)
def test_malformed_rows_are_named(small: Path, rows: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_beir(write_rows(small, "corpus.parquet", rows))


def test_an_id_that_comes_twice_in_two_files_names_both(small: Path) -> None:
    write_rows(small, "corpus/a.parquet", [{"_id": "0", "text": "x"}, {"_id": "1", "text": "x"}])
    write_rows(small, "corpus/b.parquet", [{"_id": "1", "text": "x"}])
    with pytest.raises(DataError, match=r"b.parquet:row 1: duplicate id '1', first used in row 2 of corpus/a.parquet"):
        read_beir(str(small))


def test_numbers_as_ids_and_missing_texts_are_read_as_in_json(small: Path) -> None:
    rows = [{"_id": 1, "text": "one", "title": None}, {"_id": 2, "text": None, "title": "Two"}]
    dataset = read_beir(write_rows(small, "corpus.parquet", rows))
    assert list(dataset.documents) == [("1", "one"), ("2", "Two")]


def test_empty_documents_of_parquet_are_named_by_row(small: Path) -> None:
    rows = [{"_id": str(i), "text": "x" if i < 4 else " "} for i in range(5)]
    assert (
        "1 empty documents: small/corpus.parquet:row 5" in read_beir(write_rows(small, "corpus.parquet", rows)).defects
    )


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PAR1 and no more"])
def test_a_file_that_is_no_parquet_is_named(small: Path, content: bytes) -> None:
    (small / "corpus.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"small/corpus.parquet: not a readable Parquet file"):
        read_beir(str(small))


def test_a_parquet_file_damaged_inside_is_named(small: Path) -> None:
    folder = write_rows(small, "corpus.parquet", [{"_id": str(i), "text": f"text {i}" * 50} for i in range(50)])
    content = bytearray((small / "corpus.parquet").read_bytes())
    content[40:4000] = b"\xff" * 3960
    (small / "corpus.parquet").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"small/corpus.parquet"):
        read_beir(folder)


def test_a_packed_corpus_cut_short_is_named(plain: Path) -> None:
    pack(plain, "corpus")
    content = (plain / "corpus.jsonl.gz").read_bytes()
    (plain / "corpus.jsonl.gz").write_bytes(content[:-20])
    with pytest.raises(DataError, match=r"tiny/corpus.jsonl.gz:\d+: cannot be read"):
        load_dataset(str(plain))


def test_a_parquet_folder_without_a_file_is_no_data_set(small: Path) -> None:
    (small / "corpus").mkdir()
    with pytest.raises(CallError, match=r"has no corpus\.jsonl or corpus\.parquet"):
        read_beir(str(small))


def test_missing_queries_are_said_at_a_url_too(small: Path, use_bucket: type[Bucket]) -> None:
    write_rows(small, "corpus.parquet", [{"_id": "1", "text": "x"}])
    (small / "queries.jsonl").unlink()
    with pytest.raises(ProbeError, match=r"small/queries.jsonl is missing"):
        load_dataset(fill_bucket(small, "bucket/small"))
