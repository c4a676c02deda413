"""The lens on every layer of one model: what a linear map without labels brings back of its final embedding."""

from collections.abc import Sequence

from adaptors.adapted import Adapted
from adaptors.gathering import FitTexts, gather
from adaptors.kinds import LENS
from adaptors.ladder import LadderPlan, fit_kind
from probe.fusions import Fusion
from probe.hookpoint import Hookpoint
from probe.reader import LayerReader
from probe.states import Progress
from probe.store import Store

__all__ = ["fit_lenses"]


def fit_lenses(
    reader: LayerReader, points: Sequence[Hookpoint], texts: FitTexts, store: Store | None, progress: Progress
) -> list[Adapted]:
    """Fit a lens to each hookpoint of a model, with as many dimensions as the final embedding has.

    Args:
        reader: The model's reader.
        points: The hookpoints.
        texts: What the fits may look at.
        store: Where states are read and kept, if anywhere.
        progress: Told about every batch.

    Returns:
        One encoder per hookpoint; none for the final embedding itself.
    """
    fusions = [Fusion((point,)) for point in points]
    gathered = gather({reader.model.source.name: reader}, fusions, texts, store, progress)
    plan = LadderPlan((LENS,), (reader.model.width,))
    return [
        lens
        for fusion, data in zip(fusions, gathered, strict=True)
        if not data.is_final
        for lens in fit_kind(LENS, fusion, data, plan)
    ]
