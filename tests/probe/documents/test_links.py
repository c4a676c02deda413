"""Link texts that lead to one passage become queries for it."""

from probe.documents.links import LinkTargets, resolve_links
from probe.documents.passages import Passage
from probe.documents.terms import TermTable
from probe.formats.document import Block, Link


def passage(path: str, *links: tuple[str, str], anchor: str = "", headings: tuple[str, ...] = ("Guide",)) -> Passage:
    blocks = (Block("Some text of it.", headings),)
    made = tuple(Link(text, target) for text, target in links)
    return Passage(path, path, headings, blocks, anchor, links=made, id=f"{path}#{anchor}" if anchor else path)


def take(*passages: Passage, heading: str = "") -> list[tuple[str, tuple[str, ...]]]:
    terms = TermTable()
    if heading:
        terms.add_phrases([heading])
    targets = LinkTargets()
    by_place: dict[tuple[str, str], list[Passage]] = {}
    for one in passages:
        terms.add_passage(one.text)
        for link in resolve_links(one):
            targets.add(link)
        for place in {(one.path, one.anchor), (one.path, "")}:
            by_place.setdefault(place, []).append(one)
    wanted = {place: found for place, found in by_place.items() if place in targets.wanted}
    return [(query.text, query.relevant) for query in targets.queries(wanted, terms)]


TARGET = passage("other/b.md")


def test_targets_are_relative_to_their_file() -> None:
    assert take(passage("docs/a.md", ("repair broken indexes", "../other/b.md")), TARGET) == [
        ("repair broken indexes", ("other/b.md",))
    ]


def test_anchors_name_one_section() -> None:
    sections = [passage("other/b.md", anchor=name) for name in ("one", "two")]
    found = take(passage("docs/a.md", ("repair broken indexes", "../other/b.md#two")), *sections)
    assert found == [("repair broken indexes", ("other/b.md#two",))]


def test_several_texts_may_name_one_passage() -> None:
    links = (("repair broken indexes", "../other/b.md"), ("restoring lost indexes", "../other/b.md"))
    assert len(take(passage("docs/a.md", *links), TARGET)) == 2


def test_targets_without_suffix_are_found() -> None:
    for target in ("../other/b", "../other/b.md?plain=1"):
        assert take(passage("docs/a.md", ("repair broken indexes", target)), TARGET), target
    index = passage("other/b.md/index.html")
    assert take(passage("docs/a.md", ("repair broken indexes", "../other/b.md")), index)


def test_texts_that_say_nothing_are_no_queries() -> None:
    for text in ("here", "this page", "read more", "b.md", "../other/b.md", "open_index()", "the one", "step 2"):
        assert take(passage("docs/a.md", (text, "../other/b.md")), TARGET) == [], text


def test_a_text_that_leads_to_two_places_is_no_query() -> None:
    links = (("repair broken indexes", "../other/b.md"), ("Repair broken indexes", "c.md"))
    assert take(passage("docs/a.md", *links), TARGET, passage("docs/c.md")) == []


def test_a_heading_as_link_text_is_no_query_of_this_kind() -> None:
    linked = passage("docs/a.md", ("Repair broken indexes", "../other/b.md"))
    assert take(linked, passage("other/b.md", headings=("2. Repair broken indexes",))) == []
    assert take(linked, TARGET, heading="repair broken indexes") == []


def test_a_large_file_is_named_by_no_link() -> None:
    parts = [passage("other/b.md", anchor=str(number)) for number in range(4)]
    linked = passage("docs/a.md", ("repair broken indexes", "../other/b.md"))
    assert take(linked, TARGET, *parts) == []
