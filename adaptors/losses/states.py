"""Losses on stored states that sentence-transformers does not have; its trainer takes them as it takes its own.

Every column is a batch of states, `sentence_embedding` `(B, D)`; beside it may stand `target` `(B, F)`, the vectors
whose cosines are the goal where it is not those of the states themselves.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, normalize, softplus

from adaptors.modules.mlp import Autoencoder, Residual

__all__ = [
    "Features",
    "MatryoshkaAdaptorLoss",
    "RankingDistillationLoss",
    "ReconstructionLoss",
    "SimilarityLoss",
    "cosines",
    "unexplained_variance",
]

Features = Iterable[dict[str, Tensor]]

_MASKED = -1e4


class _StateLoss(nn.Module):
    """A loss of prefixes of vectors.

    Attributes:
        model: Anything that turns `{"sentence_embedding": states, ...}` into the same with vectors.
        dims: Lengths of the prefixes.
    """

    def __init__(self, model: nn.Module, dims: Sequence[int]) -> None:
        """Compare prefixes of a model's vectors."""
        super().__init__()
        self.model = model
        self.dims = tuple(dims)

    def embed(self, features: dict[str, Tensor]) -> Tensor:
        """Return the vectors `(B, dim)` of one column."""
        vectors: Tensor = self.model(dict(features))["sentence_embedding"]
        return vectors


class SimilarityLoss(_StateLoss):
    """Mean squared error between the matrices of cosines before and after, summed over dimensions.

    L = sum over m of mean over i, j of (cos(c_i, c_j) - cos(y_i[:m], y_j[:m]))^2, c the states or their targets
    (Compressed Concatenation of Small Embedding Models, CIKM 2025).
    """

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss; all columns count as one batch."""
        columns = list(sentence_features)
        wanted = cosines(torch.cat([_target(column) for column in columns]))
        vectors = torch.cat([self.embed(column) for column in columns])
        errors = [(cosines(vectors[:, :dim]) - wanted).square().mean() for dim in self.dims]
        return torch.stack(errors).sum()


class ReconstructionLoss(nn.Module):
    """Fraction of variance unexplained of an autoencoder's states."""

    def __init__(self, network: Autoencoder) -> None:
        """Measure an autoencoder."""
        super().__init__()
        self.network = network

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss; all columns count as one batch."""
        states = torch.cat([column["sentence_embedding"] for column in sentence_features])
        return unexplained_variance(states, self.network.decode(self.network(states)))


class MatryoshkaAdaptorLoss(_StateLoss):
    """The Matryoshka-Adaptor's loss (Yoon et al., EMNLP 2024), one term each for pairs, neighbours, size and ranks.

    With y_m the prefix of length m of c + f(c), and Sim the cosine:
    pair = sum over i, j, m of |Sim(c_i, c_j) - Sim(y_i_m, y_j_m)|, topk the same over the k texts j nearest to i among
    the originals, rec = sum over i of |f(c_i)|, and, where there are labels `(Q, C)` of the first column against the
    second, rank = sum over i, m and j, k with l_ij > l_ik of (l_ij - l_ik) log(1 + exp(s_ik - s_ij)).

    Attributes:
        neighbours: k.
    """

    neighbours = 10

    def __init__(self, model: nn.Module, network: Residual, dims: Sequence[int]) -> None:
        """Compare prefixes of a model's vectors; the corrections are those of the network in it."""
        super().__init__(model, dims)
        self.network = network

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return the terms."""
        columns = list(sentence_features)
        states = torch.cat([column["sentence_embedding"] for column in columns])
        vectors = [self.embed(column) for column in columns]
        wanted = cosines(torch.cat([_target(column) for column in columns]))
        near = self._nearest(wanted)
        joined = torch.cat(vectors)
        errors = torch.stack([(cosines(joined[:, :dim]) - wanted).abs() for dim in self.dims]).sum(dim=0)
        terms = {
            "pair": errors.sum(),
            "topk": errors.gather(1, near).sum(),
            "rec": torch.linalg.vector_norm(self.network.correction(states), dim=1).sum(),
        }
        if labels is not None:
            terms["rank"] = torch.stack(
                [_misrankings(vectors[0], vectors[1], labels, dim=dim) for dim in self.dims]
            ).sum()
        return terms

    def _nearest(self, wanted: Tensor) -> Tensor:
        others = wanted.clone().fill_diagonal_(-torch.inf)
        return others.topk(min(self.neighbours, len(wanted) - 1), dim=1).indices


class RankingDistillationLoss(_StateLoss):
    """Kullback-Leibler divergence between rankings: softmax over candidates of cosines / temperature, before and after.

    The first column holds anchors, the second candidates; `row` `(B,)` says which texts they are, for a text is no
    candidate of itself. The terms of all dimensions are added.

    Attributes:
        temperature: Divides the cosines of both.
    """

    temperature = 0.03

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss."""
        anchors, candidates = sentence_features
        same = anchors["row"].unsqueeze(1) == candidates["row"]
        wanted = self._ranking(_target(anchors), _target(candidates), same)
        left, right = self.embed(anchors), self.embed(candidates)
        found = [self._ranking(left[:, :dim], right[:, :dim], same) for dim in self.dims]
        losses = [kl_div(ranking, wanted, log_target=True, reduction="batchmean") for ranking in found]
        return torch.stack(losses).sum()

    def _ranking(self, anchors: Tensor, candidates: Tensor, same: Tensor) -> Tensor:
        return (cosines(anchors, candidates) / self.temperature).masked_fill(same, _MASKED).log_softmax(dim=1)


def cosines(left: Tensor, right: Tensor | None = None) -> Tensor:
    """Return the cosines `(N, M)` of rows `(N, D)` and `(M, D)`; of rows with themselves, where there is one side."""
    units = normalize(left, dim=1)
    return units @ (units if right is None else normalize(right, dim=1)).T


def unexplained_variance(states: Tensor, decoded: Tensor) -> Tensor:
    """Return the fraction of variance unexplained: squared error over squared distance to the mean, of `(N, D)`.

    It is the squared error alone where all states are equal, which have no variance.
    """
    variance = (states - states.mean(dim=0)).square().sum()
    return (states - decoded).square().sum() / torch.where(variance > 0, variance, torch.ones_like(variance))


def _target(column: dict[str, Tensor]) -> Tensor:
    return column.get("target", column["sentence_embedding"])


def _misrankings(queries: Tensor, documents: Tensor, labels: Tensor, *, dim: int) -> Tensor:
    scores = cosines(queries[:, :dim], documents[:, :dim])
    better = (labels.unsqueeze(2) - labels.unsqueeze(1)).clamp(min=0)
    return (better * softplus(scores.unsqueeze(1) - scores.unsqueeze(2))).sum()
