"""The report on a search: its headline, its front and its test, and queries before and after."""

from pathlib import Path

from markupsafe import escape
from slim_results import make_slim, slim_examples

from probe.report.goals import slim_section
from probe.report.page import render_report
from probe.report.parts import make_table
from probe.results.slim import SlimResult

FILE = Path("slim.json")


def page_of(result: SlimResult) -> str:
    return render_report([(FILE, result)])


def test_the_headline_has_quality_test_speed_and_size() -> None:
    tiles = slim_section(make_slim(), FILE).tiles
    assert [(tile.label, tile.score) for tile in tiles] == [
        ("Quality", "98.7%"),
        ("Test", "p < .001"),
        ("Speed", "2.4x"),
        ("Size", "19.3 MB"),
    ]
    assert tiles[1].measure == "a loss of 0.0350 or more is ruled out"


def test_a_goal_without_quality_has_no_test_in_its_headline() -> None:
    section = slim_section(make_slim(p_value=None), FILE)
    assert [tile.label for tile in section.tiles] == ["Quality", "Speed", "Size"]
    assert all(not drawing.panel.levels for drawing in section.drawings)


def test_a_loss_that_is_not_ruled_out_is_said_not_to_be() -> None:
    test = slim_section(make_slim(p_value=0.2, unmet=("it keeps less",)), FILE).tiles[1]
    assert (test.score, test.measure) == ("p = 0.200", "a loss of 0.0350 or more is not ruled out")


def test_the_charts_have_every_model_the_front_and_the_test() -> None:
    result = make_slim()
    front, test = slim_section(result, FILE).drawings
    dots = [(dot.x, dot.y) for line in front.panel.lines for dot in line.dots]
    assert sorted(dots) == sorted((row.megabytes, row.estimate) for row in result.rows)
    assert front.panel.front[0] == (3.9, 0.702)
    assert {line.name for line in front.panel.lines} == {"full model", "best candidate", "other candidates"}
    assert [dot.interval for line in test.panel.lines for dot in line.dots] == [result.full.ci95, result.best.ci95]


def test_the_page_shows_queries_before_and_after() -> None:
    result = make_slim(examples=slim_examples())
    page = page_of(result)
    assert escape(result.verdict()) in page
    assert (
        page.index("Queries that lost most") < page.index("a question that lost") < page.index("a question that gained")
    )
    table = page.split('<table class="findings">')[1].split("</table>")[0]
    assert table.index("full model") < table.index("1.000") < table.index("best candidate") < table.index("0.430")
    assert "the full model first" in page
    assert "baseline first" not in page


def test_a_page_without_queries_says_nothing_of_them() -> None:
    assert "Queries" not in page_of(make_slim())


def test_columns_of_factors_and_of_thousands_are_numbers() -> None:
    table = make_table("", make_slim())
    numeric = dict(zip(table.header, table.numeric, strict=True))
    assert {name: numeric[name] for name in ("speed", "tokens", "steps", "model")} == {
        "speed": True,
        "tokens": True,
        "steps": True,
        "model": False,
    }
