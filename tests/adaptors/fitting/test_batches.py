"""Draws: what is held out is never trained on, nothing comes twice in a batch, and the seed decides."""

from dataclasses import replace

import torch
from tiny_states import CENTRES, make_states

from adaptors.fitting.batches import draw_pairs, draw_rankings, draw_texts, split_pairs, split_texts

DATA, JUDGED = make_states(), make_states(labelled=True)
DOCUMENTS = len(DATA.documents)


def rows_of(draws: dict[str, list[list[int]]], column: str) -> set[int]:
    return {row for batch in draws[column] for row in batch}


def test_a_tenth_of_documents_and_of_queries_is_held_out_and_the_rest_trained_on() -> None:
    split = split_texts(DATA, 0)
    train, held_out = set(split.train.tolist()), set(split.held_out.tolist())
    assert train | held_out == set(range(DOCUMENTS + CENTRES))
    assert not train & held_out
    assert sum(row < DOCUMENTS for row in held_out) == DOCUMENTS // 10
    assert sum(row >= DOCUMENTS for row in held_out) == CENTRES // 10
    assert held_out != set(split_texts(DATA, 1).held_out.tolist())


def test_no_more_are_held_out_than_one_batch_looks_at() -> None:
    many = replace(DATA, documents=DATA.documents.repeat(10, 1), queries=DATA.queries.repeat(50, 1))
    held_out = split_texts(many, 0).held_out
    assert [int((held_out < 2400).sum()), int((held_out >= 2400).sum())] == [128, 128]


def test_no_leak_a_held_out_query_has_no_pair_to_train_on() -> None:
    split = split_pairs(JUDGED, 0)
    train, held_out = (set(pairs[:, 0].tolist()) for pairs in (split.train, split.held_out))
    assert not train & held_out
    assert len(held_out) == CENTRES // 5
    assert len(split.train) + len(split.held_out) == len(JUDGED.pairs)


def test_texts_come_from_the_rows_given_and_none_twice_in_a_batch() -> None:
    draws = draw_texts(torch.arange(50, 90), 30, 6, seed=0)
    assert rows_of(draws, "text") <= set(range(50, 90))
    assert all(len(set(batch)) == 30 for batch in draws["text"])
    assert draws == draw_texts(torch.arange(50, 90), 30, 6, seed=0)
    assert draws != draw_texts(torch.arange(50, 90), 30, 6, seed=1)


def test_half_of_the_anchors_are_queries_and_all_candidates_documents() -> None:
    split = split_texts(DATA, 0)
    train, held_out = draw_rankings(split, DOCUMENTS, 3, seed=0)
    for batch in train["anchor"]:
        assert sum(row >= DOCUMENTS for row in batch) == len(batch) // 2
    known = set(split.train.tolist())
    assert rows_of(train, "anchor") <= known
    assert rows_of(train, "candidate") == {row for row in known if row < DOCUMENTS}
    assert rows_of(held_out, "anchor") <= set(split.held_out.tolist())
    assert rows_of(held_out, "candidate") == set(range(DOCUMENTS))


def test_without_queries_all_anchors_are_documents() -> None:
    split = split_texts(DATA, 0)
    documents = type(split)(split.train[split.train < DOCUMENTS], split.held_out[split.held_out < DOCUMENTS])
    train, _ = draw_rankings(documents, DOCUMENTS, 2, seed=0)
    assert all(row < DOCUMENTS for row in rows_of(train, "anchor"))


def test_a_pair_is_a_query_and_a_relevant_document_and_neither_comes_twice_in_a_batch() -> None:
    # Every document is relevant to two queries here, so that drawing can collide.
    twice = JUDGED.pairs.clone()
    twice[:, 0] = (twice[:, 0] + 1) % CENTRES
    pairs = torch.cat([JUDGED.pairs, twice])
    judged = {(query + DOCUMENTS, document) for query, document, _ in pairs.tolist()}
    draws = draw_pairs(pairs, DOCUMENTS, 20, steps=200, seed=0)
    for queries, documents in zip(draws["query"], draws["document"], strict=True):
        assert set(zip(queries, documents, strict=True)) <= judged
        assert len(set(queries)) == len(queries) == len(documents) == len(set(documents)) <= 20
    assert min(len(batch) for batch in draws["query"]) < 20
    assert rows_of(draws, "query") == {query for query, _ in judged}
    assert draws != draw_pairs(pairs, DOCUMENTS, 20, steps=200, seed=1)


def test_two_documents_are_held_out_at_least_for_one_is_like_itself() -> None:
    few = replace(DATA, documents=DATA.documents[:5], queries=DATA.queries[:0])
    assert len(split_texts(few, 0).held_out) == 2
