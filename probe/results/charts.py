"""What a picture shows, as plain values: points with their intervals, curves, levels, Pareto fronts, maps of pairs."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.results.classification import MAJORITY, SHUFFLED, ClassificationResult
from probe.results.colours import tone_of
from probe.results.formats import round_steps, series_name
from probe.results.leaderboard import Leaderboard, Row
from probe.results.row import describe_bits
from probe.results.similarity import SimilarityResult

__all__ = [
    "COST",
    "Chart",
    "CostAxis",
    "Curve",
    "LabelledResult",
    "PairMap",
    "Point",
    "byte_curves",
    "chart_labelled",
    "chart_leaderboard",
    "cost_axis",
    "costs_differ",
    "curve_tones",
    "ladder_curves",
    "pareto_front",
]

LabelledResult = ClassificationResult | SimilarityResult

# Name of the axis of what an encoder costs.
COST = "operations per document, % of the baseline"

_CONTROLS = {MAJORITY: "majority-class baseline", SHUFFLED: "shuffled labels"}
# Costs below this share of the greatest are next to nothing: the embeddings alone, without a block.
_NOTHING = 1e-3
# From this ratio of the greatest to the least cost on, a logarithm shows both.
_WIDE = 3
# This many layers of a model make a curve; fewer are compared better one below the other.
_LEAST = 3


@dataclass(frozen=True)
class Point:
    """One number and what belongs to it.

    Attributes:
        name: The encoder.
        value: The number.
        position: Where it stands on the axis: a layer, a dimension; None where it has none.
        interval: Its 95 % interval.
        cost: Operations per document as a share of the baseline's, where known.
        adaptor: The kind of adaptor on top, if any.
        transductive: Whether a fit saw the corpus's text.
        collapsed: Whether all vectors are equal.
    """

    name: str
    value: float
    position: int | None = None
    interval: tuple[float, float] | None = None
    cost: float | None = None
    adaptor: str | None = None
    transductive: bool = False
    collapsed: bool = False


@dataclass(frozen=True)
class Curve:
    """Points joined by a line.

    Attributes:
        name: For the legend.
        family: Curves of one family share colour and marker, and differ in their lines.
        points: In the order of their positions.
        labels: Split whose relevance labels were used.
    """

    name: str
    family: str
    points: tuple[Point, ...]
    labels: str = "none"

    @property
    def is_adapted(self) -> bool:
        """Whether an adaptor is on top."""
        return any(point.adaptor is not None for point in self.points)


@dataclass(frozen=True)
class Chart:
    """The rows of a leaderboard, sorted by how they are drawn.

    Attributes:
        curves: Layers of a model, where there are several.
        singles: What makes no curve, best first.
    """

    curves: tuple[Curve, ...]
    singles: tuple[Point, ...]


@dataclass(frozen=True)
class PairMap:
    """Cosines of every row of one side with every row of the other; pairs stand on the diagonal.

    Attributes:
        before: `(B, B)`, before the training.
        after: `(B, B)`, after it.
        sides: What the rows are, and what the columns are.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    sides: tuple[str, str]


def curve_tones(curves: Sequence[Curve]) -> list[int]:
    """Return the index of every curve's colour: its family decides, and whether it is adapted."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    return [tone_of(families.index(curve.family), adapted=curve.is_adapted) for curve in curves]


def chart_leaderboard(result: Leaderboard, without: Container[str] = ()) -> Chart:
    """Sort the rows of a leaderboard into curves over layers and single points; `without` some encoders."""
    rows = [row for row in result.rows if row.encoder not in without and not row.is_compressed]
    families: dict[str, list[Row]] = {}
    for row in rows:
        families.setdefault(row.series, []).append(row)
    curved = {name: found for name, found in families.items() if name and len({row.layer for row in found}) >= _LEAST}
    curves = [curve for name, found in curved.items() for curve in _curves(name, found, result.metric)]
    singles = [_point(row, result.metric, None) for row in rows if row.series not in curved]
    return Chart(tuple(curves), tuple(singles))


def _curves(family: str, rows: Sequence[Row], metric: str) -> list[Curve]:
    kinds: dict[tuple[str, str, int | None], list[Row]] = {}
    for row in rows:
        kinds.setdefault(("", "", None) if row.adaptor is None else (row.adaptor, row.labels, row.dim), []).append(row)
    several = {kind for kind, _, dim in kinds if len({d for k, _, d in kinds if k == kind}) > 1}
    ordered = sorted(kinds.items(), key=lambda item: (item[0][:2], item[0][2] or 0))
    return [
        Curve(
            _curve_name(family, kind, labels, dim=dim if kind in several else None),
            family,
            _points(found, metric, "layer"),
        )
        for (kind, labels, dim), found in ordered
    ]


def _curve_name(family: str, adaptor: str, labels: str, *, dim: int | None) -> str:
    if not adaptor:
        return family
    judged = "" if labels == "none" else f", labels {labels}"
    return f"{family} with {adaptor}{judged}" + (f", {dim} dimensions" if dim else "")


def ladder_curves(rows: Iterable[Row], metric: str) -> tuple[Curve, ...]:
    """Return score against dimension of rows with an adaptor: a curve per kind and labels, those without first."""
    return _kind_curves((row for row in rows if row.adaptor and not row.is_compressed), metric, "dim")


def byte_curves(rows: Iterable[Row], metric: str) -> tuple[Curve, ...]:
    """Return score against bytes, a curve per bits, kind and labels; not of rows that are ranked again in float32."""
    stored = [row for row in rows if row.bytes is not None and not row.rescore]
    return _kind_curves(sorted(stored, key=lambda row: (bool(row.mixed), -(row.bits or 0))), metric, "bytes")


def _kind_curves(rows: Iterable[Row], metric: str, axis: str) -> tuple[Curve, ...]:
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        stored = describe_bits(row) if axis == "bytes" else ""
        kinds.setdefault((stored, row.adaptor or "no adaptor", row.labels), []).append(row)
    if axis == "dim":
        kinds = dict(sorted(kinds.items(), key=lambda item: (item[0][1], item[0][2] != "none", item[0][2])))
    return tuple(
        Curve(
            ", ".join(filter(None, [kind, stored, "" if labels == "none" else f"labels {labels}"])),
            stored or kind,
            _points(found, metric, axis),
            labels,
        )
        for (stored, kind, labels), found in kinds.items()
    )


def _points(rows: Iterable[Row], metric: str, axis: str) -> tuple[Point, ...]:
    return _in_order(_point(row, metric, getattr(row, axis)) for row in rows)


def _in_order(points: Iterable[Point]) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.position or 0))


def _point(row: Row, metric: str, position: int | None) -> Point:
    return Point(
        name=row.encoder if row.adaptor is None else f"{row.encoder} with {row.adaptor}, {row.dim} dimensions",
        value=row.scores[metric],
        position=position,
        interval=row.ci95,
        cost=row.cost,
        adaptor=row.adaptor,
        transductive=row.transductive,
        collapsed=row.collapsed,
    )


def chart_labelled(result: LabelledResult) -> Chart:
    """Sort the rows that have a number into curves over layers, and levels that mean nothing was learnt."""
    curves: dict[str, list[Point]] = {}
    levels = []
    for row in result.rows:
        control = getattr(row, "control", None)
        value, interval = result.score_of(row), result.interval_of(row)
        if value is None:
            continue
        if row.layer is None or control is not None:
            levels.append(Point(_CONTROLS.get(control or "", row.encoder), value, None, interval))
            continue
        point = Point(row.encoder, value, row.layer, interval, collapsed=row.collapsed)
        curves.setdefault(series_name(row.encoder, row.pooling), []).append(point)
    return Chart(tuple(Curve(name, name, _in_order(points)) for name, points in curves.items()), tuple(levels))


def pareto_front(points: Sequence[tuple[float, float]]) -> tuple[int, ...]:
    """Return which points are not dominated.

    A point is dominated where another costs no more and scores no less, and differs in one of the two. Points that are
    equal in both do not dominate each other: all of them are on the front, or none.

    Args:
        points: Cost and score of each.

    Returns:
        Their numbers, the cheapest first; of equal ones in the order given.
    """
    front: list[int] = []
    for number in sorted(range(len(points)), key=lambda number: (points[number][0], -points[number][1])):
        best = points[front[-1]] if front else None
        if best is None or points[number][1] > best[1] or points[number] == best:
            front.append(number)
    return tuple(front)


@dataclass(frozen=True)
class CostAxis:
    """Positions of costs on an axis.

    Attributes:
        least: The smallest cost with a position of its own.
        edge: The position of smaller ones, left of it.
        logarithmic: Whether equal steps are equal factors.
        ticks: Positions with their labels; none on a linear axis.
    """

    least: float
    edge: float
    logarithmic: bool
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def title(self) -> str:
        """Name of the axis."""
        return f"{COST} (log)" if self.logarithmic else COST

    def place(self, cost: float) -> float:
        """Return the position of a cost."""
        return cost if cost >= self.least else self.edge


def costs_differ(costs: Iterable[float | None]) -> bool:
    """Return whether known costs differ by at least a hundredth of the baseline's."""
    return len({round(cost, 2) for cost in costs if cost is not None}) > 1


def cost_axis(costs: Sequence[float]) -> CostAxis:
    """Return the axis for some costs, logarithmic where they are far apart.

    Args:
        costs: At least one; those next to nothing share the left end of a logarithmic axis.
    """
    top = max(costs)
    priced = [cost for cost in costs if cost > _NOTHING * top]
    least = min(priced, default=0.0)
    if not priced or top / least < _WIDE:
        return CostAxis(min(costs), min(costs), logarithmic=False)
    if len(priced) == len(costs):
        return CostAxis(least, least, True, _cost_ticks(least, top))
    edge = least / 2
    return CostAxis(least, edge, True, ((edge, "≈ 0"), *_cost_ticks(least, top)))


def _cost_ticks(least: float, top: float) -> tuple[tuple[float, str], ...]:
    return tuple((cost, f"{100 * cost:,.10g}") for cost in round_steps(least, top))
