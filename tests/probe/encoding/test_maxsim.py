"""MaxSim equals a loop over tokens, whatever the lengths and the tiles, and never holds more than a tile."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from probe.encoding import maxsim as token_scores
from probe.encoding.maxsim import QueryTokens, maxsim
from probe.encoding.token_states import pack_tokens, unit_tokens, unpack_tokens
from probe.errors import CallError
from probe.evaluation.scorers import MaxSimScorer
from probe.metrics.vectors import Embeddings

WIDTH = 6
# No text, one token, equal lengths, and none of them sorted.
LENGTHS = (3, 0, 1, 9, 1, 4, 9, 12, 2)


def make_tokens(lengths: Sequence[int], seed: int) -> list[Embeddings]:
    dice = np.random.default_rng(seed)
    return [dice.normal(size=(length, WIDTH)).astype(np.float32) * 3 for length in lengths]


QUERIES, DOCUMENTS = make_tokens((5, 1, 0, 7, 2), 1), make_tokens(LENGTHS, 2)


def score(query: Embeddings, document: Embeddings) -> float:
    """Return the score of a document, as the formula has it, in float64."""
    total = 0.0
    for asked in query.astype(np.float64):
        best = -1.0
        for found in document.astype(np.float64):
            best = max(best, float(asked @ found) / float(np.sqrt(asked @ asked) * np.sqrt(found @ found)))
        total += best
    return total


def expected(queries: Sequence[Embeddings], documents: Sequence[Embeddings]) -> Embeddings:
    return np.array([[score(query, document) for document in documents] for query in queries])


@pytest.mark.parametrize("tile", [1, 5, 37, 600, 1 << 20])
def test_maxsim_equals_a_loop_over_tokens_with_tiles_of_any_size(tile: int) -> None:
    found = maxsim(QUERIES, DOCUMENTS, tile)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected(QUERIES, DOCUMENTS), abs=1e-6)


def test_a_document_without_tokens_has_the_least_score_there_is() -> None:
    opposite = [-QUERIES[1], np.empty((0, WIDTH), np.float32)]
    assert maxsim([QUERIES[1], QUERIES[0]], opposite) == pytest.approx(
        np.array([[-1, -1], [score(QUERIES[0], opposite[0]), -5]]), abs=1e-6
    )


def test_a_query_finds_all_of_itself_in_itself() -> None:
    assert np.diag(maxsim(QUERIES, QUERIES)) == pytest.approx([5, 1, 0, 7, 2], abs=1e-6)


def test_any_numbers_will_do_but_not_tokens_of_two_widths() -> None:
    doubled = [text.astype(np.float64) for text in QUERIES]
    assert maxsim(doubled, DOCUMENTS) == pytest.approx(maxsim(QUERIES, DOCUMENTS), abs=1e-7)
    with pytest.raises(CallError, match="query tokens have 5 dimensions, document tokens 6"):
        maxsim([QUERIES[0][:, :5]], DOCUMENTS)


def test_no_query_and_no_document_give_no_score() -> None:
    assert maxsim([], DOCUMENTS).shape == (0, len(DOCUMENTS))
    assert maxsim(QUERIES, []).shape == (len(QUERIES), 0)


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_the_order_of_tokens_does_not_matter(side: str) -> None:
    turned = {"queries": QUERIES, "documents": DOCUMENTS}
    turned = {**turned, side: [text[::-1].copy() for text in turned[side]]}
    assert maxsim(**turned) == pytest.approx(maxsim(QUERIES, DOCUMENTS), abs=1e-6)


def test_a_token_twice_counts_once_in_a_document_and_twice_in_a_query() -> None:
    doubled = [np.concatenate([text, text[:1]]) for text in DOCUMENTS]
    assert maxsim(QUERIES, doubled) == pytest.approx(maxsim(QUERIES, DOCUMENTS), abs=1e-6)
    query = QUERIES[0]
    more = maxsim([np.concatenate([query, query])], DOCUMENTS) / 2
    assert more == pytest.approx(maxsim([query], DOCUMENTS), abs=1e-6)


def test_padding_never_counts_whatever_stands_there_and_whichever_side_it_is_on() -> None:
    asked = join(QUERIES)
    hidden = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 4, WIDTH)).astype(np.float32))
    hidden[0, 2:], hidden[1, 0] = asked.tokens[0], asked.tokens[1]
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]])
    texts = [hidden[0, :2].numpy(), hidden[1, 1:].numpy()]
    found = asked.score(hidden, mask).numpy().T
    assert found == pytest.approx(expected(QUERIES, texts), abs=1e-6)


def join(texts: Sequence[Embeddings]) -> QueryTokens:
    units = [text / np.linalg.norm(text, axis=1, keepdims=True) for text in texts]
    packed = [pack_tokens(units[:2], WIDTH), pack_tokens(units[2:], WIDTH)]
    return QueryTokens.join(packed, [2, len(units) - 2], torch.device("cpu"))


@pytest.mark.parametrize("tile", [12, 40, 4096])
def test_no_more_cosines_than_a_tile_are_in_memory_however_many_documents_there_are(
    tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = token_scores._largest_cosines

    def count(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        sizes.append(len(queries) * documents.shape[0] * documents.shape[1])
        return original(queries, documents)

    monkeypatch.setattr(token_scores, "_largest_cosines", count)
    largest = []
    for documents in (DOCUMENTS, DOCUMENTS * 40):
        sizes.clear()
        maxsim(QUERIES, documents, tile)
        assert sum(sizes) >= sum(map(len, QUERIES)) * sum(map(len, documents))
        largest.append(max(sizes))
    assert largest[0] <= largest[1] <= tile


def test_one_batch_of_documents_is_cut_into_tiles_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, ...]] = []
    original = token_scores._largest_cosines
    monkeypatch.setattr(
        token_scores,
        "_largest_cosines",
        lambda queries, documents: (sizes.append((len(queries), *documents.shape[:2])), original(queries, documents))[
            1
        ],
    )
    hidden, queries = torch.from_numpy(np.stack(make_tokens([10] * 10, 4))), make_tokens([3, 600, 20], 5)
    found = join(queries).score(hidden, torch.ones(10, 10), tile=20480).numpy().T
    assert found == pytest.approx(expected(queries, list(hidden.numpy())), abs=1e-4)
    assert {size[1:] for size in sizes} == {(4, 10), (2, 10)}
    assert all(np.prod(size) <= 20480 for size in sizes)


def test_packed_tokens_come_apart_as_they_went_in() -> None:
    packed = pack_tokens(DOCUMENTS, WIDTH)
    assert packed.shape == (sum(LENGTHS), WIDTH + 1)
    assert packed.dtype == np.float32
    back = unpack_tokens(packed, len(DOCUMENTS))
    assert [text.tobytes() for text in back] == [text.tobytes() for text in DOCUMENTS]
    assert unpack_tokens(pack_tokens([DOCUMENTS[1]] * 2, WIDTH), 2)[1].shape == (0, WIDTH)


def test_tokens_have_length_one_and_padding_is_zero() -> None:
    hidden, mask = torch.randn(2, 3, WIDTH), torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert unit_tokens(hidden, mask).norm(dim=2) == pytest.approx(mask.float(), abs=1e-6)


def test_equal_scores_of_all_documents_are_a_collapse_and_rounding_hides_none() -> None:
    scores = np.tile(np.array([3.7, -1.2, 0.0], np.float32), (40, 1))
    assert collapses(scores)
    assert collapses(scores * (1 + 1e-7 * np.arange(40, dtype=np.float32)[:, None] / 40))
    assert not collapses(scores[:1])
    scores[25, 1] *= 1.0001
    assert not collapses(scores)


def collapses(scores: Embeddings) -> bool:
    part = MaxSimScorer(WIDTH)
    start = 0
    for chunk in np.array_split(scores, 3):
        part.keep_sample(start, chunk.astype(np.float32))
        start += len(chunk)
    return part.collapsed
