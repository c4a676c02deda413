"""Queries are divided by document, in the same way when documents are added."""

from collections.abc import Sequence

import pytest

from probe.documents import splits
from probe.documents.queries import Query, QueryKind
from probe.documents.splits import FEWEST, split_queries


def queries(documents: int, each: int = 2, kind: QueryKind = "heading") -> list[Query]:
    return [Query(f"{kind} {d} {n}", kind, (f"d{d}#{n}",), f"d{d}") for d in range(documents) for n in range(each)]


def places(found: splits.Splits) -> dict[str, str]:
    return {query.text: name for name in ("train", "dev", "test") for query in found.queries.get(name, ())}


def test_the_queries_of_one_document_go_to_one_split() -> None:
    found = split_queries(queries(200, 3), ["heading"], 0)
    split_by_document = {(query.document, name) for name in ("train", "dev", "test") for query in found.queries[name]}
    assert len(split_by_document) == 200
    sizes = [len(found.queries[name]) / 600 for name in ("train", "dev", "test")]
    assert all(abs(size - share) < 0.1 for size, share in zip(sizes, (0.4, 0.2, 0.4), strict=True))


def test_documents_of_a_group_go_to_one_split() -> None:
    groups = {f"d{number}": f"g{number // 10}" for number in range(200)}
    found = split_queries(queries(200), ["heading"], 0, groups=groups)
    pairs = {(groups[query.document], name) for name in ("train", "dev", "test") for query in found.queries[name]}
    assert len(pairs) == 20


def test_more_documents_move_no_query() -> None:
    few, many = split_queries(queries(100), ["heading"], 3), split_queries(queries(300), ["heading"], 3)
    assert places(few).items() <= places(many).items()


def test_another_seed_divides_otherwise() -> None:
    assert places(split_queries(queries(100), ["heading"], 0)) != places(split_queries(queries(100), ["heading"], 1))


def test_few_queries_are_all_in_test() -> None:
    found = split_queries(queries(FEWEST // 2 - 1), ["heading"], 0)
    assert not found.divided
    assert set(found.queries) == {"test", "test-heading"}


def test_one_document_is_divided_by_its_passages() -> None:
    found = split_queries(queries(1, 200), ["heading"], 0)
    assert (found.divided, found.by) == (True, "passage")
    assert set(found.queries) == {"train", "dev", "test", "test-heading"}


def test_other_kinds_have_splits_of_their_own_only() -> None:
    found = split_queries([*queries(100), *queries(100, kind="keywords")], ["heading"], 0)
    assert {query.kind for query in found.queries["test"]} == {"heading"}
    assert {query.kind for query in found.queries["test-keywords"]} == {"keywords"}


def test_without_the_default_kinds_all_kinds_are_used() -> None:
    found = split_queries(queries(100, kind="keywords"), ["heading"], 0)
    assert {query.kind for query in found.queries["test"]} == {"keywords"}


def taken(found: Sequence[Query]) -> set[str]:
    return {query.text for query in found}


def test_large_splits_are_sampled_but_not_own_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    most = {"train": 20, "dev": 10, "test": 10}
    monkeypatch.setattr(splits, "MOST", most)
    found = split_queries([*queries(400), *queries(400, kind="own")], ["heading", "own"], 0)
    assert len(found.queries["test-heading"]) == 10
    assert len(found.queries["test-own"]) > 100
    fewer = split_queries(queries(380), ["heading"], 0).queries["test-heading"]
    assert len(taken(fewer) & taken(found.queries["test-heading"])) >= 7
