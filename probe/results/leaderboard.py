"""The leaderboard: encoders ranked by their scores, as values, JSON, CSV, Markdown and text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from probe.results.formats import (
    EMPTY,
    brief_data_line,
    brief_model_line,
    brief_statistics_line,
    curve_lines,
    join_marks,
    metric_title,
    model_lines,
    retrieval_data_line,
    show_bar,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.results.leaderboard_verdict import leaderboard_verdict
from probe.results.query_examples import Examples
from probe.results.result import Column, Result
from probe.results.row import FLOAT_BITS, PCA, Grid, Row, fusion_grids

__all__ = ["PCA", "Leaderboard", "Row", "describe_ranks", "score_column", "show_parameters", "show_retention"]

# Notes on adaptors that are said below a table; the others are counted.
_MOST_NOTES = 2


@dataclass(frozen=True, repr=False)
class Leaderboard(Result):
    """Ranked rows and everything that decided them.

    Attributes:
        rows: Best first.
        examples: Queries to look at, where they were asked for.
        query_scores: Per row, the metric of every query; None for a saved leaderboard, which lacks them.
    """

    kind: ClassVar[str] = "leaderboard"
    column_names: ClassVar[tuple[str, ...]] = (
        *("rank", "encoder", "adaptor", "labels", "fit", "pca", "kept", "dim", "bits", "bytes", "compression", "front"),
        *("ci95", "delta", "p", "curve", "cost", "params", "note"),
    )

    rows: tuple[Row, ...]
    examples: Examples | None = None
    query_scores: tuple[tuple[float, ...], ...] | None = field(default=None, compare=False)

    @property
    def metric(self) -> str:
        """The metric the rows are ranked by."""
        return str(self.settings["metric"])

    def to_dict(self) -> dict[str, Any]:
        """Return the leaderboard as plain values, in the JSON form's order."""
        values = super().to_dict()
        values["rows"] = [asdict(row) for row in self._noted()]
        return {**values, "notices": self.warnings(), "examples": asdict(self.examples) if self.examples else None}

    def _noted(self) -> list[Row]:
        """Return the rows, each with its whole note."""
        return [replace(row, note=self.note_of(row)) for row in self.rows]

    def note_of(self, row: Row) -> str | None:
        """Return the note of a row, such as `baseline, transductive`; None without any."""
        said = row.note.split("; ") if row.note else []
        return "; ".join(dict.fromkeys(part for part in [self._marks(row), *said] if part)) or None

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting: one column per metric, and the data set in every row."""
        data = {f"dataset_{key}": self.settings["dataset"][key] for key in ("name", "split", "synthetic")}
        return [{**row.flatten(), **data} for row in self._noted()]

    def cells(self, columns: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
        """Return the header and the cells of every row, as text; notes in full."""
        header, cells = super().cells(columns)
        if "note" not in header:
            return header, cells
        place = header.index("note")
        noted = zip(cells, self.rows, strict=True)
        return header, [[*line[:place], self.note_of(row) or "", *line[place + 1 :]] for line, row in noted]

    def columns(self) -> list[Column]:
        """Return the columns of the table; the least worth are dropped first."""
        top = max((self.score_of(row) for row in self.rows), default=0.0)
        starred = significant(self.rows)
        named = len({row.encoder for row in self.rows}) == len(self.rows)  # an encoder's name tells rows apart
        return [
            Column("#", lambda row: str(row.rank), key="rank"),
            Column("encoder", lambda row: row.encoder, left=True, label=""),
            *self._adaptor_columns(named),
            Column("dim", lambda row: show_number(row.dim, "d"), drop=8 if named else 0, label="dim"),
            *self._storage_columns(),
            score_column(self.metric, drop=0),
            Column("95% CI", lambda row: show_interval(row.ci95), drop=6, key="ci95"),
            Column("Δ base", lambda row: show_number(row.delta, "+.4f"), drop=1, key="delta"),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in starred), drop=1),
            *(score_column(name, drop=7) for name in self.settings["metrics"] if name != self.metric),
            Column("curve", lambda row: show_bar(self.score_of(row), top), left=True, drop=10),
            Column("cost", lambda row: show_number(row.cost, ".0%"), drop=3, label="cost"),
            Column("params", show_parameters, drop=5, label="params"),
            Column("note", self._marks, left=True, drop=4),
        ]

    def _adaptor_columns(self, named: bool) -> list[Column]:
        if all(row.adaptor is None and row.labels == "none" for row in self.rows):
            return []
        return [
            Column("adaptor", lambda row: row.adaptor or EMPTY, left=True, drop=8 if named else 0, label="adaptor"),
            Column("labels", lambda row: row.labels, left=True, drop=8 if named else 1, label="labels"),
            Column("fit s", lambda row: show_number(row.fit_seconds, ".1f"), drop=9, key="fit"),
            Column("Δ pca, p", _against_pca, drop=2, key="pca"),
            Column("of from, to", show_retention, drop=1, key="kept"),
        ]

    def _storage_columns(self) -> list[Column]:
        if all(row.bytes is None for row in self.rows):
            return []
        return [
            Column("bits", _show_bits, label="bits"),
            Column("bytes", lambda row: show_number(row.bytes, ",d"), label="bytes"),
            Column("smaller", _show_compression, drop=2, key="compression"),
            Column("front", lambda row: "*" if row.front else "", drop=2, label="front"),
        ]

    def score_of(self, row: Row) -> float:
        """Return the score that a row is ranked by."""
        return row.scores[self.metric]

    def _is_baseline(self, row: Row) -> bool:
        return bool(row.encoder == self.settings["baseline"]) and row.delta is None

    def _marks(self, row: Row) -> str:
        marks = {
            "baseline": self._is_baseline(row),
            "recommended": row.adaptor is not None and row.adaptor == self.settings.get("recommended"),
            "collapsed": row.collapsed,
            "transductive": row.transductive,
        }
        return join_marks(marks)

    def emphasized(self) -> set[int]:
        """Return the indices of the baseline's rows."""
        return {number for number, row in enumerate(self.rows) if self._is_baseline(row)}

    def grids(self) -> tuple[Grid, ...]:
        """Return one map per pair of models and poolings of which several layers are fused."""
        frozen = [row for row in self.rows if row.adaptor is None and not row.is_compressed]
        return fusion_grids([(row.encoder, row.hookpoints, self.score_of(row)) for row in frozen], self.metric)

    def verdict(self) -> str:
        """Return in one or two sentences what the rows show."""
        return leaderboard_verdict(self.rows, self.settings)

    def conclusions(self) -> list[str]:
        """Return the verdict, and the recommendation where one was asked for."""
        recommended = self.settings.get("recommendation")
        return [self.verdict(), *([f"Recommendation: {recommended}"] if recommended else [])]

    def cautions(self) -> list[str]:
        """Return all that makes the numbers mean less than they seem to, in short."""
        notes = self.settings.get("adaptors", [])
        left = len(notes) - _MOST_NOTES
        more = [f"{left} more {'note' if left == 1 else 'notes'} on adaptors: --details"] if left > 0 else []
        return [*self.settings.get("left_out", []), *super().cautions(), *notes[:_MOST_NOTES], *more]

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        data, models = self.settings["dataset"], self.settings["models"]
        return [brief_data_line(data), brief_model_line(models), brief_statistics_line()]

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers, and the warnings."""
        settings = self.settings
        data = settings["dataset"]
        lines = [*self._curve_lines(), retrieval_data_line(data), *model_lines(settings["models"])]
        text = f"text: {data['title_rule']}; {data['id_rule']}; {settings['similarity']}; ties: {settings['ties']}"
        lines.append(text)
        if settings.get("recommendation"):
            lines.append(f"recommendation: {settings['recommendation']}")
        lines += settings.get("adaptors", [])
        for key in ("towers", "late_interaction", "late_fusion", "cost"):
            if settings.get(key):
                lines.append(f"{key.replace('_', ' ')}: {settings[key]}")
        lines += statistics_lines(settings)
        lines += [
            f"published {metric_title(self.metric)} of {row.encoder}: {row.published:.5f} "
            f"(here {self.score_of(row):.5f})"
            for row in self.rows
            if row.published is not None
        ]
        return lines + self.warnings()

    def _curve_lines(self) -> list[str]:
        """Return one spark line per model, pooling and adaptor."""
        points = []
        for row in self.rows:
            if row.layer is not None and row.series and not row.is_compressed:
                labels = "" if row.labels == "none" else f" ({row.labels})"
                more = f" {row.adaptor}{labels} {row.dim}" if row.adaptor else ""
                points.append((row.series + more, row.layer, self.score_of(row)))
        return curve_lines(sorted(points, key=lambda point: point[0]))

    def warnings(self) -> list[str]:
        """Return the warnings."""
        lines = super().warnings()
        if any(row.collapsed for row in self.rows):
            names = ", ".join(row.encoder for row in self.rows if row.collapsed)
            lines.append(
                f"collapsed: all documents have the same vector or scores there, so that every score ties: {names}"
            )
        if any(row.transductive for row in self.rows):
            lines.append(_describe_transductive(self.rows))
        if self.settings["dataset"]["queries"] < 2:
            lines.append("a single query: no interval and no test is possible")
        return lines


def score_column(metric: str, drop: int) -> Column:
    """Return the column of a metric."""
    return Column(metric_title(metric), lambda row: f"{row.scores[metric]:.4f}", drop=drop, key=metric)


def show_parameters(row: Row) -> str:
    """Return the number of parameters in millions."""
    return EMPTY if row.parameters is None else f"{row.parameters / 1e6:.1f}M"


def _show_bits(row: Row) -> str:
    """Return the bits of documents, and those of queries or the factor of re-ranking where there is one."""
    if row.bits is None:
        return EMPTY
    queries = f"/{row.query_bits}" if row.query_bits not in (None, FLOAT_BITS) else ""
    return f"{'mixed' if row.mixed else f'{row.bits:g}'}{queries}{f' r{row.rescore}' if row.rescore else ''}"


def _show_compression(row: Row) -> str:
    return EMPTY if row.compression is None else f"{row.compression:.3g}x"


def _against_pca(row: Row) -> str:
    return EMPTY if row.pca_delta is None else f"{show_number(row.pca_delta, '+.4f')} {show_p_value(row.pca_p_value)}"


def show_retention(row: Row) -> str:
    """Return the shares of the scores of both models that a map keeps, with the p-values of their differences."""
    if row.retention is None:
        return EMPTY
    return ", ".join(f"{show_number(one.share, '.1%')} {show_p_value(one.p_value)}" for one in row.retention)


def describe_ranks(marked: Sequence[Row], count: int) -> str:
    """Return some rows of a table by their ranks, runs joined: `rows 1, 3–5 of 9`."""
    if len(marked) == count:
        return "all rows"
    runs: list[list[int]] = []
    for rank in sorted(row.rank for row in marked):
        if runs and runs[-1][-1] == rank - 1:
            runs[-1].append(rank)
        else:
            runs.append([rank])
    shown = ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
    return f"{'rows' if len(marked) > 1 else 'row'} {shown} of {count}"


def _describe_transductive(rows: Sequence[Row]) -> str:
    marked = [row for row in rows if row.transductive]
    labels = "relevance labels" if all(row.labels == "none" for row in marked) else "the labels of these queries"
    count = f"transductive ({describe_ranks(marked, len(rows))})"
    return f"{count}: fitted on these same documents (not on {labels}); expect less on documents added later"
