"""Ridge regression with few rows and many sparse columns, solved for the rows (the dual)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["RidgeProblem"]

# Columns of the matrix of texts that are computed at a time.
_BLOCK = 512
# Columns with the largest sums of squares, which the preconditioner solves exactly.
_HEAD = 2_000
_TOLERANCE = 1e-6
_MOST_STEPS = 500


@dataclass(frozen=True)
class RidgeProblem:
    """Find the B with S B close to R and small: minimize |S B - R|^2 + a |B|^2.

    Attributes:
        rows: S, sparse float32 `(N, V)`.
        targets: R, float32 `(N, D)`.
    """

    rows: "csr_array"
    targets: Tensor

    @cached_property
    def kernel(self) -> Tensor:
        """S S', float32 `(N, N)`."""
        rows = _as_torch(self.rows)
        found = torch.empty(len(self.targets), len(self.targets))
        for start in range(0, len(found), _BLOCK):
            block = torch.from_numpy(self.rows[start : start + _BLOCK].T.toarray())
            found[:, start : start + _BLOCK] = rows @ block
        return found

    def pick(self, rows: NDArray[np.int64]) -> "RidgeProblem":
        """Return the problem of some rows."""
        return RidgeProblem(self.rows[rows], self.targets[torch.from_numpy(rows)])

    def left_out(self, penalty: float) -> Tensor:
        """Return the squared error of each row when all others are fitted without it, float32 `(N,)`.

        With G = (S S' + a I)^-1, row i of the error is that of G R over G_ii: the whole of leave-one-out
        cross-validation from one factor (Allen's PRESS, 1974).
        """
        factor = self._factor(penalty)
        solved = torch.cholesky_solve(self.targets, factor)
        return (solved / torch.cholesky_inverse(factor).diagonal()[:, None]).square().sum(dim=1)

    def solve_exact(self, penalty: float) -> Tensor:
        """Return (S S' + a I)^-1 R `(N, D)` by a Cholesky factor; N x N values in memory."""
        return torch.cholesky_solve(self.targets, self._factor(penalty))

    def _factor(self, penalty: float) -> Tensor:
        shifted = self.kernel.clone()
        shifted.diagonal().add_(penalty)
        factor: Tensor = torch.linalg.cholesky(shifted)
        return factor

    def solve_iteratively(self, penalty: float, report: Callable[[int], None] = lambda done: None) -> Tensor:
        """Return (S S' + a I)^-1 R `(N, D)` by preconditioned conjugate gradients, without a matrix of N x N.

        Args:
            penalty: The penalty a.
            report: Called after every step.
        """
        rows, columns = _as_torch(self.rows), _as_torch(self.rows.T.tocsr())
        precondition = self._preconditioner(penalty)
        solved = torch.zeros_like(self.targets)
        left = self.targets.clone()
        towards = precondition(left)
        step, along = towards, (left * towards).sum(dim=0)
        aim = self.targets.norm(dim=0) * _TOLERANCE
        for _ in range(_MOST_STEPS):
            if (left.norm(dim=0) <= aim).all():
                break
            applied = rows @ (columns @ step) + penalty * step
            length = along / (step * applied).sum(dim=0).clamp(min=torch.finfo(torch.float32).tiny)
            solved += length * step
            left -= length * applied
            towards = precondition(left)
            before, along = along, (left * towards).sum(dim=0)
            step = towards + along / before.clamp(min=torch.finfo(torch.float32).tiny) * step
            report(1)
        return solved

    def _preconditioner(self, penalty: float) -> Callable[[Tensor], Tensor]:
        """Return the inverse of the system with the heaviest columns exact and all others as their mean.

        The heaviest columns hold nearly all large eigenvalues. Inverted by Woodbury's identity.
        """
        weights: NDArray[np.float64] = np.asarray((self.rows**2).sum(axis=0))
        heavy = np.sort(np.argsort(-weights, kind="stable")[:_HEAD])
        light = max(0.0, float(weights.sum() - weights[heavy].sum())) / len(self.targets)
        head = self.rows[:, heavy]
        across, down = _as_torch(head), _as_torch(head.T.tocsr())
        diagonal = penalty + light
        inner = torch.from_numpy((head.T @ head).toarray())
        inner.diagonal().add_(diagonal)
        factor = torch.linalg.cholesky(inner)
        return lambda vectors: (vectors - across @ torch.cholesky_solve(down @ vectors, factor)) / diagonal


def _as_torch(matrix: "csr_array") -> Tensor:
    parts = (torch.from_numpy(matrix.indptr.astype(np.int64)), torch.from_numpy(matrix.indices.astype(np.int64)))
    with catch_warnings():
        simplefilter("ignore")  # torch calls its sparse matrices a beta, once per process
        return torch.sparse_csr_tensor(*parts, torch.from_numpy(matrix.data), size=matrix.shape, check_invariants=False)
