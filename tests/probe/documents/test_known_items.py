"""A known item is an informative sentence that leaves its passage; its keywords are words of it."""

from dataclasses import replace

import pytest

from probe.documents.known_items import take_sentence
from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.formats.document import Block, BlockKind

GOOD = "Compressed archives lower the storage cost of backups considerably."
REST = (
    "Every night the server writes backups of all accounts to another building. Archives older than a month move to "
    "cheaper storage, and their cost falls."
)
OTHERS = ("Backups of accounts need storage.", "Archives cost money each month.", "The server sends mail at night.")


def passage(*blocks: str, headings: tuple[str, ...] = ("Operations",), kind: BlockKind = "prose") -> Passage:
    texts = tuple(Block(text, headings, kind) for text in blocks)
    return Passage("d", "d.md", headings, texts, id="d")


def terms_of(*passages: Passage) -> TermTable:
    terms = TermTable()
    for one in (*passages, *(passage(text) for text in OTHERS), *(passage(f"The other {n} is.") for n in range(20))):
        terms.add_passage(f"{one.title}\n{one.text}")
    return terms


def take(one: Passage) -> tuple[Passage, list[str], list[str]]:
    rest, queries = take_sentence(one, terms_of(one))
    by_kind = {kind: [query.text for query in queries if query.kind == kind] for kind in ("sentence", "keywords")}
    return rest, by_kind["sentence"], by_kind["keywords"]


def test_the_sentence_leaves_its_passage() -> None:
    rest, sentences, _ = take(passage(f"{GOOD} {REST}"))
    assert sentences == [GOOD]
    assert rest.text == REST


def test_keywords_are_words_of_the_sentence_in_its_order() -> None:
    _, _, (keywords,) = take(passage(f"{GOOD} {REST}"))
    words = keywords.split()
    assert 2 <= len(words) <= 5
    positions = [GOOD.lower().index(word) for word in words]
    assert positions == sorted(positions)
    assert keywords not in GOOD.lower()
    assert "the" not in words
    assert "of" not in words


def test_a_sentence_that_begins_with_a_reference_is_the_second_choice() -> None:
    plain = "Older robots carry archives into the storage room every winter."
    dangling = "This zips archives, compresses mailboxes elegantly and shrinks storage considerably."
    rest = (
        "at night the server writes archives of all accounts to storage in another building, at some cost to all of us:"
    )
    assert take(passage(dangling, rest))[1] == [dangling]
    assert take(passage(dangling, plain, rest))[1] == [plain]
    named = dangling.replace("This", "Software")
    assert take(passage(named, plain, rest))[1] == [named]


def test_a_sentence_that_stands_twice_is_no_query() -> None:
    assert GOOD not in take(passage(f"{GOOD} {REST} {GOOD}"))[1]


@pytest.mark.parametrize(
    "sentence",
    [
        "Call archive_backups() for storage of the archives at a lower cost.",
        "Too short to tell backups.",
        "Storage cost of `backups` and of the archives falls every month.",
        "and the storage cost of backups and archives falls every month.",
        "The storage cost of backups and archives is shown in this table:",
    ],
)
def test_code_and_fragments_are_no_queries(sentence: str) -> None:
    rest = "Every night it writes of all accounts, then a copy goes to one more building, as was said of it before now"
    assert take(passage(sentence, rest))[1] == []


def test_an_echo_of_the_heading_is_no_query() -> None:
    one = passage(f"{GOOD} {REST}", headings=("Compressed archives lower the storage cost of backups",))
    assert GOOD not in take(one)[1]


def test_a_sentence_that_other_passages_have_is_no_query() -> None:
    one = passage(f"{GOOD} {REST}")
    other = passage("Something else stands here.", GOOD)
    assert GOOD not in [query.text for query in take_sentence(one, terms_of(one, other))[1]]


def test_labels_stay_behind() -> None:
    rest, sentences, _ = take(passage(f"Note: {GOOD} {REST}"))
    assert sentences == [GOOD]
    assert rest.text == f"Note: {REST}"


def test_code_and_tables_lend_nothing() -> None:
    one = passage(f"{GOOD} {REST}", kind="table")
    assert take_sentence(one, terms_of(one)) == (one, ())


def test_enough_text_must_remain() -> None:
    one = passage(f"{GOOD} Backups in storage cost money.")
    assert take_sentence(one, terms_of(one)) == (one, ())


def test_a_sentence_without_the_word_that_gives_it_away_is_preferred() -> None:
    unique = "Zyxograph robots compress sturdy archives and backups elegantly for storage."
    assert take(passage(f"{unique} {GOOD} {REST}"))[1] == [unique]
    assert take(passage(f"{unique} {GOOD} {REST} A zyxograph was here."))[1] == [GOOD]


def test_chinese_sentences_are_taken_without_keywords() -> None:
    taken, other = "压缩的备份降低了存储的成本。", "服务器每晚将所有帐户的备份写入另一座大楼的存储设备。"
    one = replace(passage(f"{taken}{other}"), headings=())
    rest, sentences, keywords = take(one)
    assert sentences == [taken]
    assert keywords == []
    assert rest.text == other
