"""The report in headless Chromium: sorted, filtered, pointed at, and read by an accessibility checker."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from report_pages import make_results
from set_boards import NAMES, RIVALS, make_board, make_matrix
from slim_results import make_slim, slim_examples

from probe.report.page import render_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: `apt-get install chromium`")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> Path:
    return make_results(tmp_path_factory.mktemp("browser"), tiny_folder).page


@pytest.fixture(scope="module")
def sets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page of layers on many data sets, of other encoders on a few, and of leaderboards that it joins."""
    several = [make_matrix(15), make_matrix(3, RIVALS), *(make_board(name, saved=True) for name in NAMES[:2])]
    file = tmp_path_factory.mktemp("sets") / "sets.html"
    file.write_text(render_report([(Path(f"{number}.json"), board) for number, board in enumerate(several)]))
    return file


@pytest.fixture(scope="module")
def slim_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("slim") / "slim.html"
    file.write_text(render_report([(Path("slim.json"), make_slim(examples=slim_examples()))]))
    return file


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


class Visit:
    """A page, with what it asked for and what it complained of."""

    def __init__(self, browser: "Browser", file: Path, scheme: str = "light", width: int = 1280) -> None:
        context = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 800}
        )
        self.page: Page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(file.as_uri())

    def column(self, name: str) -> list[str]:
        """Return the cells that are shown of a column of the first table."""
        table = self.page.locator("#result-1-table")
        place = table.locator("thead th").all_inner_texts().index(name) + 1
        return [cell.inner_text() for cell in table.locator(f"tbody tr:not([hidden]) td:nth-child({place})").all()]


@pytest.fixture
def visit(browser: "Browser", page_file: Path) -> Iterator[Visit]:
    visited = Visit(browser, page_file)
    yield visited
    assert visited.complaints == []
    assert visited.requests == [page_file.as_uri()]
    visited.page.context.close()


def header(visit: Visit, name: str, table: str = "#result-1-table") -> "Locator":
    return visit.page.locator(f"{table} th").filter(has=visit.page.get_by_role("button", name=name, exact=True))


def test_a_column_is_sorted_down_and_up_with_its_gaps_last(visit: Visit) -> None:
    header(visit, "nDCG@10").get_by_role("button").click()
    scores = [float(cell) for cell in visit.column("nDCG@10")]
    assert scores == sorted(scores, reverse=True)
    assert header(visit, "nDCG@10").get_attribute("aria-sort") == "descending"
    header(visit, "nDCG@10").get_by_role("button").click()
    assert [float(cell) for cell in visit.column("nDCG@10")] == scores[::-1]
    header(visit, "Δ base").get_by_role("button").click()
    deltas = visit.column("Δ base")
    assert deltas[-1] == "–"
    assert [float(cell) for cell in deltas[:-1]] == sorted(map(float, deltas[:-1]), reverse=True)
    header(visit, "Δ base").get_by_role("button").click()
    assert visit.column("Δ base") == [*deltas[-2::-1], "–"]
    assert header(visit, "nDCG@10").get_attribute("aria-sort") is None


def test_thousands_and_factors_are_sorted_as_numbers(browser: "Browser", slim_file: Path) -> None:
    visited = Visit(browser, slim_file)
    header(visited, "steps").get_by_role("button").click()
    assert visited.column("steps") == ["1,600", "1,200", "800", "400", "–", "–"]
    header(visited, "speed").get_by_role("button").click()
    assert visited.column("speed") == ["12.0x", "4.0x", "2.4x", "1.7x", "1.3x", "1.0x"]
    visited.page.context.close()


def test_words_are_sorted_from_the_first_letter_on(visit: Visit) -> None:
    header(visit, "adaptor").get_by_role("button").click()
    found = visit.column("adaptor")
    assert found == sorted(found, key=lambda word: word.replace("–", ""))
    assert {"–", "lens"} == set(found)


def test_the_keyboard_sorts_too(visit: Visit) -> None:
    header(visit, "#").get_by_role("button").focus()
    visit.page.keyboard.press("Enter")
    ranks = [int(cell) for cell in visit.column("#")]
    assert ranks == list(range(len(ranks), 0, -1))


def test_a_filter_keeps_the_rows_that_hold_every_word(visit: Visit) -> None:
    field, output = visit.page.get_by_label("Filter rows").first, visit.page.locator("output").first
    rows = len(visit.column("#"))
    field.fill("LENS @1")
    assert len(visit.column("#")) == 1
    assert output.inner_text() == f"1 of {rows} rows"
    field.fill("no such row")
    assert visit.column("#") == []
    field.fill("")
    assert output.inner_text() == f"{rows} rows"


def test_a_dot_that_is_pointed_at_tells_its_numbers(visit: Visit) -> None:
    chart, tip = visit.page.locator("#result-1 .chart").first, visit.page.locator("#tip")
    chart.scroll_into_view_if_needed()
    assert not tip.is_visible()
    target = chart.locator(".target").nth(1)
    box = target.bounding_box()
    assert box is not None
    visit.page.mouse.move(box["x"] + 1, box["y"] + 1)
    assert tip.inner_text() == target.get_attribute("data-tip")
    assert "of the baseline's operations" in tip.inner_text()
    visit.page.mouse.move(2, 2)
    assert not tip.is_visible()


def test_arrow_keys_walk_over_the_dots(visit: Visit) -> None:
    chart, tip = visit.page.locator("#result-1 .chart").first, visit.page.locator("#tip")
    chart.focus()
    told = []
    for _ in range(2):
        visit.page.keyboard.press("ArrowRight")
        told.append(tip.inner_text())
    assert told == [chart.locator(".target").nth(place).get_attribute("data-tip") for place in (0, 1)]
    visit.page.keyboard.press("Escape")
    assert not tip.is_visible()


def test_a_query_opens_and_shows_what_was_found(visit: Visit) -> None:
    query = visit.page.locator("#result-1 details.query").first
    assert not query.locator("table").is_visible()
    query.locator("summary").click()
    assert query.locator("tbody tr").count() > 1


def test_light_and_dark_follow_the_reader_and_the_button(browser: "Browser", page_file: Path) -> None:
    papers = []
    for scheme in ("light", "dark"):
        visited = Visit(browser, page_file, scheme)
        read = "getComputedStyle(document.body).backgroundColor"
        before = visited.page.evaluate(read)
        visited.page.get_by_role("button", name="Toggle dark mode").click()
        papers.append((before, visited.page.evaluate(read)))
        visited.page.context.close()
    assert papers[0] == papers[1][::-1]
    assert papers[0][0] != papers[0][1]


def test_the_first_number_on_a_phone_is_a_score(browser: "Browser", page_file: Path) -> None:
    visited = Visit(browser, page_file, width=390)
    score = visited.page.locator(".tile .score").first
    box = score.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 400
    after_title = visited.page.locator("body").inner_text().partition("Best quality")[2]
    assert after_title.split()[0] == score.inner_text()
    visited.page.context.close()


def test_no_column_of_a_table_is_cut_off_on_a_desktop(browser: "Browser", page_file: Path) -> None:
    visited = Visit(browser, page_file, width=1280)
    widths = visited.page.locator(".scroll:has(> .sortable)").evaluate_all(
        "found => found.map(one => [one.scrollWidth, one.clientWidth])"
    )
    assert len(widths) == 4
    assert all(inner <= outer for inner, outer in widths)
    visited.page.context.close()


def test_a_matrix_is_sorted_by_the_scores_on_a_data_set_and_keeps_names_in_sight(
    browser: "Browser", sets_file: Path
) -> None:
    visited = Visit(browser, sets_file, width=390)
    table = visited.page.locator("#result-2-table")
    assert table.locator("thead th").all_inner_texts()[1:4] == ["mean", *NAMES[:2]]
    header(visited, NAMES[1], "#result-2-table").get_by_role("button").click()
    scores = [float(cell.inner_text()[:6]) for cell in table.locator("tbody td:nth-child(4)").all()]
    assert scores == sorted(scores, reverse=True)
    header(visited, NAMES[1], "#result-2-table").get_by_role("button").click()
    assert [float(cell.inner_text()[:6]) for cell in table.locator("tbody td:nth-child(4)").all()] == scores[::-1]
    name = table.locator("tbody td").first
    before = name.bounding_box()
    visited.page.locator(".scroll:has(#result-2-table)").evaluate("one => one.scrollLeft = 400")
    assert name.bounding_box() == before
    assert visited.complaints == []
    visited.page.context.close()


def test_a_data_set_is_folded_until_it_is_opened(browser: "Browser", sets_file: Path) -> None:
    visited = Visit(browser, sets_file)
    part = visited.page.locator("#result-2 details.part").first
    assert visited.page.locator("#result-2 details.part").count() == 15
    assert not part.locator(".chart").first.is_visible()
    part.locator("summary").first.click()
    assert part.locator(".chart").first.is_visible()
    part.locator("details.query summary").first.click()
    assert part.get_by_text(f"a text of {NAMES[0]}").first.is_visible()
    visited.page.context.close()


@pytest.mark.parametrize("which", ["page_file", "sets_file", "slim_file"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_axe_finds_nothing_serious_and_nothing_is_wider_than_the_window(
    browser: "Browser", request: pytest.FixtureRequest, scheme: str, width: int, *, which: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    visited = Visit(browser, request.getfixturevalue(which), scheme, width)
    visited.page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(visited.page).response["violations"]
    assert [(one["impact"], one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] != "minor"] == []
    assert visited.complaints == []
    visited.page.context.close()
