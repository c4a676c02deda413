"""Which documents have one text, and which of them are the query itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beir_forms import to_parquet
from tiny_data import write_beir, write_lines

from probe.data.dataset import BEIR_ID_RULE, ID_RULE, Dataset
from probe.data.sampling import select
from probe.data.texts import Documents, EqualTexts, TextKeys, Texts
from probe.errors import CallError
from probe.evaluation.bm25 import evaluate_bm25
from probe.evaluation.evaluate import evaluate
from probe.experiments.data_summary import summarize
from probe.experiments.provenance import dataset_settings
from probe.metrics.retrieval import Metric
from probe.sources import beir_download
from probe.sources.loading import load_dataset

TEXTS = ["one", "two", "one", "", "three", "two", "", "one"]
FIRST = Metric("success", 1)


def by_group(found: EqualTexts) -> set[tuple[int, ...]]:
    groups: dict[int, list[int]] = {}
    for position, group in zip(found.positions.tolist(), found.groups.tolist(), strict=True):
        groups.setdefault(group, []).append(position)
    return {tuple(positions) for positions in groups.values()}


def test_equal_texts_are_found() -> None:
    found = TextKeys(TEXTS).find_equal()
    assert by_group(found) == {(0, 2, 7), (1, 5), (3, 6)}
    assert (np.diff(found.positions) > 0).all()


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "two"]])
def test_texts_that_all_differ_have_no_group(texts: list[str]) -> None:
    assert by_group(TextKeys(texts).find_equal()) == set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    documents = {f"d{number}": text for number, text in enumerate(TEXTS)}
    return write_beir(tmp_path / "doubled", documents, {"q": "one"}, {"q": {"d4": 1}})


@pytest.mark.parametrize("form", ["streamed", "parquet", "held"])
def test_a_corpus_tells_its_equal_texts(folder: Path, form: str) -> None:
    if form == "parquet":
        to_parquet(folder, "corpus")
    documents: Documents = load_dataset(str(folder)).documents
    documents = Texts.gather(documents) if form == "held" else documents
    assert by_group(documents.equal_texts) == {(0, 2, 7), (1, 5), (3, 6)}


def test_a_part_of_a_corpus_tells_its_own(folder: Path) -> None:
    chosen = select(load_dataset(str(folder)).documents, {"d5", "d7"}, 5)
    assert [name for name, _ in chosen] == ["d0", "d2", "d4", "d5", "d7"]
    assert by_group(chosen.equal_texts) == {(0, 1, 4)}


def test_title_and_text_are_one_text(folder: Path) -> None:
    rows = [
        {"_id": "a", "title": "x", "text": "y"},
        {"_id": "b", "text": "x y"},
        {"_id": "c", "title": "x y", "text": ""},
    ]
    write_lines(folder / "corpus.jsonl", [json.dumps(row) for row in rows])
    assert by_group(load_dataset(str(folder)).documents.equal_texts) == {(0, 1, 2)}


QUERIES = {"1": "Red  apple", "2": "green pear", "3": "blue plum", "x": "black fig"}
DOCUMENTS: list[dict[str, Any]] = [
    {"_id": "1", "title": "fruit", "text": "red apple "},
    {"_id": "2", "title": "Green", "text": "pear"},
    {"_id": "3", "text": "yellow lemon"},
    {"_id": "4", "text": "blue plum"},
]


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """Ids 1 and 2 are those of a query and of a document that is it; 3 is that of two different texts."""
    folder = write_beir(tmp_path / "shared", {"1": ""}, QUERIES, {query: {"3": 1} for query in QUERIES})
    write_lines(folder / "corpus.jsonl", [json.dumps(row) for row in DOCUMENTS])
    return folder


NOTICE = "1 queries share their id with a document of another text (kept; to drop it: --drop-same-id): 3"


@pytest.mark.parametrize("form", ["streamed", "limited", "parquet"])
def test_a_document_is_dropped_where_id_and_text_are_the_querys(shared: Path, form: str) -> None:
    if form == "parquet":
        to_parquet(shared, "corpus")
    dataset = load_dataset(str(shared), limit=3 if form == "limited" else None)
    assert dataset.dropped == {"1", "2"}
    assert dataset.notices == (NOTICE,)
    assert summarize(dataset).defects == dataset.notices
    settings = dataset_settings(dataset)
    assert settings["id_rule"] == ID_RULE
    assert settings["defects"] == [NOTICE]


def test_beirs_rule_drops_every_document_with_the_querys_id(shared: Path) -> None:
    dataset = load_dataset(str(shared), drop_same_id=True)
    assert {"1", "2", "3"} <= dataset.dropped
    assert dataset_settings(dataset)["id_rule"] == BEIR_ID_RULE
    assert "1 relevant documents with their query's own id" in dataset.notices[0]
    assert replace(load_dataset(str(shared)), drop_same_id=True).dropped == dataset.dropped


def test_a_data_set_in_memory_follows_the_rule() -> None:
    documents = Texts.gather((row["_id"], f"{row.get('title', '')} {row['text']}".strip()) for row in DOCUMENTS)
    dataset = Dataset("held", "test", documents, Texts.gather(QUERIES.items()), {query: {"3": 1} for query in QUERIES})
    assert dataset.dropped == {"2"}
    assert dataset.notices[0].startswith("2 queries share their id with a document of another text")


@pytest.mark.parametrize("side", ["documents", "queries"])
def test_ids_in_memory_that_metrics_cannot_tell_apart_are_refused(side: str) -> None:
    texts = {"documents": Texts(("d",), ("text",)), "queries": Texts(("q",), ("text",))}
    with pytest.raises(CallError, match=r"NUL character in the id 'a\\x00b'"):
        Dataset("held", "test", **{**texts, side: Texts(("a\0b",), ("text",))}, qrels={})


def test_a_set_that_beir_publishes_is_scored_by_its_rule(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = beir_download.read_table
    sizes = {**real("sources", "beir"), "documents": {"quora": 4}}
    monkeypatch.setattr(beir_download, "read_table", lambda *names: sizes)
    assert not load_dataset(str(shared)).drop_same_id
    dataset = load_dataset(str(shared.rename(shared.with_name("quora"))), limit=3)
    assert dataset.drop_same_id
    assert dataset.notices == (
        "1 relevant documents with their query's own id (never returned: rename the ids): quora/qrels/test.tsv:4",
    )


def test_every_published_set_has_a_size() -> None:
    for name in beir_download.beir_names():
        assert (beir_download.beir_documents(name) or 0) > 3000
    assert beir_download.beir_documents("mine") is None


class Same:
    """An encoder that finds the document whose number the query's last word has."""

    def encode_query(self, texts: list[str]) -> Any:
        words = ["apple", "pear", "plum", "lemon", "fig"]
        return np.array([[float(word in text.lower()) for word in words] for text in texts], np.float32)

    encode_document = encode_query


def test_a_document_with_the_querys_id_by_accident_can_be_found(shared: Path) -> None:
    write_lines(shared / "queries.jsonl", ['{"_id": "3", "text": "lemon"}'])
    for rule, score in ((False, 1.0), (True, 0.0)):
        dataset = load_dataset(str(shared), drop_same_id=rule)
        assert evaluate(Same(), dataset, [FIRST]).mean(FIRST) == score
        assert evaluate_bm25(dataset, [FIRST]).mean(FIRST) == score
