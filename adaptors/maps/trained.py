"""A map trained to rank, from a closed-form start; no relevance labels are read."""

import torch
from torch import Tensor, nn

from adaptors.fitting.batches import StateCollator, draw_rankings, split_texts
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.fitting.trainer import TrainingTask, train
from adaptors.losses.states import RankingDistillationLoss, cosines, target_of
from adaptors.maps.closed_form import LinearMap
from adaptors.maps.data import MapData
from adaptors.maps.options import MapOptions
from adaptors.modules.linear import TrainableProjection
from probe.encoding.chunk_states import Progress, silent

__all__ = ["MapRankingLoss", "train_map"]

# Weight of the mapped model's similarities in the rankings that are taught: the other model's similarities of texts
# depend on more than a map can know. Chosen on training queries of two data sets.
_OWN_SHARE = 0.75


class _Map(TrainableProjection):
    kind = "map"


class MapRankingLoss(RankingDistillationLoss):
    """Kullback-Leibler divergence between the joint ranking of two models and the ranking of a map.

    A ranking is the softmax over candidates of similarity / temperature. The joint similarity is a mean of both models'
    cosines. `sentence_embedding` holds vectors of the model that is mapped, `target` those of the other one.

    Attributes:
        side: The side of a search that is mapped, `queries` or `documents`.
    """

    def __init__(self, model: nn.Module, dim: int, side: str) -> None:
        """Wrap a map to `dim` dimensions."""
        super().__init__(model, (dim,))
        self.side = side

    def similarities(self, anchors: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the joint similarities of both models."""
        own = cosines(anchors["sentence_embedding"], candidates["sentence_embedding"])
        return _OWN_SHARE * own + (1 - _OWN_SHARE) * super().similarities(anchors, candidates)

    def sides(self, anchors: dict[str, Tensor], candidates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the vectors of a search: one side mapped, the other by the other model."""
        if self.side == "queries":
            return self.embed(anchors), target_of(candidates)
        return target_of(anchors), self.embed(candidates)


def train_map(start: LinearMap, data: MapData, options: MapOptions, *, progress: Progress = silent) -> LinearMap:
    """Train a map to rank documents as both models together do, and keep the epoch that ranks held-out texts best.

    Args:
        start: The map to begin with; it is returned if no epoch is better.
        data: Vectors of the texts by both models; queries, spans and documents are anchors, documents candidates.
        options: The side that is mapped, and the seed.
        progress: Called for every step.

    Returns:
        The map.

    Raises:
        CallError: There are too few documents.
        TrainingError: The training failed.
    """
    states, training = _states(data), TrainOptions(seed=options.seed, progress=progress)
    documents = len(states.documents)
    drawn, held_out = draw_rankings(
        split_texts(states, training.seed), documents, training.most_steps, seed=training.seed
    )
    network = _Map(start.weight.float(), start.bias.float())
    task = TrainingTask(
        loss=lambda model: MapRankingLoss(model, network.dim, options.side),
        train=drawn,
        held_out=held_out,
        collator=StateCollator(states),
        evaluator=None,
        fingerprint=dict,
    )
    train(network, task, training)
    return LinearMap(network.weight.detach().double(), network.bias.detach().double())


def _states(data: MapData) -> FitData:
    """Return the texts as those of a fit: the other model's vectors are the targets."""
    short = data.queries.join(data.spans)
    every = data.documents.join(short)
    return FitData(
        documents=every.source[: len(data.documents)],
        queries=every.source[len(data.documents) :],
        blocks=(("mapped", every.source.shape[1]),),
        targets=every.target,
        pairs=torch.zeros(0, 3, dtype=torch.long),
        labels="none",
        fitted_on=data.fitted_on,
    )
