"""What every board says, as text: title, header, cells, footer; for whatever shows it."""

from dataclasses import dataclass
from typing import Any

from probe.classify_board import ClassifyBoard
from probe.classify_render import classify_cells, classify_lines
from probe.geometry_board import GeometryBoard
from probe.geometry_render import geometry_cells, geometry_lines
from probe.leaderboard import Leaderboard
from probe.render import footer_lines, table_cells
from probe.similarity_board import SimilarityBoard
from probe.similarity_render import similarity_cells, similarity_lines

__all__ = ["BoardTexts", "board_texts"]


@dataclass(frozen=True)
class BoardTexts:
    """A board in words.

    Attributes:
        title: The data, and whether they are made up.
        header: Titles of the columns.
        cells: The cells of every row.
        notes: The footer.
    """

    title: str
    header: list[str]
    cells: list[list[str]]
    notes: list[str]


_READERS: dict[type, tuple[Any, Any]] = {
    Leaderboard: (table_cells, footer_lines),
    GeometryBoard: (geometry_cells, geometry_lines),
    ClassifyBoard: (classify_cells, classify_lines),
    SimilarityBoard: (similarity_cells, similarity_lines),
}


def board_texts(board: Any) -> BoardTexts:
    """Return what a board says."""
    cells_of, notes_of = _READERS[type(board)]
    data = board.settings["dataset"]
    split = f" ({data['split']})" if "split" in data else ""
    synthetic = " · synthetic" if data["synthetic"] else ""
    header, cells = cells_of(board)
    return BoardTexts(f"{data['name']}{split}{synthetic}", header, cells, notes_of(board))
