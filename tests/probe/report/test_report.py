"""The report: what stands on the page, what keeps results apart, and what is refused."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from report_pages import Reported, make_results
from typer.testing import CliRunner, Result

import cli
from probe.report.curves import lay_out
from probe.report.leaderboard import leaderboard_section
from probe.report.page import render_report
from probe.report.panels import Dot, Line, Panel
from probe.report.parts import ReportTable, make_map, make_table
from probe.results.colours import ADAPTED, COLOURS, FROZEN
from probe.results.console import Column
from probe.results.leaderboard import Leaderboard
from probe.results.load import read_result
from probe.results.result import Result as ResultBase


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> Reported:
    return make_results(tmp_path_factory.mktemp("report"), tiny_folder)


def report(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["report", *map(str, args)])


class Words(HTMLParser):
    """Collects the tags, and the words outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._silent = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._silent = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._silent else data


def test_every_result_has_a_section_with_its_rows_command_and_footer(made: Reported) -> None:
    words = Words(made.page.read_text())
    for number, file in enumerate((made.layers, made.geometry, made.ladder, made.classify), start=1):
        payload = json.loads(file.read_text())
        assert ("section", f"result-{number}") in [(tag, attrs.get("id")) for tag, attrs in words.tags]
        assert payload["created"] in words.text
        assert all(row["encoder"] in words.text for row in payload["rows"])
        assert payload["settings"]["models"][0]["weights_sha256"][:12] in words.text
    assert words.text.count("Methods and settings") == 4
    assert "Pareto front" in words.text
    assert "CKA: layers of" in words.text


def test_whatever_the_keyboard_reaches_has_a_name(made: Reported) -> None:
    tags = [attrs for _, attrs in Words(made.page.read_text()).tags]
    ids = {attrs.get("id") for attrs in tags}
    reached = [attrs for attrs in tags if attrs.get("tabindex") == "0"]
    assert len(reached) > 10
    assert all(attrs.get("aria-label") or attrs.get("aria-labelledby") in ids - {None} for attrs in reached)


def test_the_page_asks_nothing_of_a_network(made: Reported) -> None:
    page = made.page.read_text()
    loaded = [
        value
        for _, attrs in Words(page).tags
        for name, value in attrs.items()
        if name in ("src", "href", "action", "data")
    ]
    assert all(value is not None and value.startswith(("#", "data:")) for value in loaded)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|sendBeacon", page)
    assert "default-src 'none'" in page


def test_the_same_results_give_the_same_page(made: Reported) -> None:
    files = (made.layers, made.geometry)
    pages = {render_report([(file, read_result(file)) for file in files]) for _ in range(2)}
    assert len(pages) == 1


def test_words_of_documents_are_never_taken_for_html(made: Reported) -> None:
    payload = json.loads(made.layers.read_text())
    evil = "</script><img src=x onerror=alert(1)>"
    payload["examples"]["queries"][0]["text"] = evil
    payload["examples"]["texts"] = dict.fromkeys(payload["examples"]["texts"], evil)
    payload["rows"][0]["encoder"] = evil
    file = made.layers.parent / "evil.json"
    file.write_text(json.dumps(payload))
    tags = [tag for tag, _ in Words(render_report([(file, read_result(file))])).tags]
    assert "img" not in tags
    assert tags.count("script") == 1


def test_a_query_shows_what_every_encoder_found(made: Reported) -> None:
    board = read_result(made.layers)
    assert isinstance(board, Leaderboard)
    assert board.examples is not None
    words = Words(made.page.read_text()).text
    for example in board.examples.queries:
        assert example.text in words
        assert len(example.findings) == len(board.rows)
        assert set(example.relevant) <= set(board.examples.texts)
    assert "✓" in words


def test_the_baseline_is_shown_first_for_every_query(made: Reported) -> None:
    board = read_result(made.layers)
    (baseline,) = board.emphasized()
    section = leaderboard_section(board, made.layers)
    assert (section.compared[0].rank, section.compared[0].mark) == (board.rows[baseline].rank, "baseline")
    assert sorted(one.rank for one in section.compared) == [row.rank for row in board.rows]
    many = replace(board, rows=(*board.rows, *[replace(board.rows[-1], delta=-0.1)] * 30))
    compared = leaderboard_section(many, made.layers).compared
    assert (len(compared), compared[0].rank) == (14, board.rows[baseline].rank)
    page = made.page.read_text()
    first = page.split('<table class="findings">')[1].split("<tbody>")[1].split("</th>")[0]
    assert board.rows[baseline].encoder in first
    assert "baseline" in first


def test_documents_have_the_names_of_their_files_where_these_are_known(made: Reported) -> None:
    def name(payload: dict[str, Any]) -> None:
        payload["examples"]["sources"] = dict.fromkeys(payload["examples"]["texts"], "notes/<b>.md")

    file = changed(made, "named", name)
    assert "<b>notes/&lt;b&gt;.md</b>" in render_report([(file, read_result(file))])


def test_a_page_opens_with_numbers_then_a_verdict_then_pictures_then_tables(made: Reported) -> None:
    board = read_result(made.layers)
    page = render_report([(made.layers, board)])
    parts = ["<h1>", 'class="tiles"', 'class="verdict"', "<svg", '<table class="sortable"', "Queries to look at"]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert page.count('class="tile ') == 3
    assert str(escape(board.verdict())) in page


def test_a_page_has_the_title_that_it_is_given(made: Reported) -> None:
    page = render_report([(made.layers, read_result(made.layers))], title="Is 3 < 4?")
    assert "<h1>Is 3 &lt; 4?</h1>" in page
    assert "<title>Is 3 &lt; 4?</title>" in page


def test_a_page_has_the_colours_of_the_pictures(made: Reported) -> None:
    style = made.page.read_text().split("<style>")[1].split("</style>")[0]
    for tone, colour in enumerate(COLOURS):
        assert f"--t{tone}: {colour.light};" in style
        assert style.count(f"--t{tone}: {colour.dark};") == 2
    section = leaderboard_section(read_result(made.layers), made.layers)
    tones = {line.name.endswith("with lens"): line.tone for line in section.drawings[0].panel.lines}
    assert tones == {False: COLOURS.index(FROZEN), True: COLOURS.index(ADAPTED)}


def test_a_result_without_examples_has_none_on_its_page(made: Reported) -> None:
    payload = json.loads(made.layers.read_text())
    payload["examples"] = None
    file = made.layers.parent / "bare.json"
    file.write_text(json.dumps(payload))
    assert "Queries to look at" not in render_report([(file, read_result(file))])


def changed(made: Reported, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
    payload = json.loads(made.layers.read_text())
    change(payload)
    file = made.layers.parent / f"{name}.json"
    file.write_text(json.dumps(payload))
    return file


def cautions(*files: Path) -> str:
    page = render_report([(file, read_result(file)) for file in files])
    return page.split("<main", 1)[0]


def test_equal_settings_need_no_caution(made: Reported) -> None:
    assert 'aria-label="Before comparing"' not in cautions(made.layers, made.geometry)


def test_different_data_metrics_and_settings_are_named(made: Reported) -> None:
    data = changed(made, "data", lambda payload: payload["settings"]["dataset"].update(text_sha256="0", name="other"))
    assert "different texts or relevance labels" in cautions(made.layers, data)
    assert "other (test)" in cautions(made.layers, data)
    model = changed(
        made, "model", lambda payload: payload["settings"]["models"][0].update(max_tokens=3, query_prompt="q: ")
    )
    assert "different settings (query_prompt, max_tokens)" in cautions(made.layers, model)

    def by_recall(payload: dict[str, Any]) -> None:
        payload["settings"]["metric"] = "recall@100"

    assert "ndcg@10, recall@100" in cautions(made.layers, changed(made, "metric", by_recall))


def test_cautions_are_above_the_table(made: Reported) -> None:
    def warn(payload: dict[str, Any]) -> None:
        payload["settings"]["dataset"].update(synthetic="made up", limited=True)
        for row in payload["rows"]:
            row["collapsed"] = True
            row["p_value"] = None if row["p_value"] is None else 0.9

    file = changed(made, "warned", warn)
    page = render_report([(file, read_result(file))])
    cautions = page.split('aria-label="Caution"')[1].split("</div>")[0]
    for word in ("synthetic queries (made up)", "limit", "collapsed", "fitted on these same documents"):
        assert word in cautions


WRONG_FILES = {
    "": "is empty",
    "{": "not JSON",
    "[1]": "found a list",
    '{"a": 1}': "found an object with 'a'",
    '{"kind": "leaderboard", "schema": 1}': "at 'command': Field required",
    '{"kind": "recipe", "settings": {}}': "found kind 'recipe'",
    '{"kind": "leaderboard", "schema": 9, "settings": {}}': "schema 9, but this version reads schema 1",
    '{"kind": "leaderboard", "schema": 1, "command": "", "created": "", "rows": [], "settings": {}}': "lack 'dataset'",
    '{"kind": "geometry", "schema": 1, "settings": {"dataset": {}, "models": []}}': "not a valid geometry result",
    '{"kind": ["x"], "schema": 1, "settings": {}}': "found kind ['x']",
}


@pytest.mark.parametrize("text", WRONG_FILES, ids=WRONG_FILES.values())
def test_what_is_no_result_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    result = report(file, "--out", tmp_path / "out.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert WRONG_FILES[text] in result.stderr
    assert str(file) in result.stderr
    assert not (tmp_path / "out.html").exists()


def test_settings_without_what_the_footer_needs_are_refused(made: Reported, tmp_path: Path) -> None:
    file = changed(made, "poor", lambda payload: payload["settings"]["dataset"].pop("split"))
    result = report(file, "--out", tmp_path / "out.html")
    assert result.exit_code == 1
    assert "lack 'split'" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["none.json"], "file 'none.json' not found"),
        (["--out", "page.pdf"], "expected a file ending in .html"),
        (["--out", "nowhere/page.html"], "folder 'nowhere' not found"),
    ],
)
def test_a_wrong_call_gets_exit_code_2(made: Reported, args: list[str], words: str) -> None:
    result = report(*([] if args[0].endswith("json") else [made.layers]), *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in report(file, "--out", tmp_path / "out.html").stderr


@dataclass(frozen=True, repr=False)
class Table(ResultBase):
    """A result of given columns; a row is the texts of its cells."""

    titles: tuple[Column, ...] = ()

    def columns(self) -> list[Column]:
        return list(self.titles)


def table_of(titles: list[Column], rows: list[list[str]], score: str = "") -> ReportTable:
    return make_table("caption", Table("", "", {}, tuple(rows), tuple(titles)), score)


def column(place: int, title: str, **more: Any) -> Column:
    return Column(title, lambda row: str(row[place]), **more)


def test_columns_of_numbers_are_told_from_words() -> None:
    cells = ["0.61", "+0.0190", "<.001*", "0.581–0.610", "2.48 ± 0.15", "22.6M", "+0.01 <.001", "–", "", "7", "83%"]
    table = table_of([column(0, "n"), column(1, "word")], [[cell, "63:18% 94:6%"] for cell in cells])
    assert table.numeric == (True, False)


def test_a_table_begins_with_names_and_scores_and_ends_with_ranks() -> None:
    titles = [
        column(0, "#", key="rank"),
        column(1, "encoder", left=True, label=""),
        column(2, "params", drop=5),
        column(3, "dim", label="dim"),
        column(4, "nDCG@10"),
        column(5, "p", drop=1),
        column(6, "fit s"),
    ]
    rows = [["1", "a", "3M", "384", "0.6", "0.1", "–"], ["2", "b", "2M", "384", "0.5", "0.2", "–"]]
    table = table_of(titles, rows, "nDCG@10")
    assert table.header == ("encoder", "nDCG@10", "p", "params", "#")
    assert table.rows[0] == ("a", "0.6", "0.1", "3M", "1")
    assert table.caption == "caption; dim 384"


def test_a_map_is_readable_everywhere() -> None:
    heat = make_map("", {(0, column): column / 40 for column in range(41)})
    for _, cells in heat.rows:
        for cell in cells:
            assert cell is not None
            assert contrast(cell.paper, cell.ink) >= 4.5


def contrast(paper: str, ink: str) -> float:
    """As WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(paper), luminance(ink)))
    return (high + 0.05) / (low + 0.05)


def panel(*dots: Dot, **more: Any) -> Panel:
    return Panel("t", "x", "y", (Line("one", dots),), **more)


def test_dots_lie_where_their_axes_say() -> None:
    drawing = lay_out(panel(Dot(0, 0.2, ""), Dot(6, 0.8, ""), whole=True))
    left, top, right, bottom = drawing.box
    first, last = drawing.lines[0]
    assert left < first.x < last.x < right
    assert top < last.y < first.y < bottom
    ticks = {text: place for place, text in drawing.across}
    assert list(ticks) == ["0", "1", "2", "3", "4", "5", "6"]
    assert (ticks["0"], ticks["6"]) == (first.x, last.x)
    heights = {text: place for place, text in drawing.up}
    assert (heights["0.2"], heights["0.8"]) == (first.y, last.y)


def test_a_logarithmic_axis_has_powers_of_ten_at_equal_steps() -> None:
    drawing = lay_out(panel(Dot(1, 1.0, ""), Dot(2, 0.001, ""), logarithmic=True))
    places = [place for place, _ in drawing.up]
    assert [text for _, text in drawing.up] == ["0.001", "0.01", "0.1", "1"]
    steps = [a - b for a, b in pairwise(places)]
    assert max(steps) - min(steps) < 0.3


@pytest.mark.parametrize("dots", [[Dot(3, 0.0, "")], [Dot(1, 5, ""), Dot(1, 5, "")], [Dot(0, -2, ""), Dot(1, -2, "")]])
def test_an_axis_without_extent_is_drawn(dots: list[Dot]) -> None:
    drawing = lay_out(panel(*dots))
    left, top, right, bottom = drawing.box
    assert all(left <= one.x <= right and top <= one.y <= bottom for one in drawing.lines[0])


def test_labels_do_not_cover_each_other() -> None:
    crowd = [Dot(5 + place / 1000, 0.5, "", label="a name") for place in range(5)]
    named = [one.is_named for one in lay_out(panel(*crowd, Dot(0, 0.1, "", label="alone"))).lines[0]]
    assert named == [True, False, False, False, False, True]
