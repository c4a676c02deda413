"""The leaderboard: encoders ranked by their scores, as values, JSON, CSV, Markdown and text."""

import csv
import io
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from probe.results.formats import (
    curve_lines,
    join_marks,
    metric_title,
    model_lines,
    retrieval_data_line,
    series_name,
    show_bar,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.results.grids import Grid, Reading, fusion_grids
from probe.results.query_examples import Examples
from probe.results.result import Column, Result

__all__ = ["PCA", "Leaderboard", "Row"]

# The kind of adaptor that every other has to beat.
PCA = "pca"


@dataclass(frozen=True)
class Row:
    """One encoder in a leaderboard; what does not apply is None.

    Attributes:
        rank: 1 for the best.
        encoder: Full spec, layer and pooling written out, or a saved folder's path.
        layer: The `hidden_states` index.
        pooling: The pooling.
        dim: Dimension of the vectors.
        adaptor: Kind of adaptor on top.
        labels: `none`, or the splits or files whose judgements were used, by what is on top or by the weights below it.
        transductive: Whether a fit or a training saw the test corpus's text.
        scores: Mean over judged queries, per metric.
        ci95: 95 % interval of the leaderboard's metric.
        delta: Difference to the baseline.
        p_value: Of a paired test against the baseline, not corrected.
        published: The score others published for this.
        collapsed: Whether all vectors are equal, so that every ranking is a tie.
        cost: Operations per document as a share of the baseline's: 0.5 is half as dear.
        ms_per_text: Milliseconds per document up to this layer, where all rows were timed side by side in this run.
        parameters: Parameters up to this layer.
        fit_seconds: Time to fit the adaptor.
        pca_delta: Difference to PCA at the same dimension.
        pca_p_value: Of a paired test against that PCA.
        hookpoints: All that the encoder reads.
        note: What there is to be said of it, as under a table.
    """

    rank: int
    encoder: str
    layer: int | None = None
    pooling: str | None = None
    dim: int | None = None
    adaptor: str | None = None
    labels: str = "none"
    transductive: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    ci95: tuple[float, float] | None = None
    delta: float | None = None
    p_value: float | None = None
    published: float | None = None
    collapsed: bool = False
    cost: float | None = None
    ms_per_text: float | None = None
    parameters: int | None = None
    fit_seconds: float | None = None
    pca_delta: float | None = None
    pca_p_value: float | None = None
    hookpoints: tuple[Reading, ...] = ()
    note: str | None = None

    @property
    def series(self) -> str:
        """What the layers of its model under its pooling have in common; nothing where it has no layer."""
        if self.layer is None or self.pooling is None:
            return ""
        alone = self.hookpoints[0] if len(self.hookpoints) == 1 else None
        own = next((point for point in self.hookpoints if point.spec == self.encoder), alone)
        return own.series if own else series_name(self.encoder, self.pooling)


_ADAPTOR_COLUMNS = [
    Column("adaptor", lambda row: row.adaptor or "–", left=True),
    Column("labels", lambda row: row.labels if row.adaptor or row.labels != "none" else "–", left=True, drop=1),
    Column("fit s", lambda row: show_number(row.fit_seconds, ".1f"), drop=5),
]


@dataclass(frozen=True)
class Leaderboard(Result):
    """Ranked rows and everything that decided them.

    Attributes:
        rows: Best first.
        examples: Queries to look at, where they were asked for.
    """

    kind: ClassVar[str] = "leaderboard"

    rows: tuple[Row, ...]
    examples: Examples | None = None

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
        """Return the rows, each with all that is to be said of it."""
        return [replace(row, note=self.note_of(row)) for row in self.rows]

    def note_of(self, row: Row) -> str | None:
        """Return what is to be said of a row, as `baseline, transductive`; None where there is nothing."""
        said = row.note.split("; ") if row.note else []
        return "; ".join(dict.fromkeys(part for part in [self._marks(row), *said] if part)) or None

    def to_csv(self) -> str:
        """Return the rows as CSV, one column per metric; data set and split stand in every row."""
        out = io.StringIO()
        table = self.flat_rows()
        writer = csv.DictWriter(out, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        return out.getvalue()

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting: one column per metric, and the data set in every row."""
        data = {f"dataset_{key}": self.settings["dataset"][key] for key in ("name", "split", "synthetic")}
        return [{**_flatten(row), **data} for row in self._noted()]

    def to_markdown(self) -> str:
        """Return the table and its footer as Markdown."""
        header, cells = self.cells()
        cells = [[*line[:-1], self.note_of(row) or ""] for line, row in zip(cells, self.rows, strict=True)]
        lines = [header, ["---"] * len(header), *cells]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return table + "\n\n" + "\n".join(f"- {line}" for line in self.notes()) + "\n"

    def render(self, format: str) -> str:
        """Return the leaderboard as `json`, `csv` or `markdown`."""
        return {"json": self.to_json, "csv": self.to_csv, "markdown": self.to_markdown}[format]()

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        top = max((self.score_of(row) for row in self.rows), default=0.0)
        starred = significant(self.rows)
        adapted = any(row.adaptor is not None or row.labels != "none" for row in self.rows)
        against_pca = any(row.pca_delta is not None for row in self.rows)
        return [
            Column("#", lambda row: str(row.rank)),
            Column("encoder", lambda row: row.encoder, left=True),
            *(_ADAPTOR_COLUMNS if adapted else []),
            *([Column("Δ pca, p", _against_pca, drop=1)] if against_pca else []),
            Column("dim", lambda row: show_number(row.dim, "d"), drop=0 if adapted else 8),
            _score_column(self.metric, drop=0),
            Column("95 %", lambda row: show_interval(row.ci95), drop=3),
            Column("Δ base", lambda row: show_number(row.delta, "+.4f"), drop=2),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in starred), drop=2),
            *(_score_column(name, drop=6) for name in self.settings["metrics"] if name != self.metric),
            Column("curve", lambda row: show_bar(self.score_of(row), top), left=True, drop=7),
            Column("cost", lambda row: show_number(row.cost, ".0%"), drop=4),
            Column("params", lambda row: "–" if row.parameters is None else f"{row.parameters / 1e6:.1f}M", drop=5),
            Column("note", self._marks, left=True, drop=1),
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
        frozen = [row for row in self.rows if row.adaptor is None]
        return fusion_grids([(row.encoder, row.hookpoints, self.score_of(row)) for row in frozen], self.metric)

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
            if row.layer is not None and row.series:
                labels = "" if row.labels == "none" else f" ({row.labels})"
                more = f" {row.adaptor}{labels} {row.dim}" if row.adaptor else ""
                points.append((row.series + more, row.layer, self.score_of(row)))
        return curve_lines(sorted(points, key=lambda point: point[0]))

    def warnings(self) -> list[str]:
        """Return the warnings."""
        lines = [f"data defect: {defect}" for defect in self.settings["dataset"]["defects"]]
        if any(row.collapsed for row in self.rows):
            names = ", ".join(row.encoder for row in self.rows if row.collapsed)
            lines.append(
                f"collapsed: all documents have the same vector or scores there, so that every score ties: {names}"
            )
        if any(row.transductive for row in self.rows):
            lines.append("transductive: fitted on the text of the corpus it is scored on (never on its judgements)")
        if self.settings["dataset"]["queries"] < 2:
            lines.append("a single query: no interval and no test are possible")
        return lines


def _score_column(metric: str, drop: int) -> Column:
    return Column(metric_title(metric), lambda row: f"{row.scores[metric]:.4f}", drop=drop)


def _against_pca(row: Row) -> str:
    return "–" if row.pca_delta is None else f"{row.pca_delta:+.4f} {show_p_value(row.pca_p_value)}"


def _flatten(row: Row) -> dict[str, Any]:
    """Return a row's values with a column per metric and per end of the interval."""
    low, high = row.ci95 or (None, None)
    nested: dict[str, dict[str, Any]] = {
        "scores": row.scores,
        "ci95": {"ci95_low": low, "ci95_high": high},
        "hookpoints": {"hookpoints": " ".join(point.spec for point in row.hookpoints)},
    }
    values = asdict(row).items()
    return {key: value for name, cell in values for key, value in nested.get(name, {name: cell}).items()}
