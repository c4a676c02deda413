"""Headings that name one section become queries and leave its title."""

from probe.documents.headings import heading_phrases, strip_numbering, take_headings
from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.formats.document import Block

TEXT = "The package is put into a folder of its own, and a link to it is made in the folder of all programs."


def section(*headings: str, document: str = "a.md", number: int = 1) -> Passage:
    return Passage(document, document, headings, (Block(TEXT, headings),), id=f"{document}#{number}")


def terms_of(*documents: list[Passage]) -> TermTable:
    terms = TermTable()
    for passages in documents:
        for passage in passages:
            terms.add_passage(f"{passage.title}\n{passage.text}")
        for headings in {passage.headings for passage in passages}:
            terms.add_phrases(heading_phrases(headings))
    for number in range(30):
        terms.add_passage(f"Another passage {number}.")
    return terms


def take(passages: list[Passage], *others: list[Passage]) -> list[str]:
    lenders = {passage.id for passage in passages}
    return [query.text for query in take_headings(passages, terms_of(passages, *others), lenders)[1]]


def test_a_heading_becomes_a_query_and_leaves_the_title() -> None:
    passages = [section("Manual", "3.2 Repair a broken index")]
    changed, queries = take_headings(passages, terms_of(passages), {passages[0].id})
    assert [(one.text, one.kind, one.relevant) for one in queries] == [
        ("Repair a broken index", "heading", ("a.md#1",))
    ]
    assert changed[0].headings == ("Manual",)


def test_a_heading_of_two_documents_takes_the_one_above_it() -> None:
    other = [section("Removal", "Linux desktops", document="b.md")]
    assert take([section("Installation", "Linux desktops")], other) == ["Installation Linux desktops"]


def test_a_single_word_takes_the_heading_above_it_if_there_is_one() -> None:
    assert take([section("Memory tracing", "Allocations")]) == ["Memory tracing Allocations"]
    assert take([section("Mtrace")]) == ["Mtrace"]


def test_a_heading_of_many_documents_names_nothing() -> None:
    others = [[section(f"Tool {n}", "Worked examples", document=f"{n}.md")] for n in range(5)]
    assert take([section("Manual", "Worked examples")], *others) == []


def test_versions_dates_and_code_are_no_queries() -> None:
    for heading in ("2.10.3", "Version 2.10 of it", "2024-01-31", "12", "open_index()", "index.openAll", "---"):
        assert take([section("Manual", heading)]) == [], heading


def test_source_code_and_sections_of_many_passages_have_none() -> None:
    assert take([section("Repair a broken index", document="a.py")]) == []
    assert take([section("Repair a broken index", number=number) for number in range(4)]) == []
    assert take([section("Repair a broken index", number=number) for number in range(3)]) == ["Repair a broken index"]


def test_a_heading_with_sections_below_it_is_too_broad() -> None:
    passages = [section("Repair broken indexes"), section("Repair broken indexes", "Search a lost file", number=2)]
    assert take(passages) == ["Search a lost file"]


def test_a_section_lends_only_if_all_its_passages_may() -> None:
    passages = [section("Repair a broken index", number=number) for number in (1, 2)]
    assert take_headings(passages, terms_of(passages), {"a.md#1"}) == (passages, [])


def test_numbers_and_marks_around_headings_are_removed() -> None:
    for numbered in (
        "3.2 Install",
        "Chapter 4: Install",
        "IV. Install",
        "a) Install",
        "Appendix C: Install",
        "1. Install¶",
    ):
        assert strip_numbering(numbered) == "Install", numbered
    assert strip_numbering("I need help") == "I need help"
    assert strip_numbering("Part of the team") == "Part of the team"
    assert strip_numbering("3D printing") == "3D printing"
