"""The picture of a search: every model at its size and estimate, and the test of the best candidate."""

from dataclasses import replace

import pytest
from slim_results import make_slim

from probe import plot
from probe.results.colours import FROZEN
from probe.results.slim import SlimResult


def dots(result: SlimResult) -> list[tuple[float, float]]:
    front = plot(result).axes[0]
    return [
        (float(x), float(y)) for line in front.lines if len(line.get_xdata()) == 1 for x, y in [line.get_xydata()[0]]
    ]


def test_every_model_is_at_its_size_and_estimate_under_its_name() -> None:
    result = make_slim()
    assert sorted(dots(result)) == sorted((row.megabytes, row.estimate) for row in result.rows)
    names = [text.get_text() for text in plot(result).axes[0].texts]
    assert sorted(names) == sorted(row.model for row in result.rows)
    bold = [text.get_text() for text in plot(result).axes[0].texts if text.get_fontweight() == "bold"]
    assert sorted(bold) == sorted([result.full.model, result.best.model])


def test_the_name_of_a_full_model_that_is_beaten_has_room() -> None:
    result = make_slim("a-model-with-a-name-of-32-letters")
    beaten = replace(result, rows=(replace(result.full, front=False), *result.rows[1:]))
    (name,) = [text for text in plot(beaten).axes[0].texts if text.get_text() == result.name(result.full)]
    assert name.get_ha() == "right"


def test_the_front_joins_the_models_that_no_smaller_one_beats() -> None:
    result = make_slim()
    (front,) = [line for line in plot(result).axes[0].lines if line.get_drawstyle() == "steps-post"]
    corners = [(row.megabytes, row.estimate) for row in reversed(result.rows) if row.front]
    assert [tuple(point) for point in front.get_xydata()[:-1]] == corners


@pytest.mark.parametrize(("smallest", "scale"), [(3.9, "log"), (30.0, "linear")])
def test_sizes_far_apart_have_a_logarithmic_axis(smallest: float, scale: str) -> None:
    result = make_slim()
    rows = tuple(replace(row, megabytes=smallest) if not row.blocks else row for row in result.rows)
    rows = tuple(replace(row, megabytes=40.0) if row.blocks == 2 else row for row in rows)
    axes = plot(replace(result, rows=rows)).axes[0]
    assert axes.get_xscale() == scale
    assert ("log" in axes.get_xlabel()) is (scale == "log")


def test_the_test_shows_both_models_with_their_intervals_and_the_margin() -> None:
    result = make_slim()
    axes = plot(result).axes[1]
    drawn = [line.get_xdata() for line in axes.lines]
    for row in (result.full, result.best):
        assert any(list(values) == list(row.ci95 or ()) for values in drawn)
        assert any(list(values) == [row.scores["ndcg@10"]] for values in drawn)
    assert any(values[0] == pytest.approx(0.665) for values in drawn)
    assert "p < .001" in axes.get_title()
    assert axes.lines[0].get_color() == FROZEN.light
    untested = plot(make_slim(p_value=None)).axes[1]
    assert len(untested.lines) == len(axes.lines) - 1
    assert "p " not in untested.get_title()
