"""Pictures of encoders over several data sets: a panel of curves per set, or a matrix of dots, legible for many."""

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from set_boards import LAYERS, NAMES, RIVALS, make_board, make_matrix, make_row

from probe import plot
from probe.errors import CallError
from probe.experiments.matrix import join_leaderboards
from probe.plots.picture import save_picture
from probe.results.colours import ADAPTED, FROZEN
from probe.results.matrix import MEAN, DatasetMatrix


def panel(figure: Figure, name: str) -> Axes:
    """Return the panel of a data set, or of the mean."""
    (found,) = [
        axes for axes in figure.axes if axes.get_title().replace("-\n", "-").replace("/\n", "/").startswith(name)
    ]
    return found


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def dots(axes: Axes) -> dict[float, tuple[float, str, object]]:
    """Return difference, marker and fill by height, of all that is no line of the baseline."""
    return {
        float(line.get_ydata()[0]): (float(line.get_xdata()[0]), str(line.get_marker()), line.get_markerfacecolor())
        for line in axes.lines
        if len(line.get_xdata()) == 1
    }


@pytest.mark.parametrize("count", [2, 3, 7, 15])
@pytest.mark.parametrize("rows", [LAYERS, RIVALS], ids=["layers", "rivals"])
@pytest.mark.filterwarnings("error")
def test_every_matrix_is_drawn_into_a_page_of_one_width_and_nothing_covers_another(
    count: int, rows: tuple[object, ...]
) -> None:
    figure = plot(make_matrix(count, rows))
    assert figure.get_figwidth() == pytest.approx(7.6)
    labels = [text for axes in figure.axes for text in (axes.title, *axes.get_xticklabels())]
    assert min(text.get_fontsize() for text in labels) >= 8
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert not any(one.overlaps(other) for n, one in enumerate(titles) for other in titles[:n])
    for axes in figure.axes:
        for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
            boxes = [text.get_window_extent() for text in ticks if text.get_text() and text.get_visible()]
            assert not any(one.overlaps(other) for n, one in enumerate(boxes) for other in boxes[:n])


def test_layers_have_a_panel_per_data_set_beside_the_mean_with_one_axis() -> None:
    matrix = make_matrix(5)
    figure = plot(matrix)
    curves = {MEAN: panel(figure, "mean of the data sets"), **{name: panel(figure, name) for name in NAMES[:5]}}
    for name, axes in curves.items():
        expected = {row.layer: matrix.score_on(row, name).score for row in matrix.rows}
        line = axes.lines[0]
        assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == expected
        assert line.get_color() == FROZEN.light
    assert len({axes.get_ylim() for axes in curves.values()}) == 1
    low, high = curves[MEAN].get_ylim()
    assert all(low < end < high for row in matrix.rows for one in row.datasets.values() for end in one.ci95)
    assert panel(figure, "fever").get_title() == "fever\n40 queries"
    assert "score by cost" in panel(figure, "score by cost").get_title()


def test_a_model_has_one_colour_in_all_panels_whichever_is_better_there() -> None:
    both = [*LAYERS, *(make_row(row.encoder.replace("tiny", "other")) for row in LAYERS[1:])]
    first, second = make_board("a", both), make_board("b", both)
    turned = tuple(replace(row, rank=len(both) + 1 - row.rank) for row in reversed(second.rows))
    boards = {"a": first, "b": replace(second, rows=turned, query_scores=None)}
    figure = plot(join_leaderboards(boards))
    curves = [
        [line for line in panel(figure, name).lines if line.get_linestyle() != "None"]
        for name in ("mean of the data sets", "a\n", "b\n")
    ]
    seen = [{line.get_label(): line.get_color() for line in lines} for lines in curves]
    assert all(len(one) == 2 for one in seen)
    assert seen[0] == seen[1] == seen[2]


def test_other_encoders_are_dots_at_their_differences_filled_where_they_are_significant() -> None:
    matrix = make_matrix(3, RIVALS)
    figure = plot(matrix)
    heights = {row.rank: height for height, row in enumerate(matrix.rows)}
    for name in (MEAN, *NAMES[:3]):
        found = dots(panel(figure, name))
        for row in matrix.rows:
            score = matrix.score_on(row, name)
            x, shape, fill = found[heights[row.rank]]
            assert x == pytest.approx(score.delta or 0.0)
            colour = ADAPTED.light if row.adaptor else FROZEN.light
            if score.delta is None:
                assert shape == "s"
            else:
                assert (shape, fill) == ("D" if row.transductive else "o", colour if score.sign else "white")
    signs = {matrix.score_on(row, NAMES[0]).sign for row in matrix.rows}
    assert signs == {"", "▼"}
    assert {"filled: significant (paired test, Holm)", "hollow: not significant"} <= set(legend(figure))
    assert "diamond: fitted on these same documents" in legend(figure)
    base = next(row for row in matrix.rows if row.delta is None)
    assert panel(figure, "arguana").get_title() == f"arguana\n{matrix.score_on(base, 'arguana').score:.3f}"
    assert len({axes.get_xlim() for axes in figure.axes}) == 1


def test_dots_that_were_not_tested_say_so() -> None:
    boards = {name: make_board(name, RIVALS, saved=True) for name in NAMES[:2]}
    figure = plot(join_leaderboards(boards))
    fills = {fill for _, shape, fill in dots(panel(figure, MEAN)).values() if shape != "s"}
    assert fills == {"white"}
    assert "hollow: not tested" in legend(figure)
    assert "hollow: not tested" not in legend(plot(make_matrix(2, RIVALS)))


def test_names_of_rows_are_whole_and_those_of_adaptors_short() -> None:
    long = "./models/" + "a-long-name-" * 6
    rows = (*RIVALS[:1], make_row(long))
    names = [text.get_text() for text in panel(plot(make_matrix(2, rows)), MEAN).get_yticklabels()]
    assert "#2 " + long in [name.replace("\n", "") for name in names]
    adapted = (RIVALS[0], *(replace(RIVALS[3], dim=dim) for dim in (4, 2)))
    names = [text.get_text() for text in panel(plot(make_matrix(2, adapted)), MEAN).get_yticklabels()]
    assert names == ["#1 tiny@4:mean (baseline)", "#2 lens, 4 dimensions", "#3 lens, 2 dimensions"]


def test_a_matrix_says_how_much_was_searched_and_marks_made_up_data() -> None:
    matrix = make_matrix(3)
    assert plot(matrix).get_suptitle() == "nDCG@10 on 3 data sets (test): 120 queries, 3,702 documents"
    matrix.settings["dataset"]["synthetic"] = "known-item"
    assert "SYNTHETIC data: known-item" in plot(matrix).get_suptitle()


def test_collapsed_encoders_are_crossed_out_where_they_are_collapsed() -> None:
    matrix = make_matrix(2, RIVALS)
    worst = matrix.rows[-1]
    datasets = {**worst.datasets, "arguana": replace(worst.datasets["arguana"], collapsed=True)}
    matrix = replace(matrix, rows=(*matrix.rows[:-1], replace(worst, datasets=datasets)))
    figure = plot(matrix)
    crosses = {name: [line for line in panel(figure, name).lines if line.get_marker() == "x"] for name in NAMES[:2]}
    assert [len(found) for found in crosses.values()] == [1, 0]
    assert "collapsed: all vectors equal" in legend(figure)


def test_an_empty_matrix_is_refused_and_equal_ones_give_equal_files(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="nothing to draw"):
        plot(DatasetMatrix("", "", make_matrix(2).settings, ()))
    files = [tmp_path / f"{number}.svg" for number in range(2)]
    for file in files:
        save_picture(make_matrix(4, RIVALS), file)
    assert files[0].read_bytes() == files[1].read_bytes()
