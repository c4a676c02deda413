"""Lenses for the layers of a model: ridge maps from each layer's state to the final embedding, without labels."""

from collections.abc import Sequence

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.fitting.compare import FitPlan, fit_kind
from adaptors.fitting.data import FitTexts
from adaptors.fitting.kinds import LENS
from adaptors.fitting.states import FitData, gather_states
from probe.encoding.chunk_states import Progress
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import Hookpoint
from probe.store.store import Store

__all__ = ["fit_lenses"]


def fit_lenses(
    reader: LayerReader,
    points: Sequence[Hookpoint],
    texts: FitTexts | Sequence[FitTexts],
    *,
    store: Store | None,
    progress: Progress,
) -> list[AdaptedEncoder]:
    """Fit a lens to each hookpoint of a model except the final embedding, with the final embedding's dimensions.

    With the texts of several data sets, each lens is one map fitted to all of them.
    """
    fusions = [Fusion((point,)) for point in points]
    gathered = gather_states({reader.model.source.name: reader}, fusions, texts, store=store, progress=progress)
    plan = FitPlan((LENS,), (reader.model.width_of(own_pooling(reader.model)),))
    # The data of one hookpoint at a time.
    return [lens for number, fusion in enumerate(fusions) for lens in _fit(fusion, gathered[number], plan)]


def _fit(fusion: Fusion, data: FitData, plan: FitPlan) -> list[AdaptedEncoder]:
    return [] if data.is_final else fit_kind(LENS, fusion, data, plan=plan)
