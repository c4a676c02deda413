"""A layer of one tower, compared with the full other tower: images against texts, or texts against images."""

from collections.abc import Mapping
from dataclasses import dataclass

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import own_pooling
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric
from probe.evaluation.fusion import Fusion
from probe.layers.hookpoint import TOWERS, Hookpoint, split_tower
from probe.models.info import ModelProfile

__all__ = ["PAIRED", "TowerPair", "other_tower", "pair_up", "whole_tower"]

PAIRED = "a layer of one tower is compared with the full other tower; time is that of a document"


@dataclass(frozen=True)
class TowerPair(Asymmetric):
    """Two towers of a model, one for queries and one for documents.

    Attributes:
        probed: The hookpoint of this row; the other tower is full.
    """

    probed: Hookpoint

    def __str__(self) -> str:
        return str(self.probed)


def other_tower(name: str) -> str:
    """Return the name of the other tower: `clip@text` for `clip@image`.

    Raises:
        CallError: If the name has no tower.
    """
    model, tower = split_tower(name)
    if tower is None:
        raise CallError(
            f"'{name}' supports only text, but the data set has images: use a two-tower model, such as clip"
        )
    return f"{model}@{next(other for other in TOWERS if other != tower)}"


def whole_tower(model: ModelProfile) -> Hookpoint:
    """Return the hookpoint of a full tower: its last layer with its own pooling."""
    return Hookpoint(model.source.name, model.depth, own_pooling(model))


def pair_up(point: Hookpoint, models: Mapping[str, ModelProfile], dataset: Dataset) -> TowerPair:
    """Pair a hookpoint of a tower with the full other tower, each on its side of the data set."""
    probed, whole = Fusion((point,)), Fusion((whole_tower(models[other_tower(point.model)]),))
    reads_documents = (split_tower(point.model)[1] == "image") == (dataset.images == "documents")
    return TowerPair(whole, probed, point) if reads_documents else TowerPair(probed, whole, point)
