"""The option --plot of every command that makes a board."""

from pathlib import Path
from typing import Any

from commands.shell import check_file, saving

__all__ = ["check_plot", "save_plot"]


def check_plot(plot: Path | None, option: str = "--plot") -> None:
    """Refuse a picture's name that is wrong, or one without matplotlib, before the work."""
    if plot is None:
        return
    from probe.pictures import SUFFIXES, check_matplotlib

    check_file(option, plot, SUFFIXES)
    check_matplotlib(option)


def save_plot(board: Any, plot: Path | None) -> None:
    """Draw a board where asked for."""
    if plot is None:
        return
    from probe.pictures import save_picture

    with saving(plot):
        save_picture(board, plot)
