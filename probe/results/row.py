"""A row of a leaderboard, the hookpoints it reads, and grids of numbers by two of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations_with_replacement
from typing import Any, NamedTuple

from probe.layers.hookpoint import Hookpoint
from probe.results.formats import series_name

__all__ = [
    "FLOAT_BITS",
    "PCA",
    "Grid",
    "Reading",
    "Retention",
    "Row",
    "RowKey",
    "cka_grids",
    "describe_bits",
    "fusion_grids",
]

# Bits of a value that is not compressed.
FLOAT_BITS = 32

# The kind of adaptor that every other has to beat.
PCA = "pca"


class RowKey(NamedTuple):
    """Values that tell the rows of a table apart; `stored` is empty for float32."""

    encoder: str
    adaptor: str | None
    labels: str
    dim: int | None
    stored: tuple[Any, ...]

    def __str__(self) -> str:
        size = f" in {self.stored[0]} bytes" if self.stored else ""
        if self.adaptor is None:
            return f"{self.encoder}{size}"
        labels = "" if self.labels == "none" else f" (labels {self.labels})"
        return f"{self.encoder} with {self.adaptor}{labels} at {self.dim}{size}"


@dataclass(frozen=True)
class Reading:
    """One hookpoint that an encoder reads.

    Attributes:
        model: The model's name, that of one tower of two with it.
        layer: The `hidden_states` index.
        pooling: The pooling.
    """

    model: str
    layer: int
    pooling: str

    @property
    def spec(self) -> str:
        """The hookpoint as it is written."""
        return str(Hookpoint(self.model, self.layer, self.pooling))

    @property
    def series(self) -> str:
        """What the layers of one model or tower under one pooling have in common: `minilm:mean`."""
        return f"{self.model}:{self.pooling}"


@dataclass(frozen=True)
class Retention:
    """What a map between models keeps of the score of one of its models alone.

    Attributes:
        encoder: The encoder of queries and documents alone.
        share: The score as a share of that encoder's; None if that is 0.
        p_value: Of a paired test against that encoder, not corrected.
    """

    encoder: str
    share: float | None
    p_value: float | None


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
        labels: `none`, or the splits or files whose relevance labels the adaptor, or the weights below it, learned.
        transductive: Whether a fit or a training saw the test corpus's text.
        scores: Mean over the queries with relevance labels, per metric.
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
        bits: Bits per dimension of a stored document, where sizes were compared; a mean if dimensions differ.
        mixed: Whether the bits differ between dimensions.
        query_bits: Bits per dimension of a query.
        bytes: Size of a stored document in bytes.
        compression: Size of a float32 vector of the frozen encoder, as a multiple of that size.
        rescore: How many times the wanted number of documents are ranked again by their float32 vectors.
        front: Whether no row of fewer bytes scores as much; rows that are ranked again are not compared.
        hookpoints: All that the encoder reads.
        note: Remarks, as in the table.
        population_ci95: 95 % interval of the difference over data sets in general.
        datasets: Its row in the table of every data set, by name, where the scores are means over several.
        retention: Of a map between models, what it keeps of the model it maps from and of the one it maps to.
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
    bits: float | None = None
    mixed: bool | None = None
    query_bits: int | None = None
    bytes: int | None = None
    compression: float | None = None
    rescore: int | None = None
    front: bool | None = None
    hookpoints: tuple[Reading, ...] = ()
    note: str | None = None
    population_ci95: tuple[float, float] | None = None
    datasets: dict[str, "Row"] | None = None
    retention: tuple[Retention, Retention] | None = None

    @property
    def is_compressed(self) -> bool:
        """Whether its vectors are stored in fewer bits than they are computed in."""
        return self.bits not in (None, FLOAT_BITS)

    @property
    def key(self) -> RowKey:
        """Values that tell it apart from the other rows of its table."""
        stored = (self.bytes, self.bits, self.mixed, self.query_bits, self.rescore)
        return RowKey(self.encoder, self.adaptor, self.labels, self.dim, stored if self.is_compressed else ())

    @property
    def series(self) -> str:
        """What the layers of its model under its pooling have in common; nothing where it has no layer."""
        if self.layer is None or self.pooling is None:
            return ""
        alone = self.hookpoints[0] if len(self.hookpoints) == 1 else None
        own = next((point for point in self.hookpoints if point.spec == self.encoder), alone)
        return own.series if own else series_name(self.encoder, self.pooling)

    def flatten(self) -> dict[str, Any]:
        """Return the values with a column per metric, per end of an interval and per data set."""
        nested: dict[str, dict[str, Any]] = {
            "scores": self.scores,
            "ci95": _ends("ci95", self.ci95),
            "hookpoints": {"hookpoints": " ".join(point.spec for point in self.hookpoints)},
            "retention": _flatten_retention(self.retention),
            "population_ci95": _ends("population_ci95", self.population_ci95) if self.datasets else {},
            "datasets": {
                f"{name} {key}": value
                for name, row in (self.datasets or {}).items()
                for key, value in row._flatten_scores().items()
            },
        }
        values = asdict(self).items()
        return {key: value for name, cell in values for key, value in nested.get(name, {name: cell}).items()}

    def _flatten_scores(self) -> dict[str, Any]:
        """Return the scores and their tests."""
        return {**self.scores, **_ends("ci95", self.ci95), "delta": self.delta, "p_value": self.p_value}


def _flatten_retention(retention: tuple[Retention, Retention] | None) -> dict[str, Any]:
    """Return a column for the share and the p-value of each end; nothing where there is no map."""
    ends = zip(("source", "target"), retention or (None, None), strict=True)
    return {f"{name}_{key}": getattr(end, key, None) for name, end in ends for key in ("share", "p_value")}


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def describe_bits(row: Row) -> str:
    """Return how a row's vectors are stored, such as `4 bits` or `1 bit, queries too`."""
    if not row.is_compressed:
        return "float32"
    name = "mixed bits" if row.mixed else f"{row.bits:.0f} {'bit' if row.bits == 1 else 'bits'}"
    queries = ", queries too" if row.query_bits not in (None, FLOAT_BITS) else ""
    return name + queries + (f", rescored {row.rescore}x" if row.rescore else "")


@dataclass(frozen=True)
class Grid:
    """A number per layer of one model and pooling and layer of another.

    Attributes:
        measure: What the numbers are.
        caption: What the rows and columns are.
        first: Model and pooling whose layers are the rows.
        second: Model and pooling whose layers are the columns; perhaps the same.
        values: The number per layer of the first and layer of the second; not every pair has to be there.
        encoders: Of fusions, the encoders whose numbers these are, and their layers.
    """

    measure: str
    caption: str
    first: str
    second: str
    values: Mapping[tuple[int, int], float]
    encoders: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def fusion_grids(scores: Iterable[tuple[str, Sequence[Reading], float]], metric: str) -> tuple[Grid, ...]:
    """Return a grid per pair of models and poolings of which several layers are fused.

    Args:
        scores: Of encoders: their names, the hookpoints they read and their scores. Those whose names are not their two
            hookpoints are something else than a plain fusion.
        metric: What the scores are.
    """
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[str, float]]] = {}
    for encoder, points, score in scores:
        if len(points) == 2 and encoder == "+".join(point.spec for point in points):
            first, second = points
            found.setdefault((first.series, second.series), {})[first.layer, second.layer] = encoder, score
    return tuple(_fusion_grid(metric, *pair, cells=cells) for pair, cells in sorted(found.items()) if _is_grid(cells))


def _fusion_grid(metric: str, first: str, second: str, *, cells: Mapping[tuple[int, int], tuple[str, float]]) -> Grid:
    scores = {layers: score for layers, (_, score) in cells.items()}
    encoders = {encoder: layers for layers, (encoder, _) in cells.items()}
    caption = f"layers of {first} (down) fused with layers of {second} (across)"
    return Grid(metric, caption, first, second, scores, encoders)


def _is_grid(cells: Mapping[tuple[int, int], object]) -> bool:
    return min(len({layers[side] for layers in cells}) for side in (0, 1)) > 1


def cka_grids(groups: Mapping[str, Sequence[tuple[int, int]]], cka: Sequence[Sequence[float]]) -> tuple[Grid, ...]:
    """Return one grid of more than one number per pair of models and poolings.

    Args:
        groups: Layer and row number of the rows of every model and pooling.
        cka: Linear CKA of every row with every row.
    """
    grids = []
    for first, second in combinations_with_replacement(groups, 2):
        values = {(down, across): cka[i][j] for down, i in groups[first] for across, j in groups[second]}
        caption = f"layers of {first}" if first == second else f"layers of {first} (down) and of {second} (across)"
        grids.append(Grid("CKA", caption, first, second, values))
    return tuple(grid for grid in grids if len(grid.values) > 1)
