"""The dual solution is the primal ridge, both solvers agree, and the chosen penalty is that of the full hat matrix."""

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


def test_gcv_is_the_error_of_the_hat_matrix() -> None:
    problem = make_problem()
    kernel = (problem.rows @ problem.rows.T).toarray().astype(np.float64)
    for penalty in (0.01, 0.3, 5.0):
        hat = kernel @ np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
        residuals = problem.targets.numpy() - hat @ problem.targets.numpy()
        free = 1 - np.trace(hat) / len(hat)
        assert problem.gcv(penalty) == pytest.approx(np.square(residuals).sum() / len(hat) / free**2, rel=1e-3)


def test_gcv_is_near_the_error_of_leaving_each_row_out() -> None:
    problem = make_problem()
    left_out = []
    for row in range(40):
        others = [one for one in range(40) if one != row]
        rest = RidgeProblem(problem.rows[others], problem.targets[others])
        table = problem.rows[others].T @ rest.solve_exact(0.5).numpy()
        left_out.append(np.square(problem.targets[row].numpy() - problem.rows[[row]] @ table).sum())
    assert problem.gcv(0.5) == pytest.approx(np.mean(left_out), rel=0.1)


def test_a_sample_is_the_same_every_time_and_never_larger_than_the_rows() -> None:
    problem = make_problem()
    first, second = problem.draw(10, 4), problem.draw(10, 4)
    assert torch.equal(first.targets, second.targets)
    assert len(first.targets) == 10
    assert problem.draw(1000, 4) is problem
