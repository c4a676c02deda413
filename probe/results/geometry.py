"""The geometry of layers: a row per layer and pooling, and how alike the layers are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from probe.results.formats import (
    brief_model_line,
    model_lines,
    retrieval_data_line,
    series_name,
    show_number,
    show_sparks,
)
from probe.results.result import Column, Result
from probe.results.row import Grid, cka_grids

__all__ = ["MEASURES", "GeometryMatrix", "GeometryResult", "GeometryRow"]

_AXES = 12
_DIRECTIONS = "↑ higher, ↓ lower: usually better for retrieval, which `probe layers` measures"
_READING = (
    "mean cos: over all pairs of texts, 1 = all point one way; eff. rank: exponential of the entropy of the singular "
    "values' shares (Roy and Vetterli); top axis: share of the first principal axis, uncentred; norm: mean ± standard "
    "deviation, as pooled",
    "alignment: mean squared distance of queries and their relevant documents, uniformity: log mean exp(-2 distance²) "
    "(Wang and Isola), both of vectors of length 1; dominant: dimensions, from 0, with their share of the mean cosine; "
    "spectrum: 12 axes",
    "CKA: linear, centred (Kornblith et al.); 1 = alike up to rotation, scale and shift",
)


@dataclass(frozen=True)
class GeometryRow:
    """One layer and pooling.

    Attributes:
        encoder: The full spec.
        layer: Its layer.
        pooling: Its pooling.
        dim: Dimension D.
        mean_cosine: Over all pairs of texts: anisotropy.
        effective_rank: Exponential of the entropy of the singular values' shares.
        top_share: Share of the first principal axis in the energy.
        norm: Mean length of the vectors as pooled.
        norm_deviation: Standard deviation of that.
        alignment: Mean squared distance of queries and their relevant documents; None without any.
        uniformity: Log of the mean of exp(-2 distance^2).
        dominant: Dimensions that make up most of the mean cosine, with their shares.
        spectrum: Shares of the principal axes, largest first.
        collapsed: Whether all vectors are equal.
        datasets: Its row on every data set, by name, where the measures are means over several.
    """

    encoder: str
    layer: int
    pooling: str
    dim: int
    mean_cosine: float
    effective_rank: float
    top_share: float
    norm: float
    norm_deviation: float
    alignment: float | None
    uniformity: float
    dominant: tuple[tuple[int, float], ...]
    spectrum: tuple[float, ...]
    collapsed: bool
    datasets: dict[str, "GeometryRow"] | None = None


_COLUMNS = [
    Column("encoder", lambda row: row.encoder + (" collapsed" if row.collapsed else ""), left=True),
    Column("dim", lambda row: str(row.dim), drop=4, label="dim"),
    Column("mean cos ↓", lambda row: f"{row.mean_cosine:.3f}", key="mean_cosine"),
    Column("eff. rank ↑", lambda row: f"{row.effective_rank:.1f}", drop=1, key="effective_rank"),
    Column("top axis ↓", lambda row: f"{row.top_share:.3f}", drop=3, key="top_axis"),
    Column("norm", lambda row: f"{row.norm:.2f} ± {row.norm_deviation:.2f}", drop=5),
    Column("alignment ↓", lambda row: show_number(row.alignment, ".3f"), drop=2, key="alignment"),
    Column("uniformity ↓", lambda row: f"{row.uniformity:.2f}", drop=2, key="uniformity"),
    Column("dominant", lambda row: " ".join(f"{dim}:{share:.0%}" for dim, share in row.dominant), left=True, drop=7),
    Column("spectrum", lambda row: show_sparks(row.spectrum[:_AXES], max(row.spectrum[0], 1e-12)), left=True, drop=6),
]
# Dominant dimensions and spectra have no mean.
_MEANS = tuple(column.name for column in _COLUMNS if column.name not in ("dominant", "spectrum"))


@dataclass(frozen=True, repr=False)
class GeometryResult(Result):
    """The geometry of any number of layers, and how alike they are.

    Attributes:
        rows: One per layer and pooling, models one after another, layers in order.
        cka: Linear CKA of every row with every row.
    """

    kind: ClassVar[str] = "geometry"
    column_names: ClassVar[tuple[str, ...]] = tuple(column.name for column in _COLUMNS)

    rows: tuple[GeometryRow, ...]
    cka: tuple[tuple[float, ...], ...]

    def by_model(self) -> dict[str, list[GeometryRow]]:
        """Return the rows of every model and pooling, in their order."""
        groups: dict[str, list[GeometryRow]] = {}
        for row in self.rows:
            groups.setdefault(series_name(row.encoder, row.pooling), []).append(row)
        return groups

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in the JSON form's order."""
        return {**super().to_dict(), "cka": self.cka}

    def title(self) -> str:
        """Return the data, and whether they are made up."""
        return f"geometry on {super().title()}"

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return list(_COLUMNS)

    def grids(self) -> tuple[Grid, ...]:
        """Return one map of CKA per pair of models and poolings."""
        numbers = {row.encoder: number for number, row in enumerate(self.rows)}
        groups = {name: [(row.layer, numbers[row.encoder]) for row in rows] for name, rows in self.by_model().items()}
        return cka_grids(groups, self.cka)

    def verdict(self) -> str:
        """Return the least and the most anisotropic layer of every model."""
        return "; ".join(_judge_spread(name, rows) for name, rows in self.by_model().items()) + "."

    def warnings(self) -> list[str]:
        """Return the defects of the data, and the rows whose vectors are all equal."""
        collapsed = ", ".join(row.encoder for row in self.rows if row.collapsed)
        return [*super().warnings(), *([f"collapsed: all vectors are equal at {collapsed}"] if collapsed else [])]

    def brief(self) -> list[str]:
        """Return how to read the table, and what decided the numbers."""
        settings = self.settings
        counts = f"{settings['sample']} of {settings['dataset']['documents']} documents"
        data = f"data: {counts}, {settings['pairs']} relevant pairs"
        return [_DIRECTIONS, brief_model_line(settings["models"]), data]

    def notes(self) -> list[str]:
        """Return the footer: what was measured, how, and on what."""
        settings = self.settings
        pairs = f"{settings['pairs']} queries with a relevant document"
        sample = f"measured: {settings['sample']} documents, spread evenly, and {pairs}"
        lines = [sample, _DIRECTIONS, *_READING, retrieval_data_line(settings["dataset"])]
        return [*lines, *model_lines(settings["models"]), *self.warnings()]


def _judge_spread(name: str, rows: Sequence[GeometryRow]) -> str:
    """Return the least and the most anisotropic layer of one model."""
    known = sorted((row for row in rows if not row.collapsed), key=lambda row: row.mean_cosine)
    if not known:
        return f"{name}: all vectors of every layer are equal"
    least, most = known[0], known[-1]
    words = f"{name} is least anisotropic at layer {least.layer} (mean cosine {_describe_spread(least)} of {least.dim})"
    return words if least is most else f"{words}, most at layer {most.layer} ({_describe_spread(most)})"


def _describe_spread(row: GeometryRow) -> str:
    return f"{row.mean_cosine:.2f}, effective rank {row.effective_rank:.0f}"


@dataclass(frozen=True, repr=False)
class GeometryMatrix(GeometryResult):
    """The geometry of layers on several data sets: means, with the measures on every data set inside.

    Attributes:
        set_cka: Linear CKA of every row with every row, by data set; `cka` is the mean.
    """

    column_names: ClassVar[tuple[str, ...]] = _MEANS

    set_cka: dict[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    @staticmethod
    def names_on(name: str) -> tuple[str, ...]:
        """Return the names of the columns of a data set."""
        return tuple(column.name for column in _set_columns(name))

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets, in the order they were given."""
        return tuple(self.settings["datasets"])

    def single(self, name: str) -> GeometryResult:
        """Return the result of one data set, as if it had been measured alone."""
        rows = tuple(_row_on(row, name) for row in self.rows)
        return GeometryResult(self.command, self.created, self.settings["datasets"][name], rows, self.set_cka[name])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `datasets` names the data sets, and every row has its row on each of them."""
        return {**super().to_dict(), "set_cka": self.set_cka, "datasets": list(self.datasets)}

    def columns(self) -> list[Column]:
        """Return the columns of the means, then the anisotropy and the rank on every data set."""
        means = [column for column in _COLUMNS if column.name in _MEANS]
        return [*means, *(column for name in self.datasets for column in _set_columns(name))]

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting: the means, then the measures on every data set."""
        flat = super().flat_rows()
        for line, row in zip(flat, self.rows, strict=True):
            del line["datasets"]
            for name in self.datasets:
                line |= {f"{name} {measure}": getattr(_row_on(row, name), measure) for measure in MEASURES}
        return flat

    def title(self) -> str:
        """Return the data sets, and whether they are made up."""
        return f"{super().title()}: means over {len(self.datasets)} data sets"

    def cautions(self) -> list[str]:
        """Return all that makes the numbers mean less than they seem to, by data set."""
        left_out: list[str] = self.settings.get("left_out", [])
        return [*left_out, *(f"{name}: {line}" for name in self.datasets for line in self.single(name).cautions())]

    def brief(self) -> list[str]:
        """Return how to read the table, and what decided the numbers."""
        several = self.settings["datasets"].values()
        counts = " + ".join(f"{one['sample']:,}" for one in several)
        pairs = " + ".join(f"{one['pairs']:,}" for one in several)
        data = f"data: {counts} documents, {pairs} relevant pairs; a data set's own column: mean cosine"
        return [_DIRECTIONS, brief_model_line(self.settings["models"]), data]

    def notes(self) -> list[str]:
        """Return the footer of every data set, with what they have in common once."""
        notes = dict.fromkeys(line for name in self.datasets for line in self.single(name).notes())
        return [*self.settings.get("left_out", []), *notes]


# Measures of a row that have a mean over data sets.
MEASURES = (*("mean_cosine", "effective_rank", "top_share", "norm", "norm_deviation", "alignment", "uniformity"),)


def _row_on(row: GeometryRow, name: str) -> GeometryRow:
    return (row.datasets or {})[name]


def _set_columns(name: str) -> list[Column]:
    """Return the columns of a data set; all but its anisotropy leave a narrow table."""
    key = name.lower()
    return [
        Column(name, lambda row: f"{_row_on(row, name).mean_cosine:.3f}", key=key, wraps=True),
        Column("rank", lambda row: f"{_row_on(row, name).effective_rank:.1f}", drop=8, key=f"effective_rank:{key}"),
        Column("align.", lambda row: show_number(_row_on(row, name).alignment, ".3f"), drop=9, key=f"alignment:{key}"),
        Column("unif.", lambda row: f"{_row_on(row, name).uniformity:.2f}", drop=9, key=f"uniformity:{key}"),
    ]
