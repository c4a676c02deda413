"""Maps of numbers: fusions of every layer of one model with every layer of another, similarities of layers."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from probe.fusion_grids import fusion_grids
from probe.leaderboard import Leaderboard

__all__ = ["draw_map", "heat_maps"]

# From the lowest score to the highest; readable without colour too, because every cell holds its number.
_SHADES = ("grey23", "grey35", "dark_green", "green4", "green3")


def heat_maps(board: Leaderboard) -> list[Table]:
    """Return one map per pair of models and poolings of which several layers are fused.

    Args:
        board: A leaderboard.

    Returns:
        Tables: a row per layer of the first model, a column per layer of the second; none where there is no grid.
    """
    return [
        draw_map(
            grid.scores, f"{board.metric}: layers of {grid.first} (down) fused with layers of {grid.second} (across)"
        )
        for grid in fusion_grids(board)
    ]


def draw_map(grid: Mapping[tuple[int, int], float], title: str) -> Table:
    """Draw numbers by row and column.

    Args:
        grid: The numbers.
        title: What they are.

    Returns:
        A table that is readable without colour too.
    """
    rows, columns = (sorted({place[side] for place in grid}) for side in (0, 1))
    low, high = min(grid.values()), max(grid.values())
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 0), header_style="bold")
    table.add_column("", justify="right")
    for column in columns:
        table.add_column(str(column), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(str(row), *[_cell(grid.get((row, column)), low, high) for column in columns])
    return table


def _cell(score: float | None, low: float, high: float) -> Text:
    if score is None:
        return Text("–")
    share = (score - low) / (high - low) if high > low else 1.0
    shade = _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]
    best = " bold" if score == high else ""
    return Text(f" {score:.3f} ", style=f"white on {shade}{best}")
