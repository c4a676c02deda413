"""Judgements in every form that people have them, and their faults by file and line."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_data import write_beir, write_lines, zip_folder

from probe.data.dataset import Dataset
from probe.data.qrels import list_splits
from probe.errors import DataError
from probe.sources.beir import read_beir

QRELS = {"q": {"1": 1, "2": 0}, "7": {"2": 3}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small data set without judgements."""
    folder = write_beir(tmp_path / "small", {"1": "one", "2": "two"}, {"q": "uno", "7": "due"}, {})
    (folder / "qrels" / "test.tsv").unlink()
    return folder


def read(folder: Path, *lines: str, name: str = "test.tsv") -> Dataset:
    write_lines(folder / "qrels" / name, list(lines))
    return read_beir(str(folder))


ROWS = [("q", "1", "1"), ("q", "2", "0"), ("7", "2", "3")]
COLUMNS = {
    "BEIR's": ["query-id\tcorpus-id\tscore", *map("\t".join, ROWS)],
    "another order": ["corpus-id\tquery-id\tscore", *(f"{d}\t{q}\t{g}" for q, d, g in ROWS)],
    "the grade first": ["Relevance\tquery_id\tdoc_id", *(f"{g}\t{q}\t{d}" for q, d, g in ROWS)],
    "a column more": ["query_id\titeration\tdoc_id\trelevance", *(f"{q}\t0\t{d}\t{g}" for q, d, g in ROWS)],
    "white space": ["qid docid rel", *map(" ".join, ROWS)],
    "TREC's, spaces": [f"{q} 0 {d} {g}" for q, d, g in ROWS],
    "TREC's, tabs": [f"{q}\t0\t{d}\t{g}" for q, d, g in ROWS],
    "TREC's, aligned": [f"{q}   Q0  {d}\t{g}  " for q, d, g in ROWS],
    "white space around": ["query-id\tcorpus-id\tscore", *(f" {q}\t{d} \t {g} " for q, d, g in ROWS)],
    "decimals": ["query-id\tcorpus-id\tscore", *(f"{q}\t{d}\t{g}.0" for q, d, g in ROWS)],
}


@pytest.mark.parametrize("form", COLUMNS)
def test_columns_are_read_in_any_form(folder: Path, form: str) -> None:
    dataset = read(folder, *COLUMNS[form])
    assert dataset.qrels == QRELS
    assert dataset.defects == ()


NAMES = [
    ("query-id", "corpus-id", "score"),
    ("query_id", "doc_id", "relevance"),
    ("qid", "docid", "label"),
    ("queryId", "docId", "grade"),
    ("topic", "docno", "rel"),
]


@pytest.mark.parametrize("names", NAMES)
def test_json_lines_are_read_under_the_names_people_give(folder: Path, names: tuple[str, str, str]) -> None:
    values: list[tuple[Any, Any, Any]] = [("q", "1", 1), ("q", 2, "0"), (7, " 2 ", 3.0)]
    lines = [json.dumps({"query": "its text", **dict(zip(names, row, strict=True))}) for row in values]
    dataset = read(folder, *lines, name="test.jsonl")
    assert dataset.qrels == QRELS
    assert dataset.defects == ()


@pytest.mark.parametrize("name", ["test.tsv", "test.jsonl", "test.trec"])
def test_packed_judgements_are_read(folder: Path, name: str) -> None:
    lines = {
        "test.tsv": COLUMNS["BEIR's"],
        "test.trec": COLUMNS["TREC's, spaces"],
        "test.jsonl": [json.dumps({"query-id": q, "corpus-id": d, "score": int(g)}) for q, d, g in ROWS],
    }[name]
    (folder / "qrels" / f"{name}.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert read_beir(str(folder)).qrels == QRELS


FAULTS = {
    "a half": (["q\t1\t0.5", "q\t2\t1"], r"test.tsv:1: expected a header .*'q\\t1\\t0.5'"),
    "no grade": (["q\t1\thigh", "q\t2\t1"], r"test.tsv:1: expected a header"),
    "a header without documents": (["query-id\tsplit\tscore", "q\t1\t1"], r"test.tsv:1: expected a header"),
    "an underscore": (["q\t1\t1", "q\t2\t1_0"], r"test.tsv:2: expected an integer grade, found '1_0'"),
    "an underscore first": (["q\t1\t1_0", "q\t2\t1"], r"test.tsv:1: expected a header"),
    "digits of another script": (["q\t1\t1", "q\t2\t\uff11"], r"test.tsv:2: expected an integer"),
    "an exponent": (["q\t1\t1", "q\t2\t1e1"], r"test.tsv:2: expected an integer"),
    "no id": (["q\t1\t1", "q\t \t1"], r'test.tsv:2: empty id "corpus-id"'),
    "NUL": (["q\t1\t1", "q\t1\x00b\t1"], r"test.tsv:2: NUL character in the id '1\\x00b'"),
    "a column less": (["q 0 1 1", "q 2 1"], r"test.tsv:2: expected tab-separated .* TREC's .* found 'q 2 1'"),
    "TREC's ranking": (["q Q0 1 1 0.5 run"], r"test.tsv:1: expected a header"),
    "four columns, no iteration": (["q 0 1 1", "q x 2 1"], r"test.tsv:2: expected tab-separated .* found 'q x 2 1'"),
    "a contradiction": (
        ["q\t1\t1", "q\t2\t1", "q\t1\t2"],
        r"test.tsv:3: conflicting relevance labels for 'q' and '1': 2 here, 1 in small/qrels/test.tsv:1",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_by_line(folder: Path, fault: str) -> None:
    lines, message = FAULTS[fault]
    with pytest.raises(DataError, match=message):
        read(folder, *lines)


JSON_FAULTS = {
    "no document": ({"query-id": "q", "score": 1}, r"test.jsonl:1: expected an object with query-id"),
    "a flag as grade": ({"qid": "q", "docid": "1", "score": True}, r"test.jsonl:1: expected an integer .* True"),
    "a flag as id": (
        {"qid": True, "docid": "1", "score": 1},
        r'test.jsonl:1: expected a string .* "qid", found True',
    ),
    "a half": ({"qid": "q", "docid": "1", "score": 0.5}, r"test.jsonl:1: expected an integer .* 0.5"),
    "an underscore": ({"qid": "q", "docid": "1", "score": "1_0"}, r"test.jsonl:1: expected an integer .* '1_0'"),
    "NUL": ({"qid": "q\0", "docid": "1", "score": 1}, r"test.jsonl:1: NUL character in the id"),
    "a list": ([], r"test.jsonl:1: expected an object"),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_faults_of_json_lines_are_named_by_line(folder: Path, fault: str) -> None:
    record, message = JSON_FAULTS[fault]
    with pytest.raises(DataError, match=message):
        read(folder, json.dumps(record), name="test.jsonl")


@pytest.mark.parametrize("again", ["q\t1\t1", " q\t1 \t1.0"])
def test_the_same_judgement_again_counts_once_and_is_named(folder: Path, again: str) -> None:
    dataset = read(folder, "query-id\tcorpus-id\tscore", "q\t1\t1", again, again)
    assert dataset.qrels == {"q": {"1": 1}}
    named = "small/qrels/test.tsv:3, small/qrels/test.tsv:4"
    assert dataset.defects == (f"2 duplicate relevance labels with the same grade (counted once): {named}",)


def test_ids_are_the_same_with_white_space_around_them_on_any_side(folder: Path) -> None:
    write_lines(folder / "corpus.jsonl", ['{"_id": " 1", "text": "one"}', '{"_id": "2\\u00a0", "text": "two"}'])
    write_lines(folder / "queries.jsonl", ['{"_id": "q ", "text": "uno"}', '{"_id": "\\t7", "text": "due"}'])
    dataset = read(folder, *COLUMNS["TREC's, spaces"])
    assert dataset.qrels == QRELS
    assert dataset.queries.ids == ("q", "7")
    assert [name for name, _ in dataset.documents] == ["1", "2"]
    assert dataset.defects == ()


def test_files_that_systems_leave_behind_are_no_splits(folder: Path, tmp_path: Path) -> None:
    write_lines(folder / "qrels" / "dev.tsv", COLUMNS["BEIR's"])
    for name in ("._dev.tsv", ".hidden.tsv", "README.txt"):
        (folder / "qrels" / name).write_bytes(b"\0\5\26\7")
    write_lines(folder / "__MACOSX" / "corpus.jsonl", ["\0"])
    assert list_splits(folder) == ["dev"]
    assert read_beir(str(folder)).qrels == QRELS


def test_a_zip_made_on_a_mac_is_read(folder: Path, tmp_path: Path) -> None:
    write_lines(folder / "qrels" / "test.tsv", COLUMNS["BEIR's"])
    outer = tmp_path / "outer"
    outer.mkdir()
    folder.rename(outer / "small")
    write_lines(outer / "__MACOSX" / "corpus.jsonl", ["\0"])
    write_lines(outer / "__MACOSX" / "small" / "qrels" / "._test.tsv", ["\0"])
    write_lines(outer / ".Trash" / "corpus.jsonl", ["\0"])
    dataset = read_beir(str(outer))
    assert dataset.qrels == QRELS
    (outer / "__MACOSX" / "small").rename(outer / "kept")
    assert read_beir(str(zip_folder(outer / "small", tmp_path / "a.zip"))).qrels == QRELS


def test_of_two_forms_of_one_split_the_columns_are_read(folder: Path) -> None:
    write_lines(folder / "qrels" / "test.jsonl", ['{"query-id": "q", "corpus-id": "1", "score": 5}'])
    dataset = read(folder, *COLUMNS["BEIR's"])
    assert dataset.qrels == QRELS
    assert dataset.defects[0].startswith("1 duplicate qrels files in another form (ignored, test.tsv is used)")
