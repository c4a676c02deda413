"""Training rows: three forms read from files and data sets, turned into each other, and every fault named."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset, write_beir, write_lines

from adaptors.rows.columns import BINARY, CLASSES, LISTS, PAIRS, SCORED, TEXTS, TRIPLETS, TRIPLETS_OR_PAIRS, Layout
from adaptors.rows.load import TuningData, load_tuning_data
from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row, as_lists, as_pairs, as_points
from probe.errors import CallError, DataError

POINT = {"query": "sun", "document": "star light", "label": 1}
PAIR = {"query": "sun", "positive": "star light"}
TRIPLE = {**PAIR, "negative_1": "cold rain", "negative_2": "snow"}
LIST = {"query": "sun", "documents": ["star light", "cold rain", "snow"], "labels": [2, 1, 0]}

FORMS: dict[str, tuple[dict[str, Any], Row]] = {
    "point-wise": (POINT, Pointwise("sun", "star light", 1)),
    "pairs": (PAIR, Pairwise("sun", "star light")),
    "one negative": ({**PAIR, "negative": "snow"}, Pairwise("sun", "star light", ("snow",))),
    "two negatives": (TRIPLE, Pairwise("sun", "star light", ("cold rain", "snow"))),
    "list-wise": (LIST, Listwise("sun", ("star light", "cold rain", "snow"), (2, 1, 0))),
    "teacher's scores below zero": (
        {**LIST, "labels": [-1.5, -3, -9]},
        Listwise("sun", LIST["documents"], (-1.5, -3, -9)),
    ),
}


def write(folder: Path, suffix: str, *records: dict[str, Any]) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        return write_lines(path, [json.dumps(record) for record in records])
    names = list(dict.fromkeys(name for record in records for name in record))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for record in records:
            writer.writerow(
                {key: json.dumps(value) if isinstance(value, list) else value for key, value in record.items()}
            )
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize(("record", "expected"), FORMS.values(), ids=FORMS)
def test_the_columns_tell_the_form(tmp_path: Path, suffix: str, record: dict[str, Any], expected: Row) -> None:
    data = load_tuning_data(str(write(tmp_path, suffix, {"id": "7", **record}, {"id": "8", **record})))
    expected = (
        Listwise(expected.query, tuple(expected.documents), expected.labels)
        if isinstance(expected, Listwise)
        else expected
    )
    assert data.rows == (expected, expected)
    assert data.rows[1].location.endswith("/rows.jsonl:2" if suffix == ".jsonl" else "/rows.csv:3")


NAMES: dict[str, tuple[dict[str, Any], list[Row]]] = {
    "sentence-transformers": (
        {"anchor": "sun", "positive": "star light", "negative": "snow"},
        [Pairwise("sun", "star light", ("snow",))],
    ),
    "scored pairs": (
        {"sentence1": "sun", "sentence2": "star light", "score": 0.8},
        [Pointwise("sun", "star light", 0.8)],
    ),
    "FlagEmbedding": (
        {"query": "sun", "pos": ["star light", "day"], "neg": ["snow", "rain"], "prompt": "x", "pos_scores": [1, 2]},
        [Pairwise("sun", "star light", ("snow", "rain")), Pairwise("sun", "day", ("snow", "rain"))],
    ),
    "FlagEmbedding without negatives": ({"query": "sun", "pos": ["day"]}, [Pairwise("sun", "day")]),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize(("record", "expected"), NAMES.values(), ids=NAMES)
def test_columns_have_the_names_of_other_tools(
    tmp_path: Path, suffix: str, record: dict[str, Any], expected: list[Row]
) -> None:
    assert list(load_tuning_data(str(write(tmp_path, suffix, record))).rows) == expected


def test_other_names_of_columns_can_be_given(tmp_path: Path) -> None:
    record = {"question": "sun", "answer": "day", "wrong": "snow", "query": "moon"}
    file = str(write(tmp_path, ".csv", record))
    data = load_tuning_data(file, columns={"anchor": "question", "positive": "answer", "negative_1": "wrong"})
    assert data.rows == (Pairwise("sun", "day", ("snow",)),)


WRONG_NAMES: dict[str, tuple[dict[str, str], str]] = {
    "an unknown name": (
        {"positiv": "answer"},
        "--columns positiv=answer: unknown name 'positiv': did you mean positive",
    ),
    "an unknown column": (
        {"anchor": "question"},
        r"--columns anchor=question: '.*rows.csv' has no column 'question', found",
    ),
    "one name twice": (
        {"anchor": "query", "query": "positive"},
        "--columns query=positive: 'query' is already 'query'",
    ),
}


@pytest.mark.parametrize(("columns", "words"), WRONG_NAMES.values(), ids=WRONG_NAMES)
def test_names_of_columns_that_cannot_be_are_wrong_calls(tmp_path: Path, columns: dict[str, str], words: str) -> None:
    with pytest.raises(CallError, match=words):
        load_tuning_data(str(write(tmp_path, ".csv", {**PAIR, "answer": "x"})), columns=columns)


def test_a_data_set_has_no_columns_to_name(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="--columns is for files"):
        load_tuning_data(str(make_dataset(tmp_path / "tiny")), columns={"anchor": "question"})


def test_negatives_are_read_in_their_order(tmp_path: Path) -> None:
    numbered = {f"negative_{number}": f"text {number}" for number in (10, 2, 1, 9, 3, 4, 5, 6, 7, 8)}
    (row,) = load_tuning_data(str(write(tmp_path, ".csv", {**PAIR, **numbered}))).rows
    assert isinstance(row, Pairwise)
    assert row.negatives == tuple(f"text {number}" for number in range(1, 11))


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no form": (
        {"query": "sun", "text": "star"},
        r":1: unknown columns: found query, text\nexpected anchor, positive\[, negative or .*; or map your columns",
    ),
    "two forms": (
        {**POINT, "positive": "x"},
        r":1: columns of two forms \(point-wise and pair-wise\): found query, document, label",
    ),
    "negatives of another form": (
        {"query": "a", "positive": "b", "neg": ["c"]},
        ':1: column "neg" belongs to pos, not to pair-wise rows: found query, positive, neg',
    ),
    "no query": (
        {"positive": "star"},
        r':1: column "query" or "anchor" or "sentence1" is missing: found positive \(pair-wise\)\nexpected',
    ),
    "no positive": ({"query": "sun", "negative": "snow"}, r':1: column "positive" is missing'),
    "no label": ({"query": "sun", "document": "star"}, r':1: column "label" or "score" is missing'),
    "no labels": ({"query": "sun", "documents": ["a", "b"]}, r':1: column "labels" is missing'),
    "a gap": ({**PAIR, "negative_1": "a", "negative_3": "b"}, r':1: column "negative_3" without "negative_2"'),
    "from nought": (
        {**PAIR, "negative_0": "a"},
        r':1: column "negative_0": expected only negative, or negative_1',
    ),
    "misspelt": ({**PAIR, "negatives": "a"}, r':1: column "negatives": expected only negative, or negative_1'),
    "alone and numbered": (
        {**PAIR, "negative": "a", "negative_1": "b"},
        r'column "negative": expected only negative',
    ),
    "empty query": ({**POINT, "query": " "}, r':\d: "query" is empty: expected a text'),
    "empty document": ({**POINT, "document": ""}, r':\d: "document" is empty'),
    "unlabelled": ({**PAIR, "positive": ""}, r':\d: "positive" is empty'),
    "empty negative": ({**TRIPLE, "negative_2": ""}, r':\d: "negative_2" is empty'),
    "its own negative": (
        {**PAIR, "negative": "star light"},
        r":\d: the positive is also a negative: 'star light'",
    ),
    "no number": ({**POINT, "label": "yes"}, r':\d: expected a finite number as "label", found "yes"'),
    "no label given": ({**POINT, "label": ""}, r':\d: expected a finite number as "label", found ""'),
    "not a number": ({**POINT, "label": "nan"}, r':\d: expected a finite number as "label", found "nan"'),
    "lengths": ({**LIST, "labels": [1, 0]}, r":\d: 3 documents and 2 labels: expected one label per document"),
    "one document": ({**LIST, "documents": ["a"], "labels": [1]}, r":\d: 1 documents in a list: expected two or more"),
    "none relevant": (
        {**LIST, "labels": [0, 0, 0]},
        r":\d: no document of the list is relevant: expected a label above 0",
    ),
    "two names of one column": (
        {**PAIR, "anchor": "moon"},
        r":1: columns query and anchor have the same meaning: choose with --columns query=query",
    ),
    "no positives": ({"query": "sun", "pos": []}, r':\d: "pos" is empty: expected at least one positive'),
    "no list of positives": ({"query": "sun", "pos": "star"}, r':\d: expected a JSON list as "pos", found "star"'),
    "an empty negative of several": (
        {"query": "sun", "pos": ["star"], "neg": ["snow", ""]},
        r':\d: "neg\[1\]" is empty: expected a text',
    ),
    "twice": ({**LIST, "documents": ["a", "b", "a"]}, r":\d: duplicate document in a list"),
    "no list": ({**LIST, "documents": "star"}, r':\d: expected a JSON list as "documents", found "star"'),
    "no list of labels": ({**LIST, "labels": 3}, r':\d: expected a JSON list as "labels", found'),
    "empty in a list": ({**LIST, "documents": ["a", "", "b"]}, r':\d: "documents\[1\]" is empty'),
    "no text in a list": ({**LIST, "documents": ["a", 4, "b"]}, r':\d: expected a string as "documents\[1\]", found 4'),
    "infinite in a list": (
        {**LIST, "labels": [1, 1e999, 0]},
        r':\d: expected a finite number as "labels\[1\]", found Inf',
    ),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize(("record", "words"), FAULTS.values(), ids=FAULTS)
def test_every_fault_is_named_with_file_and_line(
    tmp_path: Path, suffix: str, record: dict[str, Any], words: str
) -> None:
    with pytest.raises(DataError, match=rf"/rows{suffix}{words}" if words[0] == ":" else words) as raised:
        load_tuning_data(str(write(tmp_path, suffix, record)))
    assert len(str(raised.value).splitlines()) <= 2


JSON_FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "wrong type": ([PAIR, {**PAIR, "query": 3}], r':2: expected a string as "query", found 3'),
    "a negative missing": ([TRIPLE, {**PAIR, "negative_1": "a"}], r':2: expected an object with .*"negative_2"'),
    "a negative more": ([PAIR, {**PAIR, "negative": "a"}], r':1: expected an object with .*"negative"'),
    "no text": ([{**TRIPLE, "negative_1": None}], r':1: expected a string as "negative_1", found null'),
    "a flag": ([{**POINT, "label": True}], r':1: expected a finite number as "label", found true'),
    "nothing": ([], r":1: unknown columns: found no columns"),
}


@pytest.mark.parametrize(("records", "words"), JSON_FAULTS.values(), ids=JSON_FAULTS)
def test_faults_that_only_jsonl_can_have(tmp_path: Path, records: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_tuning_data(
            str(write(tmp_path, ".jsonl", *records)) if records else str(write_lines(tmp_path / "a.jsonl", ["", ""]))
        )


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no training rows"):
        load_tuning_data(str(write_lines(tmp_path / "a.csv", ["query,positive"])))


def test_what_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none.csv"), str(tmp_path / "none"), "docstrings"):
        with pytest.raises(CallError):
            load_tuning_data(name)


def test_a_data_set_gives_a_pair_for_every_relevant_document(tmp_path: Path) -> None:
    documents = {"d1": "star", "d2": "rain", "d3": "snow", "q2": "ice", "d5": ""}
    qrels = {"q1": {"d1": 2, "d2": 1, "d3": 0, "d5": 1, "gone": 1}, "q2": {"q2": 1, "d3": 1}}
    folder = write_beir(tmp_path / "set", documents, {"q1": "sun", "q2": "ice"}, qrels, "train")
    data = load_tuning_data(str(folder))
    assert data.rows == (Pairwise("sun", "star", (), 2), Pairwise("sun", "rain"), Pairwise("ice", "snow"))
    assert any("pairs with an empty text (skipped): q1 d5" in line for line in data.defects)
    assert data.corpus is not None
    assert (data.corpus.split, dict(data.corpus.documents)) == ("train", documents)


def test_a_data_set_without_training_judgements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="train"):
        load_tuning_data(str(make_dataset(tmp_path / "tiny")))


GRADED = Listwise("sun", ("star", "rain", "snow"), (2, 0, 1))
PAIRED = Pairwise("ice", "cold", ("sun", "fire"))


def test_lists_become_pairs_with_the_documents_that_are_not_relevant_and_come_back() -> None:
    pairs = [Pairwise("sun", "star", ("rain",), 2), Pairwise("sun", "snow", ("rain",))]
    assert as_pairs([GRADED]) == pairs
    (again,) = as_lists(as_points(pairs))
    assert dict(zip(again.documents, again.labels, strict=True)) == {"star": 2, "rain": 0, "snow": 1}


@pytest.mark.parametrize("row", [PAIRED, Pairwise("ice", "cold", ("sun",), 3.0), Pairwise("ice", "cold")])
def test_pairs_come_back_from_points(row: Pairwise) -> None:
    assert as_pairs(as_points([row])) == [row]
    if row.negatives:
        assert as_pairs(as_lists([row])) == [row]


def test_points_come_back_from_lists() -> None:
    points = [
        Pointwise("sun", "star", 0.5),
        Pointwise("ice", "cold", 1),
        Pointwise("sun", "rain", -2),
        Pointwise("ice", "fire", 0),
    ]
    assert sorted(as_points(as_lists(points)), key=str) == sorted(points, key=str)


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([Pointwise("sun", "star", 0.5, "a.csv:2")], CallError, "a.csv:2: the label 0.5 is a score, not a grade"),
        ([Listwise("sun", ("a", "b"), (-1, -2), "a.csv:2")], CallError, "the label -1 is a score"),
        ([Pointwise("sun", "star", 0, "a.csv:2")], DataError, "a.csv:2: no document is relevant to 'sun'"),
        (
            [Pointwise("s", "d", 0), Pointwise("s", "d", 1, "a.csv:3")],
            DataError,
            "a.csv:3: label 1 of a document that already has label 0",
        ),
    ],
)
def test_what_would_lose_or_contradict_a_judgement_is_refused(rows: list[Row], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        as_pairs(rows)


COLUMNS: dict[str, tuple[Layout, list[Row], dict[str, list[Any]]]] = {
    "pairs": (PAIRS, [Pairwise("q", "p")], {"anchor": ["q"], "positive": ["p"]}),
    "one negative": (PAIRS, [Pairwise("q", "p", ("n",))], {"anchor": ["q"], "positive": ["p"], "negative": ["n"]}),
    "negatives": (
        PAIRS,
        [PAIRED],
        {"anchor": ["ice"], "positive": ["cold"], "negative_1": ["sun"], "negative_2": ["fire"]},
    ),
    "triplets": (
        TRIPLETS,
        [PAIRED],
        {"anchor": ["ice", "ice"], "positive": ["cold", "cold"], "negative": ["sun", "fire"]},
    ),
    "either with": (
        TRIPLETS_OR_PAIRS,
        [PAIRED],
        {"anchor": ["ice"] * 2, "positive": ["cold"] * 2, "negative": ["sun", "fire"]},
    ),
    "either without": (TRIPLETS_OR_PAIRS, [Pairwise("q", "p")], {"anchor": ["q"], "positive": ["p"]}),
    "scored": (
        SCORED,
        [GRADED],
        {"sentence1": ["sun"] * 3, "sentence2": ["star", "rain", "snow"], "score": [2.0, 0.0, 1.0]},
    ),
    "binary": (BINARY, [PAIRED], {"sentence1": ["ice"] * 3, "sentence2": ["cold", "sun", "fire"], "label": [1, 0, 0]}),
    "lists, the best first": (
        LISTS,
        [GRADED],
        {
            "query": ["sun"],
            "document_1": ["star"],
            "document_2": ["snow"],
            "document_3": ["rain"],
            "label": [[2, 1, 0]],
        },
    ),
    "classes, joined over steps": (
        CLASSES,
        [Pairwise("q1", "d1"), Pairwise("q2", "d1", ("n",)), Pairwise("q3", "d3")],
        {"sentence": ["q1", "d1", "q2", "n", "q3", "d3"], "label": [0, 0, 0, 1, 2, 2]},
    ),
    "texts, each once": (TEXTS, [Pairwise("q", "p", ("n",)), Pairwise("q", "x")], {"anchor": ["q", "p", "n", "x"]}),
}


@pytest.mark.parametrize(("layout", "rows", "expected"), COLUMNS.values(), ids=COLUMNS)
def test_rows_in_the_columns_a_loss_takes(layout: Layout, rows: list[Row], expected: dict[str, list[Any]]) -> None:
    found = layout.dataset(TuningData("rows.csv", tuple(rows)), "some").to_dict()
    if layout is TEXTS:
        expected = {**expected, "positive": expected["anchor"]}
    assert found == expected
    assert list(found) == list(expected)


UNFIT: dict[str, tuple[Layout, list[Row], str]] = {
    "ragged": (PAIRS, [PAIRED, Pairwise("q", "p")], "queries have 0 to 2 negatives: expected the same number"),
    "no negatives": (TRIPLETS, [Pairwise("q", "p", location="a:1")], "a:1: a query without negatives: add negatives"),
    "some negatives": (TRIPLETS_OR_PAIRS, [PAIRED, Pairwise("q", "p")], "some of its queries have negatives"),
    "one label": (
        SCORED,
        [Pairwise("q", "p"), Pairwise("r", "s")],
        "all its labels are 1: expected different labels",
    ),
    "grades": (BINARY, [GRADED], "label 2: expected 0 or 1; for grades, use cosent or angle"),
    "no scores": (LISTS, [PAIRED], "pair-wise rows have no teacher's scores: expected query, documents, labels"),
    "ragged lists": (LISTS, [GRADED, Listwise("q", ("a", "b"), (1, 0))], "its lists have 2 to 3 documents"),
    "single documents": (LISTS, [Pointwise("q", "p", 1, "a:1")], "a:1: a query with one document"),
    "one class": (CLASSES, [Pairwise("q", "p"), Pairwise("q", "x")], "connects all its texts into one class"),
    "one class of pairs": (CLASSES, [Pairwise("q", "p", ("n", "m"))], "connects all its texts into one class"),
}


@pytest.mark.parametrize(("layout", "rows", "words"), UNFIT.values(), ids=UNFIT)
def test_why_a_loss_cannot_use_the_rows(layout: Layout, rows: list[Row], words: str) -> None:
    with pytest.raises(CallError, match=words) as raised:
        layout.dataset(TuningData("rows.csv", tuple(rows)), "some")
    first, _second = str(raised.value).splitlines()
    assert first == f"the loss 'some' cannot use 'rows.csv': it needs {layout.columns}"
