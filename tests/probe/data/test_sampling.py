"""Samples: nested, with all judged documents of the queries kept, independent of the corpus's order."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from tiny_data import make_dataset

from probe.data.dataset import Dataset
from probe.data.sampling import SampleSize, sample
from probe.data.texts import Texts
from probe.errors import CallError
from probe.sources.loading import load_dataset

JUDGED = [f"d{number}" for number in range(400)]


def numbered(*, judged: int, documents: int = 400) -> Dataset:
    """Return a data set with one relevant document per query; the first documents are judged."""
    names = tuple(f"d{number}" for number in range(documents))
    asked = tuple(f"q{number}" for number in range(judged))
    return Dataset(
        name="numbered",
        split="test",
        documents=Texts(names, tuple(f"text of {name}" for name in names)),
        queries=Texts(asked, tuple(f"query {name}" for name in asked)),
        qrels={f"q{number}": {f"d{number}": 1} for number in range(judged)},
    )


def contents(dataset: Dataset) -> tuple[set[str], set[str]]:
    return {name for name, _ in dataset.documents}, set(dataset.queries.ids)


def test_a_limit_limits_where_everything_is_judged() -> None:
    found = sample(numbered(judged=400), SampleSize(30))
    documents, queries = contents(found)
    assert (len(documents), len(queries), found.whole, found.limited) == (30, 30, (400, 400), True)
    assert {doc for docs in found.qrels.values() for doc in docs} == documents


def test_all_queries_are_kept_where_their_documents_fit() -> None:
    documents, queries = contents(sample(numbered(judged=20), SampleSize(50)))
    assert (len(documents), len(queries)) == (50, 20)
    assert {f"d{number}" for number in range(20)} <= documents


@pytest.mark.parametrize("judged", [400, 120, 20])
@pytest.mark.parametrize("queries", [None, 10])
def test_a_small_sample_is_part_of_a_larger_one(judged: int, queries: int | None) -> None:
    samples = [
        contents(sample(numbered(judged=judged), SampleSize(size, queries))) for size in (30, 100, 119, 121, 300)
    ]
    for (few, asked_few), (many, asked_many) in pairwise(samples):
        assert few < many
        assert asked_few <= asked_many


def test_another_seed_draws_another_sample() -> None:
    drawn = [contents(sample(numbered(judged=400), SampleSize(30, seed=seed)))[0] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_order_of_the_corpus_decides_nothing() -> None:
    dataset = numbered(judged=100)
    texts = list(dataset.documents)[::-1]
    turned = replace(dataset, documents=Texts.gather(texts), qrels=dict(reversed(dataset.qrels.items())))
    for size in (SampleSize(30), SampleSize(200), SampleSize(200, 7)):
        assert contents(sample(dataset, size)) == contents(sample(turned, size))


def test_queries_alone_are_limited_without_loss_of_documents() -> None:
    found = sample(numbered(judged=100), SampleSize(queries=7))
    assert [len(side) for side in contents(found)] == [400, 7]
    assert (set(found.qrels), found.limited, found.whole) == (set(found.queries.ids), False, (400, 100))


def test_documents_of_queries_left_out_may_fill_a_sample_of_few_queries() -> None:
    found = sample(numbered(judged=400), SampleSize(100, 7))
    assert [len(side) for side in contents(found)] == [100, 7]


def test_one_query_with_more_documents_than_the_limit_keeps_them_all() -> None:
    dataset = replace(numbered(judged=2), qrels={"q0": dict.fromkeys(JUDGED[:50], 1), "q1": dict.fromkeys(JUDGED, 1)})
    found = sample(dataset, SampleSize(5))
    assert len(found.queries) == 1
    assert set(found.qrels[found.queries.ids[0]]) == contents(found)[0]


def test_judged_documents_that_are_missing_take_no_room() -> None:
    qrels = {f"q{number}": {f"d{number}": 1, f"gone{number}": 1} for number in range(20)}
    assert [len(side) for side in contents(sample(replace(numbered(judged=20), qrels=qrels), SampleSize(20)))] == [
        20,
        20,
    ]


def test_a_sample_of_everything_is_the_data_set_itself() -> None:
    dataset = numbered(judged=9)
    assert sample(dataset, SampleSize(400, 9)) is dataset


@pytest.mark.parametrize(("size", "option"), [({"documents": 0}, "--limit 0"), ({"queries": 0}, "--limit-queries 0")])
def test_a_size_below_one_is_refused(size: dict[str, int], option: str) -> None:
    with pytest.raises(CallError, match=f"{option} is out of range"):
        SampleSize(**size)


def test_a_streamed_sample_reads_from_any_document(tmp_path: Path) -> None:
    found = load_dataset(str(make_dataset(tmp_path / "a", documents=40, queries=8)), limit=25)
    rows = list(found.documents)
    assert not isinstance(found.documents, Texts)
    assert [list(found.documents.read(start, 6)) for start in (0, 7, 22)] == [rows[:6], rows[7:13], rows[22:28]]
