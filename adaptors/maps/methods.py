"""All maps that are tried: closed forms, fitted to different texts, and one of them trained further."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from adaptors.maps.closed_form import LinearMap, fit_drawn, fit_procrustes, fit_ridge, fit_transposed, reduce_rank
from adaptors.maps.data import MapData
from adaptors.maps.moments import Moments
from adaptors.maps.options import MapOptions
from probe.encoding.chunk_states import Progress

__all__ = ["Method", "fit_methods", "fit_trained"]

# Closed forms by name; the number is the penalty, which is otherwise chosen by generalized cross-validation.
_FORMS: dict[str, Callable[[Moments], LinearMap]] = {
    "procrustes": fit_procrustes,
    "ridge": fit_ridge,
    "drawn": fit_drawn,
    "drawn 10": lambda moments: fit_drawn(moments, 10.0),
}
# Weight of the queries and spans beside the documents.
_SHORT_SHARES = (0.0, 0.5)
# Factors of the transposed map that is added.
_FACTORS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Method:
    """How a map is fitted.

    Attributes:
        form: The closed form.
        short: Weight of queries and spans beside the documents.
        transposed: Factor of the transposed map that is added.
        is_trained: Whether it is trained further.
    """

    form: str
    short: float = 0.0
    transposed: float = 0.0
    is_trained: bool = False

    def __str__(self) -> str:
        texts = f" on {self.short:.0%} short texts" if self.short else ""
        added = f" + {self.transposed:g} transposed" if self.transposed else ""
        return f"{self.form}{texts}{added}{', trained' if self.is_trained else ''}"


def fit_trained(start: LinearMap, data: MapData, options: MapOptions, *, progress: Progress) -> LinearMap:
    """Train a map further; with a rank, the trained map is reduced to it."""
    from adaptors.maps.trained import train_map  # its imports take seconds

    found = train_map(start, data, options, progress=progress)
    if options.rank is None:
        return found
    mapped = data.documents if options.side == "documents" else data.documents.join(data.queries.join(data.spans))
    return reduce_rank(found, Moments.of(mapped), options.rank)


def fit_methods(data: MapData, options: MapOptions) -> dict[Method, LinearMap]:
    """Fit every closed form to the same texts.

    Texts like queries are too few for a fit of their own: documents count as well.

    Args:
        data: Vectors of the texts by both models.
        options: The side that is mapped, and the rank.

    Returns:
        The maps by method, simplest first.
    """
    documents, short = Moments.of(data.documents), data.queries.join(data.spans)
    mixtures = {share: documents for share in _SHORT_SHARES[: 1 + bool(len(short))]}
    mixtures |= {share: documents.mix(Moments.of(short), share) for share in mixtures if share}
    # Documents have their own distribution; only maps of queries profit from texts like queries.
    others = documents if options.side == "queries" else [*mixtures.values()][-1]
    if options.side == "documents":
        mixtures = {0.0: documents}
    return dict(_fit(mixtures, fit_transposed(others), options.rank))


def _fit(mixtures: dict[float, Moments], transposed: LinearMap, rank: int | None) -> Iterator[tuple[Method, LinearMap]]:
    for short, moments in mixtures.items():
        for form, fit in _FORMS.items():
            found = fit(moments)
            for factor in _FACTORS:
                joined = found.add(transposed, factor) if factor else found
                method = Method(form, short, factor)
                yield method, joined if rank is None else reduce_rank(joined, moments, rank)
