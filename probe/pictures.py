"""Boards as pictures; matplotlib is imported where one is drawn, and never its pyplot."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.classify_board import ClassifyBoard
from probe.errors import CallError
from probe.geometry_board import GeometryBoard
from probe.leaderboard import Leaderboard
from probe.pair_map import PairMap
from probe.similarity_board import SimilarityBoard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SUFFIXES", "check_matplotlib", "plot", "save_picture"]

SUFFIXES = (".png", ".svg", ".pdf")

# Per kind of board, the module whose `draw(board)` draws it.
_HOMES: dict[type, str] = {
    Leaderboard: "plot_leaderboard",
    GeometryBoard: "plot_geometry",
    ClassifyBoard: "plot_labelled",
    SimilarityBoard: "plot_labelled",
    PairMap: "plot_pairs",
}


def check_matplotlib(wanted_by: str = "a picture") -> None:
    """Fail early where the extra is not installed.

    Args:
        wanted_by: What needs it.

    Raises:
        CallError: It is not.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CallError(f"{wanted_by} needs matplotlib: pip install 'encoder-surgery[plot]'") from error


def plot(board: Any) -> "Figure":
    """Draw a board; a notebook shows the figure, and `savefig` writes it.

    Args:
        board: A leaderboard, or another board of this package.

    Returns:
        A matplotlib figure that pyplot knows nothing of.

    Raises:
        CallError: There is nothing to draw, or no matplotlib to draw with.
    """
    home = next((home for kind, home in _HOMES.items() if isinstance(board, kind)), None)
    if home is None:
        raise CallError(f"a {type(board).__name__} cannot be drawn: expected {_names()}")
    check_matplotlib()
    figure: Figure = import_module(f"probe.{home}").draw(board)
    return figure


def _names() -> str:
    return " or ".join(kind.__name__ for kind in _HOMES)


def save_picture(board: Any, path: Path) -> None:
    """Draw a board into a file, whole or not at all; equal boards give equal bytes.

    Args:
        board: What `plot` takes.
        path: A file ending in one of `SUFFIXES`.

    Raises:
        CallError: There is nothing to draw, or the suffix is another.
        OSError: The file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CallError(f"'{path}' is no picture: expected a file ending in {', '.join(SUFFIXES)}")
    figure = plot(board)
    from probe.plot_style import save_figure

    save_figure(figure, path)
