"""The leaderboard: ranked rows with scores. Data first; every rendering is a method."""

import csv
import io
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from probe.board import board_dict
from probe.examples import Examples
from probe.notebook import NotebookViews

__all__ = ["Leaderboard", "Row"]

# Differ from run to run on one machine; everything else does not.
TIMINGS = ("ms_per_text", "fit_seconds")


@dataclass(frozen=True)
class Row:
    """One encoder's place in a leaderboard; what does not apply is None.

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
        ms_per_text: Milliseconds per document up to this layer.
        parameters: Parameters up to this layer.
        fit_seconds: Time to fit the adaptor.
        pca_delta: Difference to PCA at the same dimension.
        pca_p_value: Of a paired test against that PCA.
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
    ms_per_text: float | None = None
    parameters: int | None = None
    fit_seconds: float | None = None
    pca_delta: float | None = None
    pca_p_value: float | None = None


@dataclass(frozen=True)
class Leaderboard(NotebookViews):
    """Ranked rows and everything that decided them.

    Attributes:
        command: The command line, or the call, that made it.
        created: When, in ISO 8601.
        settings: Everything of the footer.
        rows: Best first.
        examples: Queries to look at, where they were asked for.
    """

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[Row, ...]
    examples: Examples | None = None

    @property
    def metric(self) -> str:
        """The metric the rows are ranked by."""
        return str(self.settings["metric"])

    def to_dict(self) -> dict[str, Any]:
        """Return the leaderboard as plain values, in the JSON form's order."""
        return {**board_dict("leaderboard", self), "examples": asdict(self.examples) if self.examples else None}

    def to_json(self) -> str:
        """Return the leaderboard as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return the rows as CSV, one column per metric; data set and split stand in every row."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        table = self.flat_rows()
        writer.writerow(table[0])
        writer.writerows([["" if value is None else value for value in row.values()] for row in table])
        return out.getvalue()

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting: one column per metric, and the data set in every row."""
        data = {f"dataset_{key}": self.settings["dataset"][key] for key in ("name", "split", "synthetic")}
        return [{**_flatten(row), **data} for row in self.rows]

    def to_markdown(self) -> str:
        """Return the table and its footer as Markdown."""
        from probe.render import footer_lines, table_cells

        header, cells = table_cells(self)
        lines = [header, ["---"] * len(header), *cells]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return table + "\n\n" + "\n".join(f"- {line}" for line in footer_lines(self)) + "\n"

    def render(self, format: str) -> str:
        """Return the leaderboard as `json`, `csv` or `markdown`."""
        return {"json": self.to_json, "csv": self.to_csv, "markdown": self.to_markdown}[format]()


def _flatten(row: Row) -> dict[str, Any]:
    """Return a row's values with a column per metric and per end of the interval."""
    low, high = row.ci95 or (None, None)
    nested: dict[str, dict[str, Any]] = {"scores": row.scores, "ci95": {"ci95_low": low, "ci95_high": high}}
    values = asdict(row).items()
    return {key: value for name, cell in values for key, value in nested.get(name, {name: cell}).items()}
