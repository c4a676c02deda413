"""The headline of a report: the best encoder, the best for its price, the cheapest; and the chart of their costs."""

from typing import Any

from probe.report.cost import cost_panel
from probe.report.headline import leaderboard_tiles
from probe.report.panels import NEUTRAL
from probe.results.leaderboard import Leaderboard, Row


def row(encoder: str, score: float, cost: float | None, **more: Any) -> Row:
    return Row(1, encoder, dim=more.pop("dim", 8), scores={"ndcg@10": score}, cost=cost, delta=0.0, **more)


def board_of(*rows: Row) -> Leaderboard:
    data = {"name": "notes", "split": "test", "queries": 3, "documents": 9, "limited": False, "synthetic": None}
    settings = {"metric": "ndcg@10", "metrics": ["ndcg@10"], "baseline": "m@6", "dataset": data, "models": []}
    return Leaderboard("probe", "now", settings, tuple(sorted(rows, key=lambda one: -one.scores["ndcg@10"])))


LAYERS = (
    row("m@6", 0.60, 1.0),
    row("m@4", 0.58, 0.66, adaptor="lens", transductive=True),
    row("m@2", 0.50, 0.33),
    row("m@0", 0.20, 0.0),
    row("m@0", 0.40, 1e-5, adaptor="lens"),
)


def test_three_tiles_are_the_best_the_best_value_and_the_cheapest() -> None:
    best, value, cheapest = leaderboard_tiles(board_of(*LAYERS))
    assert (best.label, best.score, best.name) == ("Best quality", "0.6000", "m@6")
    assert (value.label, value.score, value.name) == ("Best value", "0.5800", "m@4 with lens")
    assert (cheapest.label, cheapest.score, cheapest.name) == ("Cheapest", "0.4000", "m@0 with lens")
    assert (best.tone, value.tone) == (0, 1)
    assert value.lines[0] == "66% of the baseline's operations"
    assert "fitted on these same documents" in value.lines
    assert cheapest.lines[0] == "under 1% of the baseline's operations"


def test_where_nothing_cheaper_is_nearly_as_good_the_best_is_the_best_value() -> None:
    best, value, _ = leaderboard_tiles(board_of(row("m@6", 0.60, 1.0), row("m@2", 0.50, 0.33)))
    assert best.name == value.name == "m@6"
    assert value.lines[-1] == "nothing cheaper has 95% of its score"


def test_an_encoder_without_a_price_can_only_be_the_best() -> None:
    best, value, cheapest = leaderboard_tiles(board_of(*LAYERS, row("bm25", 0.9, None, dim=None)))
    assert (best.name, best.tone) == ("bm25", NEUTRAL)
    assert (value.name, cheapest.name) == ("m@4 with lens", "m@0 with lens")
    assert value.lines[-1] == "cheapest with at least 95% of the best score with a known cost"


def test_scores_below_zero_have_a_best_value_too() -> None:
    best, value, cheapest = leaderboard_tiles(
        board_of(row("m@6", -0.2, 1.0), row("m@4", -0.205, 0.6), row("m@0", -0.9, 0.0))
    )
    assert (best.name, value.name, cheapest.name) == ("m@6", "m@4", "m@0")


def test_where_all_cost_the_same_few_dimensions_are_cheap() -> None:
    tiles = leaderboard_tiles(board_of(row("m@6", 0.6, 1.0, dim=384), row("m@6", 0.59, 1.00001, dim=64, adaptor="pca")))
    assert [(tile.label, tile.lines[0]) for tile in tiles[1:]] == [
        ("Best value", "64 dimensions"),
        ("Cheapest", "64 dimensions"),
    ]


def test_collapsed_rows_and_rows_alike_have_no_tile() -> None:
    assert leaderboard_tiles(board_of(row("m@1", 0.0, 1.0, collapsed=True))) == ()
    alike = board_of(row("a", 0.6, 1.0), row("b", 0.5, 1.0))
    assert [tile.label for tile in leaderboard_tiles(alike)] == ["Best quality"]


def test_the_front_is_a_staircase_on_a_log_axis() -> None:
    panel = cost_panel(board_of(*LAYERS))
    assert panel is not None
    assert panel.logarithmic_across
    assert panel.ticks[0][1] == "≈ 0"
    edge = panel.ticks[0][0]
    assert panel.front[:3] == ((edge, 0.2), (edge, 0.2), (edge, 0.4))
    assert panel.front[-1] == (100.0, 0.6)
    steps = list(zip(panel.front, panel.front[1:], strict=False))
    assert all(one[0] == other[0] or one[1] == other[1] for one, other in steps)


def test_costs_that_are_alike_have_no_chart() -> None:
    assert cost_panel(board_of(row("a", 0.6, 1.0), row("b", 0.5, 1.0001))) is None
