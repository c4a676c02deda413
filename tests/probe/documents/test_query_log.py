"""Queries of the user's own are matched with passages by id or path, and nothing of them is lost unsaid."""

import json
from pathlib import Path

import pytest
from own_documents import write_documents

from probe.documents.build import BuildOptions, build_dataset
from probe.documents.passages import Passage
from probe.documents.query_log import QueryRow, match_queries, read_query_log
from probe.errors import CallError, DataError
from probe.sources.loading import load_dataset

PASSAGES = [
    Passage(document, path, (), (), id=name)
    for name, document, path in (("a.md", "a.md", "a.md"), ("a.md#2", "a.md", "a.md"), ("kb7", "kb7", "kb.csv"))
]


def write(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_a_text_file_has_a_query_per_line(tmp_path: Path) -> None:
    rows = read_query_log(write(tmp_path, "log.txt", "how to  install\n\nwhy\n"))
    assert rows == [QueryRow("how to install", "", 1, 1), QueryRow("why", "", 1, 3)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.csv", 'query,doc_id,grade\n"how, then",kb7,2\n'),
        ("log.tsv", "question\tcorpus-id\tscore\nhow, then\tkb7\t2\n"),
        ("log.jsonl", '{"text": "how, then", "document": "kb7", "label": 2}\n'),
    ],
)
def test_columns_are_found_by_their_usual_names(tmp_path: Path, name: str, text: str) -> None:
    assert [(row.text, row.document, row.grade) for row in read_query_log(write(tmp_path, name, text))] == [
        ("how, then", "kb7", 2)
    ]


def test_clicks_are_a_choice_however_many(tmp_path: Path) -> None:
    rows = read_query_log(write(tmp_path, "log.csv", "query,clicked,clicks\na,kb7,17\nb,kb7,0\nc,kb7,\n"))
    assert [row.grade for row in rows] == [1, 0, 1]


def test_jsonl_may_list_documents(tmp_path: Path) -> None:
    rows = read_query_log(write(tmp_path, "log.jsonl", '{"query": "a", "clicked": ["kb7", "a.md"]}\n'))
    assert [row.document for row in rows] == ["kb7", "a.md"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("log.csv", "words,doc\na,b\n", "log.csv:2: no column of queries; found words, doc"),
        ("log.csv", "query,doc_id,grade\na,b,high\n", "log.csv:2: the grade is 'high'"),
        ("log.csv", "query,doc_id,grade\na,b,-1\n", "the grade is '-1'"),
        ("log.jsonl", "{broken\n", "log.jsonl:1: not JSON"),
        ("log.jsonl", "[1]\n", "log.jsonl:1: expected an object"),
        ("log.txt", "\n\n", "cannot be read: empty"),
    ],
)
def test_malformed_files_are_refused_with_their_line(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(DataError) as error:
        read_query_log(write(tmp_path, name, text))
    assert said in str(error.value)


def test_missing_files_and_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="not found"):
        read_query_log(tmp_path / "log.csv")
    with pytest.raises(CallError, match=r"expected one of \.txt"):
        read_query_log(write(tmp_path, "log.pdf", "x"))


def test_rows_of_one_query_are_joined_with_the_highest_grade() -> None:
    rows = [
        QueryRow("How?", "kb7", 1, 1),
        QueryRow("how", "a.md#2", 2, 2),
        QueryRow("how", "kb7", 3, 3),
        QueryRow("how", "kb7", 2, 4),
    ]
    (query,) = match_queries(rows, PASSAGES).judged
    assert (query.text, query.kind, query.relevant, query.grades) == ("How?", "own", ("kb7", "a.md#2"), (3, 2))
    assert query.document == "kb7"


def test_a_path_names_all_passages_of_its_file() -> None:
    for name in ("a.md", "./a.md", "/a.md"):
        assert match_queries([QueryRow("how", name, 1, 1)], PASSAGES).judged[0].relevant == ("a.md", "a.md#2")


def test_unknown_documents_are_counted_with_an_example() -> None:
    found = match_queries([QueryRow("a", "lost.md", 1, 4), QueryRow("b", "gone", 1, 5)], PASSAGES)
    assert (found.unknown, found.example, found.judged) == (2, "line 4: 'lost.md'", ())
    assert found.unjudged == ("a", "b")


def test_queries_without_a_relevant_document_are_unjudged() -> None:
    found = match_queries([QueryRow("a", "", 1, 1), QueryRow("b", "kb7", 0, 2), QueryRow("c", "kb7", 1, 3)], PASSAGES)
    assert found.unjudged == ("a", "b")
    assert [query.text for query in found.judged] == ["c"]


def test_a_built_set_has_own_queries_with_their_grades_and_the_others_without(tmp_path: Path) -> None:
    log = write(tmp_path, "log.csv", "query,doc_id,grade\nships,notes.txt,2\ncompass?,kb0,1\nlost,gone.md,1\nopen,,\n")
    options = BuildOptions(queries=log)
    built = build_dataset(write_documents(tmp_path / "in"), tmp_path / "out", options=options)
    dataset = load_dataset(str(built.folder), "test-own")
    labels = {text: dataset.qrels[name] for name, text in dataset.queries}
    assert labels == {"ships": {"notes.txt": 2}, "compass?": {"kb0": 1}}
    records = map(json.loads, (built.folder / "queries.jsonl").read_text(encoding="utf-8").splitlines())
    own = {record["text"] for record in records if record["metadata"]["kind"] == "own"}
    assert own == {"ships", "compass?", "lost", "open"}
    found = built.made.own
    assert (len(found.judged), len(found.unjudged), found.unknown, found.example) == (2, 2, 1, "line 4: 'gone.md'")
