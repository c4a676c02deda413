"""The section of several data sets: a table whose cells say how they differ, a chart and the queries of every set."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from set_boards import LAYERS, NAMES, RIVALS, make_board, make_matrix, make_row

from probe import read_result, write_report
from probe.experiments.matrix import join_leaderboards
from probe.report.matrix import matrix_section
from probe.report.page import render_report
from probe.results.colours import PAPER, TINTS, luminance, tint_of
from probe.results.matrix import MEAN, DatasetMatrix

STYLE = (Path(__file__).parents[3] / "probe" / "report" / "page.css").read_text()


def render(matrix: DatasetMatrix) -> str:
    return render_report([(Path("sets.json"), matrix)])


def lightness(colour: str) -> float:
    return luminance([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2)."""
    high, low = sorted((lightness(one), lightness(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_every_cell_has_score_mark_difference_and_tint() -> None:
    matrix = make_matrix(3, RIVALS)
    table = matrix_section(matrix, "sets.json").table
    assert table.header[: table.header.index("p")] == ("encoder", "adaptor", MEAN, *NAMES[:3])
    for name in (MEAN, *NAMES[:3]):
        column = table.header.index(name)
        assert table.numeric[column]
        for number, row in enumerate(matrix.rows):
            score = matrix.score_on(row, name)
            assert table.rows[number][column] == f"{score.score:.4f}{score.sign}"
            tint = table.tints.get((number, column))
            assert (tint is None) == (score.delta is None)
            if tint is not None and score.delta is not None:
                assert (tint.step, tint.difference) == (tint_of(score.delta), f"{score.delta:+.4f}")
    assert all(table.numeric[table.header.index(title)] for title in ("▲ = ▼", "95% CI", "Δ in general"))
    page = render(matrix)
    row = next(row for row in matrix.rows if row.collapsed is False and row.encoder == "tiny@4:cls")
    score = matrix.score_on(row, "arguana")
    assert f'<td class="number worse-4">{score.score:.4f}▼ <span class="difference">{score.delta:+.4f}</span>' in page


@pytest.mark.parametrize(
    ("difference", "step"), [(0, 0), (0.004, 0), (0.005, 1), (-0.02, -2), (0.07, 3), (-0.1, -4), (0.9, 4)]
)
def test_a_tint_stands_for_a_range_of_differences(difference: float, step: int) -> None:
    assert tint_of(difference) == step


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_text_on_every_tint_has_contrast_and_tints_differ_from_each_other(shade: str) -> None:
    inks = re.findall(r"--paper: (#\w{6});.*?--ink: (#\w{6});", STYLE)
    paper, ink = inks[0 if shade == "light" else 1]
    assert paper == getattr(PAPER, shade)
    tints = [getattr(colour, shade) for side in TINTS for colour in side]
    assert all(contrast(ink, tint) > 4.5 for tint in tints)
    assert len(set(tints)) == 8
    for side in TINTS:
        steps = [contrast(getattr(colour, shade), paper) for colour in side]
        assert steps == sorted(steps)
        assert steps[0] > 1.04
    page = render(make_matrix(2, RIVALS))
    assert all(f": {tint};" in page for tint in tints)


def test_layers_have_a_chart_per_data_set_with_one_axis_and_the_colours_of_the_mean() -> None:
    section = matrix_section(make_matrix(4), "sets.json")
    assert [drawing.panel.title for drawing in section.multiples] == list(NAMES[:4])
    assert len({drawing.up for drawing in section.multiples}) == 1
    assert section.drawings[0].panel.title == "mean nDCG@10 by layer"
    assert section.drawings[0].panel.y_label == "mean nDCG@10, 95% CI"
    (tone,) = {line.tone for drawing in section.multiples for line in drawing.panel.lines}
    assert tone == section.drawings[0].panel.lines[0].tone
    assert matrix_section(make_matrix(4, RIVALS), "sets.json").multiples == ()


def test_every_data_set_is_folded_with_its_own_queries_and_no_id_twice() -> None:
    matrix = make_matrix(3)
    page = render(matrix)
    ids = Counter(re.findall(r'\bid="([^"]+)"', page))
    assert [name for name, count in ids.items() if count > 1] == []
    parts = page.split('<details class="part">')[1:]
    assert len(parts) == 3
    for name, part in zip(NAMES, parts, strict=False):
        assert part.startswith(f"<summary>{name} (test) ")
        assert f"a question on {name}" in part
        assert not any(f"a question on {other}" in part for other in NAMES[:3] if other != name)


def test_queries_show_what_each_encoder_found_where_others_are_left_out() -> None:
    rows = (*LAYERS, make_row("tiny@9:mean"))
    boards = {"a": make_board("a", rows), "b": make_board("b", rows[:-1])}
    best = replace(boards["a"].rows[-1], rank=1)
    shifted = (best, *(replace(row, rank=row.rank + 1) for row in boards["a"].rows[:-1]))
    scores = boards["a"].query_scores
    assert scores is not None
    boards["a"] = replace(boards["a"], rows=shifted, query_scores=(scores[-1], *scores[:-1]))
    matrix = join_leaderboards(boards)
    assert best.encoder not in {row.encoder for row in matrix.rows}
    part = render(matrix).split('<details class="part">')[1]
    examples = part.split('<table class="findings">')[1].split("</table>")[0]
    found = dict(
        re.findall(r'<th scope="row">(tiny@\d:mean)(?: <span.*?</span>)?</th><td class="number">([\d.]+)', examples)
    )
    # The first rank is that of the encoder that is left out.
    assert found == {row.encoder: f"{1 / row.rank:.3f}" for row in shifted[1:]}


def test_a_page_of_one_matrix_has_its_title_and_means_in_its_headline() -> None:
    page = render(make_matrix(3))
    assert f"<h1>Layers of tiny on 3 data sets: {', '.join(NAMES[:3])}</h1>" in page
    assert page.count('<p class="measure">mean nDCG@10</p>') == 3
    assert "Layers of tiny on 15 data sets</h1>" in render(make_matrix(15))


def test_a_saved_matrix_gives_the_page_of_the_matrix(tmp_path: Path) -> None:
    matrix = make_matrix(3, RIVALS)
    file = tmp_path / "sets.json"
    file.write_text(matrix.to_json())
    assert render_report([(file, read_result(file))]) == render(matrix)
    assert write_report(matrix, tmp_path / "page.html").is_file()
