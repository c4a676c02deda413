"""The losses of networks by name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adaptors.losses.pairwise import HingeLoss
from adaptors.losses.states import (
    Features,
    MatryoshkaAdaptorLoss,
    RankingDistillationLoss,
    ReconstructionLoss,
    SimilarityLoss,
)
from adaptors.modules.base import Adaptor
from adaptors.modules.mlp import Autoencoder, Residual
from probe.errors import CallError, did_you_mean

__all__ = ["LOSSES", "LossChoice", "choose_loss"]

_PAIRS = 512
# The margin loss is a hinge of cosines divided by a temperature, with a margin in those units.
_TEMPERATURE = 0.05
_MARGIN = 2.0

# Arguments: the trained model, the network in it, and the prefix lengths.
_Make = Callable[[nn.Module, Adaptor, Sequence[int]], nn.Module]


@dataclass(frozen=True)
class LossChoice:
    """A loss and its batch format.

    Attributes:
        make: Creates the loss.
        formula: Formula in plain text, summed over all dimensions; c is the cosine before the network, s after it, t
            the temperature.
        source: Publication.
        form: Batch format: `texts`, `rankings` or `pairs`; only pairs need relevance labels.
        batch: Texts or pairs per batch.
        grades: Whether it uses the grades of all pairs in a batch.
    """

    make: _Make
    formula: str
    source: str
    form: str
    batch: int = _PAIRS
    grades: bool = False


class _ReconstructionAndSimilarity(nn.Module):
    """The two losses of an autoencoder, logged separately."""

    def __init__(self, model: nn.Module, network: Adaptor, dims: Sequence[int]) -> None:
        super().__init__()
        self.reconstruction = _reconstruction(model, network, dims)
        self.similarity = SimilarityLoss(model, dims)

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return both losses by name, of the same vectors."""
        columns = list(sentence_features)
        vectors = torch.cat([self.similarity.embed(column) for column in columns])
        return {
            "reconstruction": self.reconstruction.compare(columns, vectors),
            "similarity": self.similarity.compare(columns, vectors),
        }


def _reconstruction(model: nn.Module, network: Adaptor, dims: Sequence[int]) -> ReconstructionLoss:
    if not isinstance(network, Autoencoder):
        raise CallError(f"the loss 'reconstruction' needs a decoder, and '{network.kind}' has none: use autoencoder")
    return ReconstructionLoss(network)


def _matryoshka_adaptor(model: nn.Module, network: Adaptor, dims: Sequence[int]) -> nn.Module:
    if not isinstance(network, Residual):
        raise CallError(
            f"the loss 'matryoshka-adaptor' needs a residual correction, and '{network.kind}' has none: use residual"
        )
    return MatryoshkaAdaptorLoss(model, network, dims)


def _infonce(model: nn.Module, network: Adaptor, dims: Sequence[int]) -> nn.Module:
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

    return MatryoshkaLoss(model, MultipleNegativesRankingLoss(model), list(dims))  # type: ignore[arg-type]


def _margin(model: nn.Module, network: Adaptor, dims: Sequence[int]) -> nn.Module:
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss

    hinge, weights = HingeLoss(model, _MARGIN * _TEMPERATURE), [1 / _TEMPERATURE] * len(dims)
    return MatryoshkaLoss(model, hinge, list(dims), weights)  # type: ignore[arg-type]


_SIMILARITY = "mean of (c_ij - s_ij)^2"
_RECONSTRUCTION = "squared error of the decoded states, over their variance"
_ADAPTOR = "sum of |c_ij - s_ij|, again over the nearest texts, plus the sizes of the corrections"
_CONCATENATION = "Compressed Concatenation of Small Embedding Models, CIKM 2025"
_YOON = "Yoon et al., EMNLP 2024 (Matryoshka-Adaptor)"

LOSSES: dict[str, LossChoice] = {
    "similarity": LossChoice(
        lambda model, network, dims: SimilarityLoss(model, dims), _SIMILARITY, _CONCATENATION, "texts"
    ),
    "ranking": LossChoice(
        lambda model, network, dims: RankingDistillationLoss(model, dims),
        "KL(softmax(c/t), softmax(s/t)) over candidates",
        "after ListNet, Cao et al., ICML 2007",
        "rankings",
    ),
    "reconstruction": LossChoice(_reconstruction, _RECONSTRUCTION, "encoder-surgery", "texts"),
    "reconstruction+similarity": LossChoice(
        _ReconstructionAndSimilarity, "reconstruction + similarity", "encoder-surgery", "texts"
    ),
    "matryoshka-adaptor": LossChoice(_matryoshka_adaptor, _ADAPTOR, _YOON, "texts", 128),
    "matryoshka-adaptor+rank": LossChoice(
        _matryoshka_adaptor,
        "matryoshka-adaptor + grade differences times log(1 + exp(s_ik - s_ij))",
        _YOON,
        "pairs",
        128,
        grades=True,
    ),
    "infonce": LossChoice(
        _infonce, "infonce of every prefix", "van den Oord et al. 2018; Kusupati et al., NeurIPS 2022", "pairs"
    ),
    "margin": LossChoice(_margin, "mean of max(0, m - (s_ii - s_ij)/t)", "Frome et al., NIPS 2013 (DeViSE)", "pairs"),
}


def choose_loss(name: str, labelled: bool) -> LossChoice:
    """Return a loss by name.

    Raises:
        CallError: The name is unknown, or the loss needs labels and there are none, or vice versa.
    """
    if name not in LOSSES:
        raise CallError(f"unknown loss '{name}': {did_you_mean(name, list(LOSSES))}")
    choice = LOSSES[name]
    if (choice.form == "pairs") != labelled:
        if labelled:
            raise CallError(f"the loss '{name}' takes no relevance labels: leave out --labels")
        raise CallError(f"the loss '{name}' needs relevance labels: add --labels train")
    return choice
