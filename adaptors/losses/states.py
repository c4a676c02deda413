"""Losses on stored states, usable with sentence-transformers' trainer like its own.

Every column is a batch of states, `sentence_embedding` `(B, D)`. An optional `target` `(B, F)` holds the vectors whose
cosines are to be reproduced; by default they are those of the states.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, softplus

from adaptors.losses.prefixes import prefix_loss
from adaptors.modules.mlp import Autoencoder, Residual

__all__ = [
    "Features",
    "MatryoshkaAdaptorLoss",
    "RankingDistillationLoss",
    "ReconstructionLoss",
    "SimilarityLoss",
    "cosines",
    "target_of",
    "unexplained_variance",
]

Features = Iterable[dict[str, Tensor]]

_MASKED = -1e4


class _StateLoss(nn.Module):
    """A loss on prefixes of vectors.

    Attributes:
        model: Replaces the states in `{"sentence_embedding": states, ...}` by vectors.
        dims: Lengths of the prefixes.
    """

    def __init__(self, model: nn.Module, dims: Sequence[int]) -> None:
        """Wrap a model whose vectors are compared at several lengths."""
        super().__init__()
        self.model = model
        self.dims = tuple(dims)

    def embed(self, features: dict[str, Tensor]) -> Tensor:
        """Return the vectors `(B, dim)` of one column."""
        vectors: Tensor = self.model(dict(features))["sentence_embedding"]
        return vectors


class SimilarityLoss(_StateLoss):
    """Mean squared error between the cosine matrices of states and vectors, summed over dimensions.

    L = sum over m of mean over i, j of (cos(c_i, c_j) - cos(y_i[:m], y_j[:m]))^2, c the states or their targets
    (Compressed Concatenation of Small Embedding Models, CIKM 2025).
    """

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss; all columns form one batch."""
        columns = list(sentence_features)
        return self.compare(columns, torch.cat([self.embed(column) for column in columns]))

    def compare(self, columns: Sequence[dict[str, Tensor]], vectors: Tensor) -> Tensor:
        """Return the loss of the vectors `(B, dim)` of all columns."""
        wanted = cosines(torch.cat([target_of(column) for column in columns]))

        def judge(found: Tensor) -> tuple[Tensor, Tensor]:
            """Return the mean squared error, and its gradient."""
            errors = found - wanted
            return errors.square().mean(), errors * (2 / errors.numel())

        return prefix_loss(vectors, None, self.dims, judge=judge)


class ReconstructionLoss(nn.Module):
    """Fraction of variance unexplained of an autoencoder."""

    def __init__(self, network: Autoencoder) -> None:
        """Wrap an autoencoder."""
        super().__init__()
        self.network = network

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss; all columns form one batch."""
        columns = list(sentence_features)
        return self.compare(columns, self.network(_states(columns)))

    def compare(self, columns: Sequence[dict[str, Tensor]], vectors: Tensor) -> Tensor:
        """Return the loss of the vectors `(B, dim)` of all columns."""
        return unexplained_variance(_states(columns), self.network.decode(vectors))


class MatryoshkaAdaptorLoss(_StateLoss):
    """The Matryoshka-Adaptor's loss (Yoon et al., EMNLP 2024): terms for pairs, neighbours, correction size and ranks.

    With y_m the prefix of length m of c + f(c), and Sim the cosine:
    pair = sum over i, j, m of |Sim(c_i, c_j) - Sim(y_i_m, y_j_m)|, topk is the same over the k nearest neighbours j of
    i by the original states, rec = sum over i of |f(c_i)|, and, given labels `(Q, C)` between the first and the second
    column, rank = sum over i, m and j, k with l_ij > l_ik of (l_ij - l_ik) log(1 + exp(s_ik - s_ij)).

    Attributes:
        neighbours: Number of neighbours k.
    """

    neighbours = 10

    def __init__(self, model: nn.Module, network: Residual, dims: Sequence[int]) -> None:
        """Wrap a model, and the network in it that computes the corrections f(c)."""
        super().__init__(model, dims)
        self.network = network

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> dict[str, Tensor]:
        """Return the terms by name."""
        columns = list(sentence_features)
        with _outputs_of(self.network.correction) as corrections:
            vectors = [self.embed(column) for column in columns]
        wanted = cosines(torch.cat([target_of(column) for column in columns]))
        near = self._nearest(wanted)
        joined = torch.cat(vectors)
        errors = torch.stack([(cosines(joined[:, :dim]) - wanted).abs() for dim in self.dims]).sum(dim=0)
        terms = {
            "pair": errors.sum(),
            "topk": errors.gather(1, near).sum(),
            "rec": torch.linalg.vector_norm(torch.cat(corrections), dim=1).sum(),
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
    """Kullback-Leibler divergence between rankings by states and by vectors.

    A ranking is the softmax over candidates of cosine / temperature. The first column holds anchors, the second
    candidates; `row` `(B,)` identifies the texts, because a text is not a candidate for itself. The divergences of all
    dimensions are added.

    Attributes:
        temperature: Softmax temperature of both rankings.
    """

    temperature = 0.03

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss."""
        anchors, candidates = sentence_features
        # Few of all pairs: their indices are written faster than a mask is read.
        same = (anchors["row"].unsqueeze(1) == candidates["row"]).nonzero(as_tuple=True)
        wanted = self._ranking(self.similarities(anchors, candidates), same)
        shares = wanted.exp()

        def judge(found: Tensor) -> tuple[Tensor, Tensor]:
            """Return the divergence of one prefix, and its gradient."""
            ranking = self._ranking(found, same)
            divergence = (shares * (wanted - ranking)).sum() / len(shares)
            return divergence, ranking.exp_().sub_(shares).div_(self.temperature * len(shares))

        return prefix_loss(*self.sides(anchors, candidates), self.dims, judge=judge)

    def similarities(self, anchors: dict[str, Tensor], candidates: dict[str, Tensor]) -> Tensor:
        """Return the similarities `(N, M)` whose rankings are taught."""
        return cosines(target_of(anchors), target_of(candidates))

    def sides(self, anchors: dict[str, Tensor], candidates: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the vectors `(N, dim)` and `(M, dim)` whose rankings are compared with them."""
        return self.embed(anchors), self.embed(candidates)

    def _ranking(self, found: Tensor, same: tuple[Tensor, ...]) -> Tensor:
        """Return the logarithm of the shares of the candidates, from cosines `(N, M)`."""
        logits = found / self.temperature
        logits[same] = _MASKED
        return logits.log_softmax(dim=1)


def cosines(left: Tensor, right: Tensor | None = None) -> Tensor:
    """Return the cosines `(N, M)` of rows `(N, D)` and `(M, D)`; of the first with themselves if `right` is None."""
    units = normalize(left, dim=1)
    return units @ (units if right is None else normalize(right, dim=1)).T


def unexplained_variance(states: Tensor, decoded: Tensor) -> Tensor:
    """Return the fraction of variance unexplained of `(N, D)`: squared error over squared distance to the mean.

    If all states are equal, the variance is zero and the squared error is returned.
    """
    variance = (states - states.mean(dim=0)).square().sum()
    return (states - decoded).square().sum() / torch.where(variance > 0, variance, torch.ones_like(variance))


def target_of(column: dict[str, Tensor]) -> Tensor:
    """Return the vectors of a column whose cosines are to be reproduced: its targets, or the states themselves."""
    return column.get("target", column["sentence_embedding"])


@contextmanager
def _outputs_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of a module, so that they need not be computed again."""
    found: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, output: found.append(output))
    try:
        yield found
    finally:
        handle.remove()


def _states(columns: Sequence[dict[str, Tensor]]) -> Tensor:
    return torch.cat([column["sentence_embedding"] for column in columns])


def _misrankings(queries: Tensor, documents: Tensor, labels: Tensor, *, dim: int) -> Tensor:
    scores = cosines(queries[:, :dim], documents[:, :dim])
    better = (labels.unsqueeze(2) - labels.unsqueeze(1)).clamp(min=0)
    return (better * softplus(scores.unsqueeze(1) - scores.unsqueeze(2))).sum()
