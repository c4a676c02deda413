"""How much is cached, in words."""

from dataclasses import replace

import pytest

from probe.store.cached_side import CachedSide, describe_cached

QUERIES = CachedSide("minilm", "queries", 799, 799, 0, 7, "layers", chunks=1, count=lambda: 0)
DOCUMENTS = replace(QUERIES, side="documents", texts=57_638, left=57_638, chunks=57)


@pytest.mark.parametrize(
    ("sides", "line"),
    [
        ([QUERIES], "Cache: 0/7 layers of minilm; encoding 799 queries"),
        ([replace(QUERIES, texts=1, left=1)], "Cache: 0/7 layers of minilm; encoding 1 query"),
        ([replace(DOCUMENTS, texts=1, left=1)], "Cache: 0/7 layers of minilm; encoding 1 document"),
        ([QUERIES, DOCUMENTS], "Cache: 0/7 layers of minilm; encoding 799 queries and 57,638 documents"),
        ([replace(DOCUMENTS, left=37_158)], "Cache: 0/7 layers of minilm; encoding 37,158 of 57,638 documents"),
        ([replace(QUERIES, cached=7, left=0)], "Cache: 7/7 layers of minilm; nothing to encode"),
        (
            [
                replace(QUERIES, cached=14, wanted=14, unit="hookpoints", left=0),
                replace(DOCUMENTS, cached=7, wanted=14),
            ],
            "Cache: 14/14 hookpoints of minilm for queries, 7/14 for documents; encoding 57,638 documents",
        ),
    ],
)
def test_a_line_says_what_is_cached_and_what_is_encoded(sides: list[CachedSide], line: str) -> None:
    assert describe_cached(sides) == line


def test_a_side_is_a_line_of_a_log() -> None:
    assert str(DOCUMENTS) == "Cache: 0/7 layers of minilm; encoding 57,638 documents"
