"""The geometry of layers: a row per layer and pooling, and how alike the layers are."""

from dataclasses import dataclass
from typing import Any, ClassVar

from probe.results.formats import model_lines, retrieval_data_line, series_name, show_number, show_sparks
from probe.results.grids import Grid, cka_grids
from probe.results.result import Column, Result

__all__ = ["GeometryResult", "GeometryRow"]

_AXES = 12
_READING = (
    "mean cos: over all pairs of texts, 1 = all point one way; eff. rank: exponential of the entropy of the singular "
    "values' shares (Roy and Vetterli); top axis: share of the first principal axis, uncentred; norm: mean ± standard "
    "deviation, as pooled",
    "alignment: mean squared distance of judged pairs, uniformity: log mean exp(-2 distance²) (Wang and Isola), both "
    "of vectors of length 1; dominant: dimensions, from 0, with their share of the mean cosine; spectrum: 12 axes",
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
        alignment: Mean squared distance of judged pairs, None where none is judged.
        uniformity: Log of the mean of exp(-2 distance^2).
        dominant: Dimensions that make up most of the mean cosine, with their shares.
        spectrum: Shares of the principal axes, largest first.
        collapsed: Whether all vectors are equal.
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


_COLUMNS = [
    Column("encoder", lambda row: row.encoder + (" collapsed" if row.collapsed else ""), left=True),
    Column("dim", lambda row: str(row.dim)),
    Column("mean cos", lambda row: f"{row.mean_cosine:.3f}"),
    Column("eff. rank", lambda row: f"{row.effective_rank:.1f}"),
    Column("top axis", lambda row: f"{row.top_share:.3f}"),
    Column("norm", lambda row: f"{row.norm:.2f} ± {row.norm_deviation:.2f}"),
    Column("alignment", lambda row: show_number(row.alignment, ".3f")),
    Column("uniformity", lambda row: f"{row.uniformity:.2f}"),
    Column("dominant", lambda row: " ".join(f"{dim}:{share:.0%}" for dim, share in row.dominant), left=True),
    Column("spectrum", lambda row: show_sparks(row.spectrum[:_AXES], max(row.spectrum[0], 1e-12)), left=True),
]


@dataclass(frozen=True)
class GeometryResult(Result):
    """The geometry of any number of layers, and how alike they are.

    Attributes:
        rows: One per layer and pooling, models one after another, layers in order.
        cka: Linear CKA of every row with every row.
    """

    kind: ClassVar[str] = "geometry"

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
        """Return the data."""
        data = self.settings["dataset"]
        return f"geometry on {data['name']} ({data['split']})"

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return list(_COLUMNS)

    def grids(self) -> tuple[Grid, ...]:
        """Return one map of CKA per pair of models and poolings."""
        numbers = {row.encoder: number for number, row in enumerate(self.rows)}
        groups = {name: [(row.layer, numbers[row.encoder]) for row in rows] for name, rows in self.by_model().items()}
        return cka_grids(groups, self.cka)

    def notes(self) -> list[str]:
        """Return the footer: what was measured, how, and on what."""
        settings = self.settings
        sample = f"measured: {settings['sample']} documents, spread evenly, and {settings['pairs']} judged pairs"
        return [sample, *_READING, retrieval_data_line(settings["dataset"]), *model_lines(settings["models"])]
