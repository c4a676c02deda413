import pytest

from probe.documents.passages import Passage, split_document
from probe.documents.token_count import count_by_words
from probe.formats.document import Block, BlockKind, Document, Link

_LONG = " ".join(f"word{number}" for number in range(30))


def _split(*blocks: Block, limit: int = 60, title: str = "Guide", **values: object) -> list[Passage]:
    document = Document("d", "d.md", title, blocks, **values)  # type: ignore[arg-type]
    return list(split_document(document, count_by_words(limit)))


def test_long_sections_are_passages_with_the_path_of_headings_as_title() -> None:
    one, other = _split(Block(_LONG, ("Install",)), Block(_LONG, ("Install", "Linux")))
    assert (one.title, other.title) == ("Guide > Install", "Guide > Install > Linux")


def test_a_first_heading_equal_to_the_title_stands_once() -> None:
    assert _split(Block(_LONG, ("GUIDE", "Linux")))[0].title == "GUIDE > Linux"


def test_short_sections_are_joined_under_their_parent_with_their_headings_in_the_text() -> None:
    (passage,) = _split(Block("Run apt.", ("Install", "Linux")), Block("Run brew.", ("Install", "Mac")))
    assert passage.title == "Guide > Install"
    assert passage.text == "Linux:\nRun apt.\nMac:\nRun brew."


@pytest.mark.parametrize("kind", ["prose", "code", "table"])
@pytest.mark.parametrize("text", ["A sentence of six words here. " * 40, "word " * 200, "line of code\n" * 60])
def test_no_passage_is_longer_than_the_limit_and_no_word_is_lost(kind: BlockKind, text: str) -> None:
    passages = _split(Block(text.strip(), ("Install",), kind), limit=40)
    counter = count_by_words(40)
    assert len(passages) > 1
    assert all(sum(counter.count([one.title, one.text])) <= 40 for one in passages)
    assert " ".join(one.text for one in passages).split() == text.split()


def test_long_paragraphs_are_split_between_sentences() -> None:
    passages = _split(Block("This one sentence has seven words here. " * 30), limit=40)
    assert all(one.text.endswith(".") for one in passages)


def test_chinese_is_split_between_sentences() -> None:
    passages = _split(Block("这是一个句子。" * 30), limit=40, title="")
    assert len(passages) > 1
    assert all(one.text.endswith("。") for one in passages)


def test_outer_headings_leave_a_title_that_is_too_long() -> None:
    (passage,) = _split(Block(_LONG, ("An outer heading that is very long indeed and goes on and on", "Linux")))
    assert passage.title == "Linux"


def test_questions_and_links_stand_on_the_first_passage() -> None:
    links = (Link("Linux", "linux.md"),)
    first, second = _split(Block(_LONG, ("A",)), Block(_LONG, ("B",)), questions=("How?",), links=links)
    assert (first.questions, first.links) == (("How?",), links)
    assert (second.questions, second.links) == ((), ())


def test_code_stays_with_the_prose_around_it() -> None:
    (passage,) = _split(Block(_LONG), Block("x = 1\ny = 2", (), "code"))
    assert passage.text == f"{_LONG}\nx = 1\ny = 2"


def test_a_document_without_blocks_has_no_passages() -> None:
    assert _split() == []


class _LineBreaks:
    """Counts each line break as a token, as byte-level tokenizers do."""

    limit = 40
    tokenizer = None

    def count(self, texts: list[str]) -> list[int]:
        return [len(text.split()) + text.count("\n") for text in texts]


def test_line_breaks_between_blocks_count() -> None:
    document = Document("d", "d.md", "", tuple(Block(f"a{number} b", (), "table") for number in range(60)))
    passages = split_document(document, _LineBreaks())  # type: ignore[arg-type]
    assert all(_LineBreaks().count([one.text])[0] <= 40 for one in passages)
