"""Score against bytes: one line per bits and kind, the front as a staircase, in the picture and on the page."""

from dataclasses import replace

import pytest
from matplotlib.axes import Axes

from probe.plots.bytes import has_bytes
from probe.plots.leaderboard import draw
from probe.report.cost import byte_panel
from probe.results.charts import byte_curves, ladder_curves
from probe.results.leaderboard import Leaderboard, Row

SIZES = [("spectral", 256, 32.0, 1024, 0.66), ("spectral", 256, 4.0, 128, 0.65), ("spectral", 128, 4.0, 64, 0.62)]
SETTINGS = {
    "metric": "ndcg@10",
    "metrics": ["ndcg@10"],
    "baseline": "a@6:mean",
    "similarity": "cosine",
    "ties": "id",
    "models": [],
    "dataset": {"name": "tiny", "split": "test", "queries": 9, "documents": 90, "synthetic": False, "limited": False},
}


@pytest.fixture
def board() -> Leaderboard:
    frozen = Row(3, "a@6:mean", dim=384, bits=32, query_bits=32, bytes=1536, scores={"ndcg@10": 0.64})
    rows = [
        replace(frozen, rank=number, dim=dim, adaptor=kind, bits=bits, bytes=size, scores={"ndcg@10": score}, delta=0.0)
        for number, (kind, dim, bits, size, score) in enumerate(SIZES)
    ]
    again = replace(rows[2], rank=7, rescore=4, scores={"ndcg@10": 0.9})
    mixed = replace(rows[2], rank=8, mixed=True, bits=1.5, bytes=24, scores={"ndcg@10": 0.6})
    return Leaderboard("", "", SETTINGS, (*rows, frozen, again, mixed))


def test_a_curve_has_one_kind_in_one_number_of_bits_and_no_rows_ranked_again(board: Leaderboard) -> None:
    found = {curve.name: [point.position for point in curve.points] for curve in byte_curves(board.rows, board.metric)}
    assert found == {
        "spectral, float32": [1024],
        "no adaptor, float32": [1536],
        "spectral, 4 bits": [64, 128],
        "spectral, mixed bits": [24],
    }
    (ladder,) = ladder_curves(board.rows, board.metric)
    assert [point.position for point in ladder.points] == [256]


def test_the_front_rises_with_the_bytes_and_ends_at_the_largest(board: Leaderboard) -> None:
    panel = byte_panel(board)
    assert panel is not None
    corners = [(24, 0.6), (64, 0.6), (64, 0.62), (128, 0.62), (128, 0.65), (1024, 0.65), (1024, 0.66), (1536, 0.66)]
    assert list(panel.front) == corners
    assert panel.logarithmic_across


def test_the_picture_has_a_logarithmic_axis_of_bytes(board: Leaderboard) -> None:
    assert has_bytes(board)
    axes: list[Axes] = [one for one in draw(board).axes if one.get_xlabel() == "bytes per document (log)"]
    assert len(axes) == 1
    assert axes[0].get_xscale() == "log"
    bare = replace(board, rows=tuple(replace(row, bytes=None, bits=None) for row in board.rows[:4]))
    assert byte_panel(bare) is None
    assert not has_bytes(bare)
