"""The methods of a map, by name, and the texts that each is fitted to."""

from collections.abc import Callable
from dataclasses import dataclass

from adaptors.maps.closed_form import LinearMap, fit_drawn, fit_procrustes, fit_ridge, fit_transposed
from adaptors.maps.data import MapData
from adaptors.maps.moments import Moments

__all__ = ["METHODS", "MapMoments"]

# Weight of queries and spans beside documents in a map of queries.
_SHORT_SHARE = 0.5


@dataclass(frozen=True)
class MapMoments:
    """Moments of the texts of a fit.

    Attributes:
        mapped: Of texts like those that are mapped.
        others: Of texts like those of the other side.
    """

    mapped: Moments
    others: Moments

    @classmethod
    def of(cls, data: MapData, are_documents: bool) -> "MapMoments":
        """Return the moments of a map of documents, or of queries.

        Texts like queries are too few for a fit of their own: documents count as well.
        """
        documents, short = Moments.of(data.documents), data.queries.join(data.spans)
        mixed = documents.mix(Moments.of(short), _SHORT_SHARE) if len(short) else documents
        return cls(documents, mixed) if are_documents else cls(mixed, documents)


def _joint(forward: Callable[[Moments], LinearMap], share: float) -> Callable[[MapMoments], LinearMap]:
    """Return the sum of a map and a transposed one."""

    def fit(moments: MapMoments) -> LinearMap:
        """Fit both."""
        return forward(moments.mapped).add(fit_transposed(moments.others), share)

    return fit


METHODS: dict[str, Callable[[MapMoments], LinearMap]] = {
    "procrustes": lambda moments: fit_procrustes(moments.mapped),
    "ridge": lambda moments: fit_ridge(moments.mapped),
    "drawn": lambda moments: fit_drawn(moments.mapped),
    "transposed": lambda moments: fit_transposed(moments.others),
    "joint": _joint(fit_drawn, 1.0),
}
