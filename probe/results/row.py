"""A row of a leaderboard."""

from dataclasses import asdict, dataclass, field
from typing import Any

from probe.results.formats import series_name
from probe.results.grids import Reading

__all__ = ["FLOAT_BITS", "PCA", "Retention", "Row", "describe_bits"]

# Bits of a value that is not compressed.
FLOAT_BITS = 32

# The kind of adaptor that every other has to beat.
PCA = "pca"


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
    if row.bits is None or row.bits == FLOAT_BITS:
        return "float32"
    name = "mixed bits" if row.mixed else f"{row.bits:.0f} {'bit' if row.bits == 1 else 'bits'}"
    queries = ", queries too" if row.query_bits not in (None, FLOAT_BITS) else ""
    return name + queries + (f", rescored {row.rescore}x" if row.rescore else "")
