"""Draw a leaderboard: cells, footer, and a rich table that fits its console."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from probe.cells import show_bar, show_curve, show_interval, show_number, show_p_value, significant, statistics_lines
from probe.heat_map import heat_maps
from probe.hookpoint import model_of
from probe.leaderboard import Leaderboard, Row

__all__ = [
    "board_warnings",
    "dataset_line",
    "footer_lines",
    "metric_title",
    "model_lines",
    "print_leaderboard",
    "print_whole",
    "table_cells",
]


@dataclass(frozen=True)
class _Column:
    """A column of the table; the one with the greatest `drop` leaves a narrow console first, 0 never does."""

    title: str
    drop: int
    cell: Callable[[Row], str]
    justify: Literal["left", "right"] = "right"


def _columns(board: Leaderboard) -> list[_Column]:
    metric = board.metric
    top = max((row.scores[metric] for row in board.rows), default=0.0)
    starred = significant(board.rows)
    others = [name for name in board.settings["metrics"] if name != metric]
    adapted = any(row.adaptor is not None or row.labels != "none" for row in board.rows)
    return [
        _Column("#", 0, lambda row: str(row.rank)),
        _Column("encoder", 0, lambda row: row.encoder, "left"),
        *(_ADAPTOR_COLUMNS if adapted else []),
        *([_PCA_COLUMN] if any(row.pca_delta is not None for row in board.rows) else []),
        _Column("dim", 0 if adapted else 8, lambda row: show_number(row.dim, "d")),
        _Column(metric_title(metric), 0, partial(_score, metric)),
        _Column("95 %", 3, lambda row: show_interval(row.ci95)),
        _Column("Δ base", 2, lambda row: show_number(row.delta, "+.4f")),
        _Column("p", 2, lambda row: show_p_value(row.p_value) + ("*" if row.rank in starred else "")),
        *[_Column(metric_title(name), 6, partial(_score, name)) for name in others],
        _Column("curve", 7, lambda row: show_bar(row.scores[metric], top), "left"),
        _Column("ms/text", 4, lambda row: show_number(row.ms_per_text, ".2f")),
        _Column("params", 5, lambda row: "–" if row.parameters is None else f"{row.parameters / 1e6:.1f}M"),
        _Column("note", 1, lambda row: _note(row, board.settings), "left"),
    ]


def _against_pca(row: Row) -> str:
    if row.pca_delta is None:
        return "–"
    return f"{row.pca_delta:+.4f} {show_p_value(row.pca_p_value)}"


def _score(metric: str, row: Row) -> str:
    return f"{row.scores[metric]:.4f}"


def metric_title(metric: str) -> str:
    """Return a metric's name as people write it: nDCG@10."""
    return metric.replace("ndcg", "nDCG").replace("map", "MAP").replace("mrr", "MRR")


def _note(row: Row, settings: dict[str, Any]) -> str:
    frozen = row.encoder == settings["baseline"] and row.delta is None
    recommended = row.adaptor is not None and row.adaptor == settings.get("recommended")
    marks = {
        "baseline": frozen,
        "recommended": recommended,
        "collapsed": row.collapsed,
        "transductive": row.transductive,
    }
    return ", ".join(mark for mark, holds in marks.items() if holds)


_ADAPTOR_COLUMNS = [
    _Column("adaptor", 0, lambda row: row.adaptor or "–", "left"),
    _Column("labels", 1, lambda row: row.labels if row.adaptor or row.labels != "none" else "–", "left"),
    _Column("fit s", 5, lambda row: show_number(row.fit_seconds, ".1f")),
]
_PCA_COLUMN = _Column("Δ pca, p", 1, _against_pca)


def table_cells(board: Leaderboard) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of every column, as text."""
    columns = _columns(board)
    return [column.title for column in columns], [[column.cell(row) for column in columns] for row in board.rows]


def _curve_lines(board: Leaderboard) -> list[str]:
    """Return one spark line per model and pooling: the score from the first layer to the last."""
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for row in board.rows:
        if row.layer is not None and row.pooling is not None:
            model, pooling = model_of(row.encoder), row.pooling
            labels = "" if row.labels == "none" else f" ({row.labels})"
            label = f"{pooling} {row.adaptor}{labels} {row.dim}" if row.adaptor else pooling
            curves.setdefault((model, label), {})[row.layer] = row.scores[board.metric]
    drawn = [(name, curves[name]) for name in sorted(curves) if len(curves[name]) > 2]
    return [show_curve(f"{model}:{pooling}", scores) for (model, pooling), scores in drawn]


def footer_lines(board: Leaderboard) -> list[str]:
    """Return the footer: everything that decided the numbers, and what to beware of."""
    settings = board.settings
    lines = [*_curve_lines(board), dataset_line(settings["dataset"])]
    lines += [line for model in settings["models"] for line in model_lines(model)]
    data, statistics = settings["dataset"], settings["statistics"]
    lines.append(f"text: {data['title_rule']}; {data['id_rule']}; {settings['similarity']}; ties: {settings['ties']}")
    if settings.get("recommendation"):
        lines.append(f"recommendation: {settings['recommendation']}")
    lines += settings.get("adaptors", [])
    if settings.get("towers"):
        lines.append(f"towers: {settings['towers']}")
    if settings.get("late_interaction"):
        lines.append(f"late interaction: {settings['late_interaction']}")
    if settings.get("late_fusion"):
        lines.append(f"late fusion: {settings['late_fusion']}")
    lines += statistics_lines(statistics, settings["baseline"])
    lines += [_published_line(row, board.metric) for row in board.rows if row.published is not None]
    return lines + board_warnings(board)


def dataset_line(data: dict[str, Any]) -> str:
    """Return what was searched, for a footer."""
    limited = " (limited)" if data["limited"] else ""
    synthetic = f" (SYNTHETIC: {data['synthetic']})" if data["synthetic"] else ""
    return (
        f"data: {data['name']} ({data['split']}), {data['documents']} documents{limited}, "
        f"{data['queries']} judged queries{synthetic}; "
        f"text {data['text_sha256'][:12]}, judgements {data['qrels_sha256'][:12]}"
    )


def model_lines(model: dict[str, Any]) -> list[str]:
    """Return how a model ran, for a footer."""
    where = model["hub_id"] or "folder"
    if model["revision"]:
        where += f" @ {model['revision'][:12]}"
    if "prompt" in model:
        prompts, cut = f"prompt {model['prompt']!r}", f"cut to fit: {model['truncated_texts']} texts"
    else:
        prompts = f"prompts: query {model['query_prompt']!r}, document {model['document_prompt']!r}"
        cut = f"cut to fit: {model['truncated_documents']} documents, {model['truncated_queries']} queries"
    return [
        f"model: {model['name']} ({where}), weights {model['weights_sha256'][:12]}, tokenizer "
        f"{model['tokenizer_sha256'][:12]}; own pooling {model['own_pooling']}; {prompts}",
        f"{model['name']}: {model['max_tokens']} tokens ({cut}); {model['dtype']} on {model['device']} in "
        f"batches of {model['batches']}; pooled and scored in float32, states rounded to {model['rounding']}; "
        f"vector key {model['vector_key'][:12]}",
        *[f"{model['name']}: {note}" for note in model["notes"]],
    ]


def _published_line(row: Row, metric: str) -> str:
    return f"published {metric_title(metric)} of {row.encoder}: {row.published:.5f} (here {row.scores[metric]:.5f})"


def board_warnings(board: Leaderboard) -> list[str]:
    """Return what to beware of."""
    lines = [f"data defect: {defect}" for defect in board.settings["dataset"]["defects"]]
    if any(row.collapsed for row in board.rows):
        names = ", ".join(row.encoder for row in board.rows if row.collapsed)
        lines.append(
            f"collapsed: all documents have the same vector or scores there, so that every score ties: {names}"
        )
    if any(row.transductive for row in board.rows):
        lines.append("transductive: fitted on the text of the corpus it is scored on (never on its judgements)")
    if board.settings["dataset"]["queries"] < 2:
        lines.append("a single query: no interval and no test are possible")
    return lines


def print_leaderboard(board: Leaderboard, console: Console) -> None:
    """Print the table, its footer, and which columns a narrow console left no room for.

    Args:
        board: The leaderboard.
        console: Where to print; the encoder column is whole, however narrow it is.
    """
    columns = _columns(board)
    dropped: list[str] = []
    while _measure(_table(columns, board), console) > console.width and any(column.drop for column in columns):
        least = max(columns, key=lambda column: column.drop)
        columns.remove(least)
        dropped.append(least.title)
    print_whole(_table(columns, board), console)
    for heat_map in heat_maps(board):
        print_whole(heat_map, console)
    if dropped:
        console.print(Text(f"left out, for want of width: {', '.join(dropped)}", style="dim"))
    for line in footer_lines(board):
        console.print(Text(line, style="dim"))


def print_whole(table: Table, console: Console) -> None:
    """Print a table that must not be cut, even where its last columns are wider than the console.

    Args:
        table: The table.
        console: Where to print.
    """
    width = console.width
    console.width = max(width, _measure(table, console))
    try:
        console.print(table, crop=False)
    finally:
        console.width = width


def _table(columns: Sequence[_Column], board: Leaderboard) -> Table:
    data = board.settings["dataset"]
    synthetic = " · synthetic queries" if data["synthetic"] else ""
    table = Table(
        title=f"{data['name']} ({data['split']}){synthetic}",
        header_style="bold",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        table.add_column(column.title, justify=column.justify, no_wrap=True)
    for row in board.rows:
        style = "bold" if "baseline" in _note(row, board.settings) else None
        table.add_row(*[Text(column.cell(row)) for column in columns], style=style)
    return table


def _measure(table: Table, console: Console) -> int:
    endless = console.options.update(max_width=100_000)
    return Measurement.get(console, endless, table).maximum
