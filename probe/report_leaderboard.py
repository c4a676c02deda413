"""What a report says of a leaderboard."""

from collections.abc import Iterable
from pathlib import Path

from probe.chart import Chart, Point, Series, lay_out
from probe.fusion_grids import fusion_grids
from probe.leaderboard import Leaderboard, Row
from probe.pareto import pareto_front
from probe.render import board_warnings, footer_lines, metric_title, significant_ranks, table_cells
from probe.report_parts import Section, make_map, make_table

__all__ = ["leaderboard_section"]

# More lines than these could not be told apart.
_MOST_LEVELS = 4
_MOST_NAMED = 8


def leaderboard_section(board: Leaderboard, source: Path) -> Section:
    """Return the section of a leaderboard read from a file."""
    data = board.settings["dataset"]
    title = f"{_subject(board)}: {metric_title(board.metric)} on {data['name']} ({data['split']})"
    header, cells = table_cells(board)
    charts = (_layer_chart(board), _dimension_chart(board), _cost_chart(board))
    maps = [
        make_map(
            f"{metric_title(board.metric)}: layers of {grid.first} (down) fused with layers of {grid.second} (across)",
            grid.scores,
            ".3f",
        )
        for grid in fusion_grids(board)
    ]
    return Section(
        title=title,
        source=source.name,
        command=board.command,
        created=board.created,
        summary=tuple(_summary(board)),
        warnings=tuple(_warnings(board)),
        settings=tuple(footer_lines(board)),
        table=make_table(f"{title}, best first", header, cells, without=("curve",)),
        drawings=tuple(lay_out(chart) for chart in charts if chart is not None),
        maps=tuple(maps),
        examples=board.examples,
        encoders=tuple(map(_name, board.rows)),
    )


def _subject(board: Leaderboard) -> str:
    """Return what competes, in a few words."""
    models = " and ".join(model["name"] for model in board.settings["models"])
    if len({row.dim for row in board.rows if row.adaptor is not None}) > 1:
        return f"Adaptors on {models}"
    if any("+" in row.encoder for row in board.rows):
        return f"Fusions of {models}"
    return f"Layers of {models}" if _curves(board) else f"Encoders of {models}"


def _name(row: Row) -> str:
    if row.adaptor is None:
        return row.encoder
    labels = "" if row.labels == "none" else f", labels of {row.labels}"
    return f"{row.encoder}, {row.adaptor}{labels}, {row.dim} dimensions"


def _summary(board: Leaderboard) -> Iterable[str]:
    if not board.rows:
        return
    best, metric = board.rows[0], metric_title(board.metric)
    interval = "" if best.ci95 is None else f" (95 % interval {best.ci95[0]:.3f}–{best.ci95[1]:.3f})"
    yield f"Best of {len(board.rows)}: {_name(best)} with {metric} {best.scores[board.metric]:.4f}{interval}."
    tested = [row for row in board.rows if row.p_value is not None]
    if tested:
        starred = significant_ranks(board.rows)
        better = sum(row.rank in starred and (row.delta or 0) > 0 for row in tested)
        worse = sum(row.rank in starred and (row.delta or 0) < 0 for row in tested)
        yield (
            f"Against the baseline {board.settings['baseline']}, {better} of {len(tested)} are significantly better and "
            f"{worse} significantly worse (p < 0.05 after Holm's correction)."
        )
    if board.settings.get("recommendation"):
        yield f"Recommendation: {board.settings['recommendation']}."


def _warnings(board: Leaderboard) -> Iterable[str]:
    data = board.settings["dataset"]
    if data["synthetic"]:
        yield f"synthetic queries ({data['synthetic']}): nobody asked them, so scores are not those of real searches"
    if data["limited"]:
        yield f"a part of the corpus: {data['documents']} documents were searched, and scores are higher than on all"
    tested = [row for row in board.rows if row.p_value is not None]
    if tested and not significant_ranks(board.rows):
        yield "no significance: no row differs from the baseline by more than chance explains"
    yield from board_warnings(board)


def _layer_chart(board: Leaderboard) -> Chart | None:
    curves = _curves(board)
    if not curves:
        return None
    elsewhere = [row for row in board.rows if row.layer is None][:_MOST_LEVELS]
    return Chart(
        title=f"{metric_title(board.metric)} by layer",
        x_label="layer (0 = embeddings)",
        y_label=f"{metric_title(board.metric)}, 95 % interval",
        series=tuple(
            Series(name, tuple(_point(board, row, row.layer or 0) for row in rows)) for name, rows in curves.items()
        ),
        levels=tuple((_name(row), row.scores[board.metric]) for row in elsewhere),
        whole=True,
    )


def _curves(board: Leaderboard) -> dict[str, list[Row]]:
    """Return the rows that differ in nothing but their layer, from the first layer to the last."""
    curves: dict[str, list[Row]] = {}
    for row in board.rows:
        if row.layer is not None:
            curves.setdefault(_curve_name(row), []).append(row)
    return {name: sorted(rows, key=lambda row: row.layer or 0) for name, rows in curves.items() if len(rows) > 2}


def _curve_name(row: Row) -> str:
    raw = f"{row.encoder.rpartition('@')[0]}:{row.pooling}"
    if row.adaptor is None:
        return raw
    return f"{raw}, {row.adaptor}{'' if row.labels == 'none' else f', labels of {row.labels}'}, {row.dim} dimensions"


def _point(board: Leaderboard, row: Row, x: float, label: str = "") -> Point:
    score = row.scores[board.metric]
    interval = "" if row.ci95 is None else f" ({row.ci95[0]:.3f}–{row.ci95[1]:.3f})"
    cost = "" if row.ms_per_text is None else f", {row.ms_per_text:.2f} ms per document"
    marks = {"collapsed": row.collapsed, "transductive": row.transductive}
    marked = "".join(f", {mark}" for mark, holds in marks.items() if holds)
    tip = f"{_name(row)}: {score:.4f}{interval}{cost}{marked}"
    return Point(x, score, tip, row.ci95, label, any(marks.values()))


def _dimension_chart(board: Leaderboard) -> Chart | None:
    kinds: dict[str, list[Row]] = {}
    several = len({row.encoder for row in board.rows if row.adaptor}) > 1
    for row in board.rows:
        if row.adaptor is not None and row.dim is not None:
            labels = "" if row.labels == "none" else f", labels of {row.labels}"
            kinds.setdefault(f"{f'{row.encoder}, ' if several else ''}{row.adaptor}{labels}", []).append(row)
    if max((len({row.dim for row in rows}) for rows in kinds.values()), default=0) < 2:
        return None
    frozen = [row for row in board.rows if row.adaptor is None][:_MOST_LEVELS]
    return Chart(
        title=f"{metric_title(board.metric)} by dimension",
        x_label="dimensions kept",
        y_label=f"{metric_title(board.metric)}, 95 % interval",
        series=tuple(
            Series(name, tuple(_point(board, row, row.dim or 0) for row in sorted(rows, key=lambda row: row.dim or 0)))
            for name, rows in sorted(kinds.items())
        ),
        levels=tuple((f"{row.encoder}, {row.dim} dimensions", row.scores[board.metric]) for row in frozen),
    )


def _cost_chart(board: Leaderboard) -> Chart | None:
    """Return score against time: who is on the front is beaten by nobody who costs as little."""
    timed = [row for row in board.rows if row.ms_per_text is not None]
    costs = [row.ms_per_text or 0.0 for row in timed]
    if len(set(costs)) < 2:
        return None
    front = pareto_front([(cost, row.scores[board.metric]) for cost, row in zip(costs, timed, strict=True)])
    named = {place: _short(timed[place]) for place in front[:: max(1, -(-len(front) // _MOST_NAMED))]}
    points = {place: _point(board, timed[place], costs[place], named.get(place, "")) for place in range(len(timed))}
    points = {place: Point(p.x, p.y, p.tip, None, p.label, p.hollow) for place, p in points.items()}
    rest = tuple(point for place, point in points.items() if place not in front)
    series = [Series("Pareto front: nothing as cheap scores more", tuple(points[place] for place in front))]
    return Chart(
        title=f"{metric_title(board.metric)} against cost",
        x_label="milliseconds per document",
        y_label=metric_title(board.metric),
        series=tuple([*series, Series("others", rest, joined=False)] if rest else series),
    )


def _short(row: Row) -> str:
    where = row.encoder if row.layer is None else f"layer {row.layer}"
    return where if row.adaptor is None else f"{where}, {row.adaptor}"
