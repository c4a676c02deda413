"""The option --plot of every command that makes a board."""

from pathlib import Path
from typing import Any

from commands.shell import check_file, saving

__all__ = ["check_plot", "save_plot"]


def check_plot(plot: Path | None) -> None:
    """Refuse a wrong --plot, or one without matplotlib, before the work."""
    if plot is None:
        return
    from probe.pictures import SUFFIXES, check_matplotlib

    check_file("--plot", plot, SUFFIXES)
    check_matplotlib("--plot")


def save_plot(board: Any, plot: Path | None) -> None:
    """Draw a board where asked for."""
    if plot is None:
        return
    from probe.pictures import save_picture

    with saving(plot):
        save_picture(board, plot)
