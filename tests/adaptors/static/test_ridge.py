"""The dual solution is the primal ridge, both solvers agree, and the error of a row is that of a fit without it."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array, random_array

from adaptors.static.ridge import RidgeProblem


def make_problem(rows: int = 40, columns: int = 90, dim: int = 5) -> RidgeProblem:
    rng = np.random.default_rng(3)
    sparse = csr_array(random_array((rows, columns), density=0.15, rng=rng, dtype=np.float32))
    targets = torch.from_numpy(rng.normal(size=(rows, dim)).astype(np.float32))
    return RidgeProblem(sparse, targets)


@pytest.mark.parametrize("penalty", [0.01, 0.5])
def test_the_dual_solution_is_that_of_the_primal(penalty: float) -> None:
    problem = make_problem()
    rows = problem.rows.toarray().astype(np.float64)
    primal = np.linalg.solve(rows.T @ rows + penalty * np.eye(rows.shape[1]), rows.T @ problem.targets.numpy())
    assert np.abs(rows.T @ problem.solve_exact(penalty).numpy() - primal).max() < 1e-4


@pytest.mark.parametrize("head", [10, 2000])
def test_both_solvers_agree(head: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # With fewer columns in the preconditioner than there are, most of the system is left to the iterations.
    monkeypatch.setattr("adaptors.static.ridge._HEAD", head)
    problem = make_problem(rows=120, columns=300)
    exact, steps = problem.solve_exact(0.01), []
    found = problem.solve_iteratively(0.01, steps.append)
    assert (found - exact).abs().max() < 1e-4 * exact.abs().max()
    assert len(steps) > 1 or head > 300


@pytest.mark.parametrize("penalty", [0.01, 0.5, 5.0])
def test_the_error_of_a_row_is_that_of_a_fit_without_it(penalty: float) -> None:
    problem = make_problem()
    for row, error in enumerate(problem.left_out(penalty).tolist()):
        rest = problem.pick(np.array([one for one in range(40) if one != row]))
        predicted = problem.rows[[row]] @ (rest.rows.T @ rest.solve_exact(penalty).numpy())
        assert error == pytest.approx(float(np.square(problem.targets[row].numpy() - predicted).sum()), rel=1e-3)
