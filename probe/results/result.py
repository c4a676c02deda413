"""The base of every result: rows and all that decided them, as JSON, CSV, Markdown, data frame, HTML and text."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console

from probe.io.html_table import import_pandas, render_table
from probe.results.console import Column, View, check_columns, print_result
from probe.results.formats import EMPTY
from probe.results.row import Grid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "Column", "Result", "result_payload"]

SCHEMA = 1

# Width of the table that Python prints.
_WIDTH = 100
# Defects that are named below a table; the others are counted.
_MOST_DEFECTS = 2


def result_payload(
    kind: str, command: str, created: str, *, settings: dict[str, Any], rows: Iterable[Any]
) -> dict[str, Any]:
    """Return plain values under the head that the JSON of every result begins with."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "command": command,
        "created": created,
        "settings": settings,
        "rows": [asdict(row) for row in rows],
    }


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a command; a kind of result adds the type of its rows and their columns.

    Attributes:
        command: The command line, or the call, that made it.
        created: When, in ISO 8601.
        settings: Everything of the footer.
        rows: Frozen dataclasses, in the order of the table.
    """

    kind: ClassVar[str]
    # What is made up where the data set is synthetic.
    made_up: ClassVar[str] = "queries"
    # What `--columns` may name; a metric by its own name as well.
    column_names: ClassVar[tuple[str, ...]] = ()

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[Any, ...]

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        raise NotImplementedError

    def verdict(self) -> str:
        """Return in one or two sentences what the rows show, and no more than they show."""
        raise NotImplementedError

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines at most."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers, and how to read them."""
        raise NotImplementedError

    def conclusions(self) -> list[str]:
        """Return the verdict, and what else was asked for."""
        return [self.verdict()]

    def warnings(self) -> list[str]:
        """Return the warnings that the footer ends with."""
        return [f"data defect: {defect}" for defect in self.settings["dataset"]["defects"]]

    def cautions(self) -> list[str]:
        """Return all that makes the numbers mean less than they seem to, in short; it is below every table."""
        data = self.settings["dataset"]
        lines = [f"synthetic {self.made_up} ({data['synthetic']})"] if data["synthetic"] else []
        lines += [_describe_limit(data)] if data["limited"] or data.get("whole_documents") else []
        lines += [_describe_cut(model) for model in self.settings["models"] if _count_cut(model)]
        warnings = self.warnings()
        defects = [line for line in warnings if line.startswith("data defect")]
        lines += defects[:_MOST_DEFECTS]
        if len(defects) > _MOST_DEFECTS:
            lines.append(f"{len(defects) - _MOST_DEFECTS} more data defects")
        return lines + [line for line in warnings if line not in defects]

    def title(self) -> str:
        """Return the data, and whether they are made up."""
        data = self.settings["dataset"]
        split = f" ({data['split']})" if "split" in data else ""
        return f"{data['name']}{split}{f' · synthetic {self.made_up}' if data['synthetic'] else ''}"

    def cells(self, columns: Sequence[str] = ()) -> tuple[list[str], list[list[str]]]:
        """Return the header and the cells of every row, as text; of all columns, or those of these names.

        Raises:
            CallError: There is no column of such a name.
        """
        chosen = self._choose(columns)
        cells = [[column.cell(row).strip() for column in chosen] for row in self.rows]
        return [column.title for column in chosen], cells

    def _choose(self, columns: Sequence[str]) -> list[Column]:
        """Return all columns, or those of these names."""
        known = self.columns()
        named = {column.name: column for column in known}
        check_columns(columns, named)
        return [named[name] for name in columns] or known

    def _shown(self, columns: Sequence[str]) -> tuple[list[str], list[bool], list[list[str]]]:
        """Return header, sides and cells of the columns asked for, or else of all that have a value in some row.

        Between header and cells is whether each column is set flush left.
        """
        chosen = self._choose(columns)
        header, cells = self.cells(columns)
        kept = [place for place in range(len(header)) if columns or {line[place] for line in cells} - {"", EMPTY}]
        left = [chosen[place].left for place in kept]
        return [header[place] for place in kept], left, [[line[place] for place in kept] for line in cells]

    def grids(self) -> tuple[Grid, ...]:
        """Return the maps that belong to the table."""
        return ()

    def emphasized(self) -> Collection[int]:
        """Return the indices of the rows that stand out."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in the order of the JSON form; every key of a row is there, null where it is None."""
        payload = result_payload(self.kind, self.command, self.created, settings=self.settings, rows=self.rows)
        return {**payload, "verdict": self.verdict()}

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting, as CSV and data frames have them; the data set stands in every row."""
        known = self.settings["dataset"]
        data = {f"dataset_{key}": known[key] for key in ("name", "split", "synthetic") if key in known}
        return [{**_flatten(asdict(row)), **data} for row in self.rows]

    def to_csv(self) -> str:
        """Return the rows as CSV, with every value of a row; the data set stands in every row."""
        out = io.StringIO()
        table = self.flat_rows()
        writer = csv.DictWriter(out, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        return out.getvalue()

    def to_markdown(self, columns: Sequence[str] = ()) -> str:
        """Return the table, its verdict and its footer as Markdown.

        Args:
            columns: Names of its columns; all that have a value in some row when left out.

        Raises:
            CallError: There is no column of such a name.
        """
        header, left, cells = self._shown(columns)
        lines = [header, ["---" if flush else "---:" for flush in left], *cells]
        table = "\n".join(f"|{'|'.join(map(_pad_cell, line))}|" for line in lines)
        words = "\n\n".join(self.conclusions())
        return f"{table}\n\n{words}\n\n" + "\n".join(f"- {line}" for line in self.notes()) + "\n"

    def render(self, format: str, columns: Sequence[str] = ()) -> str:
        """Return it as `json`, `csv` or `markdown`; the columns are those of the Markdown table."""
        if format == "markdown":
            return self.to_markdown(columns)
        return {"json": self.to_json, "csv": self.to_csv}[format]()

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, numbers as numbers; its columns are those of the CSV.

        Raises:
            CallError: pandas is not installed.
        """
        frame: pd.DataFrame = import_pandas().DataFrame(self.flat_rows())
        return frame.convert_dtypes()

    def __repr__(self) -> str:
        """Return the table, its verdict and what decided it, as text."""
        out = io.StringIO()
        view = View(all_settings=".notes()", all_columns=".to_pandas() has all")
        print_result(self, Console(file=out, width=_WIDTH, color_system=None, highlight=False), view)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    def _repr_html_(self) -> str:
        """Return the table and its footer as HTML."""
        about = "Everything that decided these numbers"
        header, left, cells = self._shown(())
        notes = [*self.conclusions(), *self.notes()]
        return render_table(self.title(), header, cells, about=about, notes=notes, left=left)


def _flatten(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row's values with two columns per interval, and other sequences as numbers with spaces."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name.endswith("ci95"):
            flat |= dict(zip((f"{name}_low", f"{name}_high"), value or (None, None), strict=True))
        else:
            flat[name] = " ".join(map(_join, value)) if isinstance(value, list | tuple) else value
    return flat


def _pad_cell(text: str) -> str:
    """Return a cell of a Markdown table between spaces; an empty one is a single space."""
    return f" {text} ".replace("|", r"\|") if text else " "


def _join(value: Any) -> str:
    return ":".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _describe_limit(data: dict[str, Any]) -> str:
    if data.get("whole_documents"):
        counts = [f"{data[side]:,} of {data[f'whole_{side}']:,} {side}" for side in ("documents", "queries")]
        fewer = ": scores are higher than on the whole corpus" if data["limited"] else ""
        return f"limited to {' and '.join(counts)}{fewer}"
    if "documents" in data:
        return f"limited to {data['documents']} documents: scores are higher than on the whole corpus"
    return "limited: a part of the texts"


def _count_cut(model: dict[str, Any]) -> int:
    return sum(model.get(f"truncated_{kind}", 0) for kind in ("documents", "queries", "texts"))


def _describe_cut(model: dict[str, Any]) -> str:
    kinds = [kind for kind in ("documents", "queries", "texts") if model.get(f"truncated_{kind}")]
    counts = " and ".join(f"{model[f'truncated_{kind}']} {kind}" for kind in kinds)
    return f"{model['name']}: {counts} truncated to {model['max_tokens']} tokens"
