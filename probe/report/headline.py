"""The headline of a result: its best encoder, the best for its price, and the cheapest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from probe.report.panels import NEUTRAL
from probe.results.charts import LabelledResult, chart_labelled, costs_differ
from probe.results.colours import tone_of
from probe.results.formats import metric_title, show_interval, show_share
from probe.results.leaderboard import Leaderboard, Row

__all__ = ["VALUE_SHARE", "Tile", "labelled_tiles", "leaderboard_tiles"]

# The cheapest encoder with this share of the best score is the best for its price.
VALUE_SHARE = 0.95
_VALUE = f"cheapest with at least {VALUE_SHARE:.0%} of the best score"
_NONE = f"nothing cheaper has {VALUE_SHARE:.0%} of its score"


@dataclass(frozen=True)
class Tile:
    """One number of the headline.

    Attributes:
        label: What is best about it.
        score: The number.
        measure: What the number is.
        name: The encoder.
        lines: What else is to be said of it.
        tone: Index of its colour.
    """

    label: str
    score: str
    measure: str
    name: str
    lines: tuple[str, ...]
    tone: int = 0


@dataclass(frozen=True)
class _Candidate:
    """An encoder with its score and its price, None where that is not known; what has no vectors is grey."""

    name: str
    score: float
    interval: tuple[float, float] | None
    price: float | None
    price_text: str
    marks: tuple[str, ...] = ()
    tone: int = 0
    width: int = 0

    def tile(self, label: str, measure: str, *more: str) -> Tile:
        """Return it as a tile."""
        interval = (f"95% CI {show_interval(self.interval)}",) if self.interval else ()
        price = (self.price_text,) if self.price_text else ()
        lines = (*price, *interval, *self.marks, *more)
        return Tile(label, f"{self.score:.4f}", measure, self.name, lines, self.tone)


def leaderboard_tiles(result: Leaderboard, measure: str = "") -> tuple[Tile, ...]:
    """Return the tiles of a leaderboard: cheap means few operations, or few dimensions where all cost the same.

    Args:
        result: The leaderboard.
        measure: What its scores are; its metric when left out.
    """
    rows = [row for row in result.rows if not row.collapsed]
    price, words = _price_of(rows)
    candidates = [
        _Candidate(
            name=_name(row),
            score=result.score_of(row),
            interval=row.ci95,
            price=price(row),
            price_text=words(row) if price(row) is not None else "",
            marks=_marks(row, result),
            width=row.dim or 0,
            tone=NEUTRAL if row.dim is None else tone_of(0, adapted=row.adaptor is not None),
        )
        for row in rows
    ]
    return _tiles(candidates, measure or metric_title(result.metric))


def _name(row: Row) -> str:
    return row.encoder if row.adaptor is None else f"{row.encoder} with {row.adaptor}"


def _marks(row: Row, result: Leaderboard) -> tuple[str, ...]:
    marks = {
        "this is the baseline": row.encoder == result.settings["baseline"] and row.delta is None,
        f"trained on the relevance labels of {row.labels}": row.labels != "none",
        "fitted on these same documents": row.transductive,
    }
    return tuple(mark for mark, holds in marks.items() if holds)


def _price_of(rows: Sequence[Row]) -> tuple[Callable[[Row], float | None], Callable[[Row], str]]:
    """Return what encoders differ in that costs something, and how it is said."""
    if costs_differ(row.cost for row in rows):
        return _round_cost, _describe_cost
    return (lambda row: row.dim), lambda row: f"{row.dim} dimensions"


def _round_cost(row: Row) -> float | None:
    """Return the cost to a hundredth: an embedding layer with and without a lens costs next to nothing."""
    return None if row.cost is None else round(row.cost, 2)


def _describe_cost(row: Row) -> str:
    return f"{show_share(row.cost or 0)} of the baseline's operations"


def labelled_tiles(result: LabelledResult) -> tuple[Tile, ...]:
    """Return the tiles of probes on labelled texts: the fewer blocks, the cheaper."""
    candidates = [
        _Candidate(point.name, point.value, point.interval, point.position, f"layer {point.position}")
        for curve in chart_labelled(result).curves
        for point in curve.points
        if not point.collapsed
    ]
    return _tiles(candidates, result.measure)


def _tiles(candidates: Sequence[_Candidate], measure: str) -> tuple[Tile, ...]:
    if not candidates:
        return ()
    best = max(candidates, key=lambda one: one.score)
    tiles = [best.tile("Best quality", measure)]
    priced = [(one.price, one) for one in candidates if one.price is not None]
    if len({price for price, _ in priced}) > 1:
        top = max((one for _, one in priced), key=lambda one: one.score)
        # A share of a negative score would be more than the score.
        enough = top.score - (1 - VALUE_SHARE) * abs(top.score)
        value = _cheapest([entry for entry in priced if entry[1].score >= enough])
        reason = _VALUE if top is best else f"{_VALUE} with a known cost"
        tiles += [
            value.tile("Best value", measure, _NONE if value is top else reason),
            _cheapest(priced).tile("Cheapest", measure),
        ]
    return tuple(tiles)


def _cheapest(priced: Sequence[tuple[float, _Candidate]]) -> _Candidate:
    """Return the cheapest encoder; of equally cheap ones the shortest, then the best."""
    return min(priced, key=lambda entry: (entry[0], entry[1].width, -entry[1].score))[1]
