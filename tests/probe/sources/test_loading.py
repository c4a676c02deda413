"""Loading data sets by name and path, limits, hashes."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_beir, zip_folder

from probe.data.texts import Texts
from probe.errors import CallError, DataError
from probe.sources.loading import load_dataset


def test_folder_and_zip_give_the_same_data_set(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "mine")
    archive = zip_folder(folder, tmp_path / "mine.zip")
    zipped, unpacked = load_dataset(str(archive)), load_dataset(str(folder))
    assert Texts.gather(zipped.documents) == Texts.gather(unpacked.documents)
    assert (zipped.queries, zipped.qrels, zipped.text_hash) == (unpacked.queries, unpacked.qrels, unpacked.text_hash)


def test_only_judged_queries_are_kept(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "a", {"d": "one"}, {"q1": "one", "q2": "two"}, {"q1": {"d": 1}})
    assert load_dataset(str(folder)).queries.ids == ("q1",)


def test_limit_keeps_every_judged_document(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_dataset(tmp_path / "a", documents=40, queries=8)), limit=20)
    judged = {document for docs in dataset.qrels.values() for document in docs}
    kept = Texts.gather(dataset.documents)
    assert judged <= set(kept.ids)
    assert len(dataset.documents) == len(kept) == 20
    assert dataset.documents.text_hash == kept.text_hash
    assert dataset.limited


def test_limit_below_the_judged_documents_leaves_queries_out(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_dataset(tmp_path / "a", queries=8)), limit=6)
    judged = {document for docs in dataset.qrels.values() for document in docs}
    assert len(dataset.queries) == 3
    assert {name for name, _ in dataset.documents} == judged


def test_limit_of_the_whole_corpus_limits_nothing(tmp_path: Path) -> None:
    assert not load_dataset(str(make_dataset(tmp_path / "a")), limit=40).limited


def test_limit_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="at least 1"):
        load_dataset(str(make_dataset(tmp_path / "a")), limit=0)


def test_a_data_set_without_documents_is_refused(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "a", {}, {"q": "one"}, {"q": {"d": 1}})
    with pytest.raises(DataError, match="no documents"):
        load_dataset(str(folder))


def test_a_data_set_without_judged_queries_is_refused(tmp_path: Path) -> None:
    folder = write_beir(tmp_path / "a", {"d": "one"}, {"q": "one"}, {})
    with pytest.raises(DataError, match="no queries with relevance labels"):
        load_dataset(str(folder))


def test_text_hash_follows_every_text_and_id(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_dataset(tmp_path / "a")))
    documents, queries = Texts.gather(dataset.documents), dataset.queries
    changed = [
        replace(dataset, documents=Texts(documents.ids, (documents.texts[0] + "!", *documents.texts[1:]))),
        replace(dataset, documents=Texts(("other", *documents.ids[1:]), documents.texts)),
        replace(dataset, queries=Texts(queries.ids, ("?", *queries.texts[1:]))),
    ]
    assert len({dataset.text_hash, *[other.text_hash for other in changed]}) == 4


def test_text_hash_tells_where_one_text_ends(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_dataset(tmp_path / "a")))
    left = replace(dataset, documents=Texts(("a", "b"), ("xy", "z")))
    right = replace(dataset, documents=Texts(("a", "b"), ("x", "yz")))
    assert left.text_hash != right.text_hash


def test_qrels_hash_follows_the_grades(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_dataset(tmp_path / "a")))
    assert dataset.qrels_hash != replace(dataset, qrels={"q0": {"d0": 2}}).qrels_hash


@pytest.mark.parametrize("name", ["scifcat", "./nowhere", "no/where", "nowhere.zip"])
def test_unknown_data_set_is_a_wrong_call(name: str) -> None:
    with pytest.raises(CallError):
        load_dataset(name)


def test_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(CallError, match="scifact"):
        load_dataset("scifcat")
