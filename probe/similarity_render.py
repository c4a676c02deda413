"""Draw how cosines at every layer agree with gold scores: a table and a footer."""

from typing import Any

from rich.console import Console
from rich.text import Text

from probe.cells import (
    draw_table,
    show_bar,
    show_curve,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.render import model_lines, print_whole
from probe.similarity_board import SimilarityBoard, SimilarityRow

__all__ = ["print_similarity", "similarity_cells", "similarity_lines"]

_TITLES = ("#", "encoder", "dim", "Spearman", "95 %", "Δ full", "p", "Pearson", "mean cos", "curve", "note")
_LEFT = ("encoder", "curve", "note")


def print_similarity(board: SimilarityBoard, console: Console) -> None:
    """Print the table and its footer.

    Args:
        board: The correlations.
        console: Where to print; the table is whole, however narrow it is.
    """
    data = board.settings["dataset"]
    synthetic = " · synthetic scores" if data["synthetic"] else ""
    print_whole(draw_table(f"{data['name']}{synthetic}", *similarity_cells(board), _LEFT), console)
    for line in similarity_lines(board):
        console.print(Text(line, style="dim"))


def similarity_cells(board: SimilarityBoard) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of every row, as text."""
    top, starred = max(row.spearman or 0.0 for row in board.rows), significant(board.rows)
    return list(_TITLES), [_cells(row, board.settings, top, row.rank in starred) for row in board.rows]


def _cells(row: SimilarityRow, settings: dict[str, Any], top: float, starred: bool) -> list[str]:
    marks = {"full model": row.encoder == settings["baseline"], "collapsed": row.collapsed}
    return [
        str(row.rank),
        row.encoder,
        str(row.dim),
        show_number(row.spearman, ".4f"),
        show_interval(row.spearman_ci95),
        show_number(row.delta, "+.4f"),
        show_p_value(row.p_value) + ("*" if starred else ""),
        show_number(row.pearson, ".4f"),
        show_number(row.mean_cosine, ".3f"),
        show_bar(row.spearman or 0.0, top),
        ", ".join(mark for mark, holds in marks.items() if holds),
    ]


def similarity_lines(board: SimilarityBoard) -> list[str]:
    """Return the footer: everything that decided the numbers, and how to read them."""
    settings = board.settings
    data = settings["dataset"]
    limited = " (limited)" if data["limited"] else ""
    synthetic = f" (SYNTHETIC: {data['synthetic']})" if data["synthetic"] else ""
    low, high = data["scores"]
    return [
        *_curves(board),
        f"data: {data['name']}, {data['pairs']} pairs{limited} of {data['sentences']} sentences, scores {low:g} to "
        f"{high:g}{synthetic}; text {data['text_sha256'][:12]}, scores {data['scores_sha256'][:12]}",
        *(line for model in settings["models"] for line in model_lines(model)),
        "Spearman: rank correlation of cosine and gold score, ties averaged; for the ties among these gold scores at "
        f"most {settings['highest']:.4f}; mean cos: over the pairs",
        *statistics_lines(settings["statistics"], settings["baseline"]),
        *(f"data defect: {defect}" for defect in data["defects"]),
        *(f"{row.encoder} is collapsed: all sentences have one vector there" for row in board.rows if row.collapsed),
    ]


def _curves(board: SimilarityBoard) -> list[str]:
    curves: dict[str, dict[int, float]] = {}
    for row in board.rows:
        label = f"{row.encoder.rpartition('@')[0]}:{row.pooling}"
        curves.setdefault(label, {})[row.layer] = row.spearman or 0.0
    return [show_curve(name, scores) for name, scores in curves.items() if len(scores) > 2]
