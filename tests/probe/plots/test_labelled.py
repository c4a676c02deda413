"""Pictures of trained probes and of correlations: the result's numbers, beside what chance gives."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probe import plot
from probe.errors import CallError
from probe.plots.picture import save_picture
from probe.results.charts import chart_labelled
from probe.results.classification import ClassificationResult, ClassificationRow
from probe.results.similarity import SimilarityResult, SimilarityRow


def settings(**more: Any) -> dict[str, Any]:
    data = {"name": "notes", "synthetic": None, "limited": False}
    return {"metric": "accuracy", "baseline": "tiny@2:mean", "dataset": data, **more}


def trained(**more: Any) -> ClassificationResult:
    layers = [
        ClassificationRow(
            1, f"tiny@{layer}:mean", None, layer, "mean", 8, 0.5 + layer / 10, (0.4, 0.9), 0.3 + layer / 10, (0.2, 0.8)
        )
        for layer in (2, 0, 1)
    ]
    controls = [
        ClassificationRow(4, "majority-class baseline", "majority", accuracy=0.4, macro_f1=0.1),
        ClassificationRow(
            5, "tiny@2:mean, labels shuffled", "shuffled", 2, "mean", 8, 0.38, (0.3, 0.45), 0.12, (0.1, 0.2)
        ),
    ]
    return ClassificationResult("probe", "now", settings(**more), (*layers, *controls))


def correlated() -> SimilarityResult:
    rows = [SimilarityRow(1, f"tiny@{layer}:cls", layer, "cls", 8, 0.2 * layer, (0.0, 0.9)) for layer in (2, 1)]
    return SimilarityResult("probe", "now", settings(), (*rows, SimilarityRow(3, "tiny@0:cls", 0, "cls", 8)))


def test_curves_are_the_layers_and_levels_the_controls() -> None:
    chart = chart_labelled(trained())
    (curve,) = chart.curves
    assert [(point.position, point.value) for point in curve.points] == [(0, 0.5), (1, 0.6), (2, 0.7)]
    assert [(level.name, level.value) for level in chart.singles] == [
        ("majority-class baseline", 0.4),
        ("shuffled labels", 0.38),
    ]


def test_the_metric_decides_what_is_drawn() -> None:
    board = trained(metric="macro-f1")
    assert board.measure == "macro-F1"
    assert [point.value for point in chart_labelled(board).curves[0].points] == pytest.approx([0.3, 0.4, 0.5])
    assert chart_labelled(board).singles[1].interval == (0.1, 0.2)


def test_a_layer_without_a_correlation_is_left_out() -> None:
    (curve,) = chart_labelled(correlated()).curves
    assert [point.position for point in curve.points] == [1, 2]


def test_the_picture_holds_the_numbers_and_the_words(tmp_path: Path) -> None:
    made_up = replace(trained(), settings=settings(dataset={"name": "n", "synthetic": "made up", "limited": False}))
    figure = plot(made_up)
    (axes,) = figure.axes
    assert next(list(line.get_ydata()) for line in axes.lines if len(line.get_xdata()) == 3) == [0.5, 0.6, 0.7]
    assert "accuracy" in axes.get_ylabel()
    save_picture(made_up, tmp_path / "a.svg")
    words = " ".join(ET.parse(tmp_path / "a.svg").getroot().itertext())
    assert all(word in words for word in ("SYNTHETIC data: made up", "shuffled labels", "layer (0 = embeddings)"))


def test_a_similarity_board_is_drawn(tmp_path: Path) -> None:
    save_picture(correlated(), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_nothing_to_draw_is_said() -> None:
    bare = replace(correlated(), rows=correlated().rows[-1:])
    with pytest.raises(CallError, match="nothing to draw: no layer has a number"):
        plot(bare)
