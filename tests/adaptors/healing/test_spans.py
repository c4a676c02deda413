"""Short spans of documents are trained on, never those of a held-out document; batches have equally many tokens."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from adaptors.fitting.data import FitTexts
from adaptors.healing.batches import draw_batches
from adaptors.healing.heal import heal
from adaptors.healing.spans import draw_spans
from adaptors.healing.texts import HealTexts, SpanTexts, gather_heal_texts
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.opening import open_reader
from probe.models.options import LoadOptions
from surgery.cutting.cut import cut
from surgery.saving.save import save

WORDS = ("river", "stone", "cloud", "sun", "moon", "milk", "wood", "seed", "star", "snow", "ice", "gold")


def write_documents(count: int, sentences: int = 6) -> list[str]:
    rng = np.random.default_rng(5)
    return [
        " ".join(" ".join(rng.choice(WORDS, 9)).capitalize() + f" {number}x{row}." for row in range(sentences))
        for number in range(count)
    ]


DOCUMENTS = write_documents(30)


def read_spans(folder: Path, characters: int) -> HealTexts:
    reader = open_reader(str(folder), LoadOptions(dtype="float32", device="cpu"))
    corpus = Dataset("mine", split="", documents=Texts.number(DOCUMENTS, "mine"), queries=Texts((), ()), qrels={})
    return gather_heal_texts(reader, [FitTexts(corpus)], span_characters=characters)


def test_a_span_is_a_part_of_its_document() -> None:
    spans = draw_spans(DOCUMENTS, 10**9, 0)
    assert all(span.text in DOCUMENTS[span.document] for span in spans)
    assert all(len(span.text) < len(DOCUMENTS[span.document]) for span in spans)
    assert len({span.text for span in spans}) == len(spans) > 3 * len(DOCUMENTS)
    counts = {span.text.count(".") for span in spans}
    assert {0, 1, 2, 3} <= counts


def test_fewer_spans_are_the_first_of_more() -> None:
    few, many = draw_spans(DOCUMENTS, 800, 3), draw_spans(DOCUMENTS, 8000, 3)
    assert few == many[: len(few)]
    assert 800 <= sum(len(span.text) for span in few) < 1500
    assert draw_spans(DOCUMENTS, 800, 4) != few


@pytest.mark.parametrize("document", ["", "Snow.", "one sentence that is the whole document"])
def test_a_document_that_cannot_be_divided_has_no_span(document: str) -> None:
    assert all(len(span.text) < len(document) for span in draw_spans([document], 1000, 0))


def test_spans_have_the_full_models_vectors(tiny_folder: Callable[[str], Path]) -> None:
    texts = read_spans(tiny_folder("bert"), 4000)
    assert texts.spans is not None
    reader = open_reader(str(tiny_folder("bert")), LoadOptions(dtype="float32", device="cpu"))
    prompt, place = reader.model.document_prompt, (reader.model.depth, "mean")
    plain = [text.removeprefix(prompt) for text in texts.spans.texts]
    assert all(text in texts.texts[row] for text, row in zip(plain, texts.spans.rows, strict=True))
    vectors = torch.from_numpy(reader.read(plain, prompt, [place]).vectors[place])
    assert torch.allclose(texts.spans.targets, normalize(vectors, dim=1), atol=2e-3)


def test_no_span_of_a_held_out_document_is_trained_on(tiny_folder: Callable[[str], Path]) -> None:
    texts = read_spans(tiny_folder("bert"), 10**6)
    train, held = texts.hold_out(0)
    assert held.spans is None
    assert train.spans is not None
    assert texts.spans is not None
    assert 0 < len(train.spans.texts) < len(texts.spans.texts)
    assert not any(span in document for span in train.spans.texts for document in held.texts)
    pairs = zip(train.spans.texts, train.spans.rows, strict=True)
    assert all(span.removeprefix("passage: ") in train.texts[row] for span, row in pairs)
    every = train.with_spans()
    assert every.texts == train.texts + train.spans.texts
    assert torch.equal(every.targets, torch.cat([train.targets, train.spans.targets]))


def test_texts_of_equal_words_are_held_out_with_their_spans() -> None:
    targets = normalize(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    twice = (*DOCUMENTS[:20], *DOCUMENTS[:20])
    spans = SpanTexts(tuple(f"part {row}" for row in range(40)), targets, tuple(range(40)))
    train, held = HealTexts(twice, targets, (), spans).hold_out(0)
    assert train.spans is not None
    kept = {int(span.split()[1]) for span in train.spans.texts}
    assert kept == {row for row in range(40) if twice[row] not in held.texts}


@pytest.mark.parametrize("spans", [0, 600])
def test_every_text_comes_once_before_any_comes_again_beside_texts_of_its_length(spans: int) -> None:
    rng = np.random.default_rng(0)
    lengths = [*rng.integers(60, 200, size=400).tolist(), *rng.integers(3, 30, size=spans).tolist()]
    batches = draw_batches(lengths, 10, 80, seed=1, spans=spans)
    drawn = [row for rows in batches for row in rows]
    for start, end in ((0, 400), (400, 400 + spans)):
        own = [row for row in drawn if start <= row < end]
        # Batches are shuffled within windows, so a pass may begin before the batches of the one before have all come.
        counts = np.bincount([row - start for row in own], minlength=end - start) if end > start else np.zeros(1)
        assert counts.max() - counts.min() <= 2
    budget = 10 * np.mean(lengths[:400])
    padded = [max(lengths[row] for row in rows) * len(rows) for rows in batches]
    assert max(padded) <= max(budget, *lengths)
    assert sum(padded) < 1.15 * sum(lengths[row] for row in drawn)
    if spans:
        share = sum(lengths[row] for row in drawn if row >= 400) / sum(lengths[row] for row in drawn)
        assert share == pytest.approx(0.4, abs=0.03)
    assert draw_batches(lengths, 10, 80, seed=1, spans=spans) == batches
    assert draw_batches(lengths, 10, 80, seed=2, spans=spans) != batches


def test_the_card_counts_the_spans_and_they_can_be_left_out(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = save(cut(tiny_folder("bert"), 2), tmp_path / "cut")
    with_spans, without = (
        heal(folder, {"mine": DOCUMENTS}, steps=2, batch_size=4, spans=spans).tuned.words for spans in (True, False)
    )
    assert "short spans of them, without labels: 2 batches" in with_spans
    assert "27 texts of mine, without labels" in without
