"""Queries read like those of a person, and no query leads to two places."""

import pytest

from probe.documents.queries import Query, draw, drop_ambiguous, gives_away, is_readable
from probe.documents.terms import TermTable

WORDS = range(1, 30)


@pytest.mark.parametrize(
    "text",
    [
        "How do I install it on Linux?",
        "A crate has a tree of modules, starting from a root module.",
        "Node.js and TypeScript on macOS",
        "The file(s) that the server reads first",
        "Wie installiere ich das Programm unter Windows?",
        "如何在系统上安装这个软件",
        "설치 방법 안내",
    ],
)
def test_words_of_people_are_readable(text: str) -> None:
    assert is_readable(text, WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- added in a later version of it",
        "* Default: null and nothing else",
        "See `maxLength` for the longest text",
        "the value of maxLength is the longest",
        "Section title =====",
        ":ref:`installing the package` for users",
        "call install(CODE) with the code to run",
        "read the page at https://example.org first",
        "the package dns.resolver looks names up",
        "write to someone@example.org about it",
        "look into /etc/hosts for the names",
        "pass --force to replace the folder",
        "Version 2.10.3 of the library",
        "changes of 2024-01-31 in the library",
        "features of v2 in the library",
        "[1] a reference of the list",
        "a list of 1 2 3 4 5 6 7 8 9 10 11 12 13",
        'an open "quotation of somebody',
        "",
    ],
)
def test_markup_code_addresses_and_versions_are_not(text: str) -> None:
    assert not is_readable(text, WORDS)


def test_a_shared_word_of_one_passage_alone_gives_it_away() -> None:
    terms = TermTable()
    for text in ("the zebra eats grass", "the horse eats grass", "the cow eats grass"):
        terms.add_passage(text)
    assert gives_away("zebra food", "a zebra eats grass", terms)
    assert not gives_away("animal eats", "a zebra eats grass", terms)


def query(text: str, *relevant: str, kind: str = "heading") -> Query:
    return Query(text, kind, relevant, relevant[0])  # type: ignore[arg-type]


def test_words_that_lead_to_two_places_are_no_query() -> None:
    found, dropped = drop_ambiguous([query("Install it", "a"), query("install it!", "b"), query("Remove it", "a")])
    assert ([one.text for one in found], dropped) == (["Remove it"], 2)


def test_the_same_words_for_the_same_passage_are_one_query_of_the_better_kind() -> None:
    found, dropped = drop_ambiguous([query("install it", "a", kind="link"), query("Install it", "a")])
    assert ([one.kind for one in found], dropped) == (["heading"], 1)


def test_a_question_with_two_answers_has_both() -> None:
    found, dropped = drop_ambiguous([query("Why?", "a", kind="question"), query("why", "b", kind="question")])
    assert [one.relevant for one in found] == [("a", "b")]
    assert dropped == 1


def test_draws_depend_on_name_and_seed_alone() -> None:
    assert draw("a", 1) == draw("a", 1)
    assert len({draw("a", 1), draw("a", 2), draw("b", 1)}) == 3
    assert all(0 <= draw(str(number), 0) < 1 for number in range(100))
