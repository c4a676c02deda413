"""Draw trained probes: a table and a footer."""

from typing import Any

from rich.console import Console
from rich.text import Text

from probe.cells import (
    draw_table,
    show_curve,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.classify_board import ClassifyBoard, ClassifyRow
from probe.render import model_lines, print_whole

__all__ = ["classify_cells", "classify_lines", "print_classify"]

_TITLES = (
    "#",
    "encoder",
    "dim",
    "accuracy",
    "95 %",
    "macro-F1",
    "95 % (F1)",
    "Δ full",
    "p",
    "shuffled",
    "selectivity",
    "C",
    "fit s",
    "note",
)
_LEFT = ("encoder", "C", "note")
_WORDS = (
    "shuffled: the same procedure on labels that were permuted once: what is left when there is nothing to learn; "
    "selectivity: what shuffling costs (after the control tasks of Hewitt and Liang, EMNLP 2019)",
    "a trained probe shows what can be read off a layer linearly, not what the model uses; commonest label: what one "
    "gets without reading the text",
)


def print_classify(board: ClassifyBoard, console: Console) -> None:
    """Print the table and its footer.

    Args:
        board: The probes.
        console: Where to print; the table is whole, however narrow it is.
    """
    data = board.settings["dataset"]
    synthetic = " · synthetic labels" if data["synthetic"] else ""
    print_whole(draw_table(f"{data['name']}{synthetic}", *classify_cells(board), _LEFT), console)
    for line in classify_lines(board):
        console.print(Text(line, style="dim"))


def classify_cells(board: ClassifyBoard) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of every row, as text."""
    starred = significant(board.rows)
    return list(_TITLES), [_cells(row, board.settings, row.rank in starred) for row in board.rows]


def _cells(row: ClassifyRow, settings: dict[str, Any], starred: bool) -> list[str]:
    chance = row.shuffled_accuracy if settings["metric"] == "accuracy" else row.shuffled_macro_f1
    return [
        str(row.rank),
        row.encoder,
        show_number(row.dim, "d"),
        f"{row.accuracy:.4f}",
        show_interval(row.accuracy_ci95),
        f"{row.macro_f1:.4f}",
        show_interval(row.macro_f1_ci95),
        show_number(row.delta, "+.4f"),
        show_p_value(row.p_value) + ("*" if starred else ""),
        show_number(chance, ".3f"),
        show_number(row.selectivity, "+.3f"),
        _show_penalties(row.penalties),
        show_number(row.fit_seconds, ".1f"),
        _note(row, settings),
    ]


def _show_penalties(penalties: tuple[float, ...] | None) -> str:
    """Return the penalties that any fold chose."""
    return " ".join(f"{penalty:g}" for penalty in sorted(set(penalties))) if penalties else "–"


def _note(row: ClassifyRow, settings: dict[str, Any]) -> str:
    marks = {
        "control": row.control is not None,
        "full model": row.encoder == settings["baseline"],
        "collapsed": row.collapsed,
        f"{row.unconverged} fits stopped early": bool(row.unconverged),
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)


def classify_lines(board: ClassifyBoard) -> list[str]:
    """Return the footer: everything that decided the numbers, and how to read them."""
    settings = board.settings
    data, probe = settings["dataset"], settings["probe"]
    labels = ", ".join(f"{name} {count / data['texts']:.0%}" for name, count in data["labels"].items())
    limited = " (limited)" if data["limited"] else ""
    synthetic = f" (SYNTHETIC: {data['synthetic']})" if data["synthetic"] else ""
    return [
        *_curves(board),
        f"data: {data['name']}, {data['texts']} texts{limited}, {len(data['labels'])} labels: {labels}{synthetic}; "
        f"text {data['text_sha256'][:12]}, labels {data['labels_sha256'][:12]}",
        *(line for model in settings["models"] for line in model_lines(model)),
        f"probe: {probe['classifier']}, {probe['folds']} stratified folds, seed {probe['seed']}; scaler and C "
        f"({', '.join(f'{penalty:g}' for penalty in probe['grid'])}, the best {probe['chosen_by']} in "
        f"{probe['inner_folds']} inner folds) come from the training folds alone",
        *_WORDS,
        *statistics_lines(settings["statistics"], settings["baseline"]),
        *(f"data defect: {defect}" for defect in data["defects"]),
    ]


def _curves(board: ClassifyBoard) -> list[str]:
    curves: dict[str, dict[int, float]] = {}
    for row in board.rows:
        if row.control is None and row.layer is not None:
            score = row.accuracy if board.settings["metric"] == "accuracy" else row.macro_f1
            curves.setdefault(f"{row.encoder.rpartition('@')[0]}:{row.pooling}", {})[row.layer] = score
    return [show_curve(name, scores) for name, scores in curves.items() if len(scores) > 2]
