"""Losses of prefixes: what plain products of every prefix give, for the products of the longest one."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

from adaptors.losses.prefixes import prefix_loss
from adaptors.losses.states import MatryoshkaAdaptorLoss, RankingDistillationLoss
from adaptors.modules.mlp import Residual

WIDTH = 12
WANTED = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def rows(count: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def judge(found: Tensor) -> tuple[Tensor, Tensor]:
    wanted = WANTED[: found.shape[0], : found.shape[1]].to(found.dtype)
    wanted = wanted if found.shape == (5, 7) else (wanted + wanted.T) / 2
    errors = found - wanted
    return errors.square().sum(), 2 * errors


def plain(left: Tensor, right: Tensor | None, dims: tuple[int, ...]) -> Tensor:
    """Return the definition: the sum over prefixes of the loss of their cosines."""
    other = left if right is None else right
    cosines = [normalize(left[:, :dim], dim=1) @ normalize(other[:, :dim], dim=1).T for dim in dims]
    return torch.stack([judge(one)[0] for one in cosines]).sum()


@pytest.mark.parametrize("dims", [(12, 6, 3), (3, 12), (6,), (12, 12), (40, 5)])
@pytest.mark.parametrize("count", [7, None])
def test_value_and_gradients_are_those_of_plain_products(dims: tuple[int, ...], count: int | None) -> None:
    left, right = rows(5, 2), None if count is None else rows(count, 3)
    given = [side for side in (left, right) if side is not None]
    loss, expected = prefix_loss(left, right, dims, judge=judge), plain(left, right, dims)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-12)
    for ours, theirs in zip(torch.autograd.grad(loss, given), torch.autograd.grad(expected, given), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)


def test_in_float32_the_order_of_the_sums_changes_less_than_a_millionth() -> None:
    left, right = rows(5, 2, torch.float32), rows(7, 3, torch.float32)
    (ours,) = torch.autograd.grad(prefix_loss(left, right, (12, 6, 3), judge=judge), [left])
    (theirs,) = torch.autograd.grad(plain(left, right, (12, 6, 3)), [left])
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-6


def test_a_row_of_zeros_has_no_cosine() -> None:
    left = torch.zeros(5, WIDTH, dtype=torch.float64)
    assert float(prefix_loss(left, rows(7, 3), (12, 6), judge=judge).detach()) == pytest.approx(
        float(2 * WANTED.square().sum())
    )


def count_operations(dims: tuple[int, ...]) -> int:
    left, right = rows(5, 2), rows(7, 3)
    with FlopCounterMode(display=False) as counter:
        prefix_loss(left, right, dims, judge=judge).backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops()


def test_all_prefixes_need_the_products_of_the_longest() -> None:
    assert count_operations((12, 6, 3)) == count_operations((12,)) > 0


def test_nothing_is_differentiated_without_gradients() -> None:
    left, right = rows(5, 2).detach(), rows(7, 3).detach()
    with FlopCounterMode(display=False) as counter:
        prefix_loss(left, right, (12,), judge=judge)
    assert counter.get_total_flops() * 3 == count_operations((12,))


def test_a_ranking_is_learned_in_mixed_precision() -> None:
    """The cosines are float32 there, too."""
    model = torch.nn.Linear(WIDTH, WIDTH)
    columns = [
        {"sentence_embedding": rows(count, count).float().detach(), "row": torch.arange(count)} for count in (5, 7)
    ]
    loss = RankingDistillationLoss(_Model(model), (12, 6))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(columns)
    found.backward()
    assert found.dtype == torch.float32
    assert model.weight.grad is not None
    assert model.weight.grad.isfinite().all()


class _Model(torch.nn.Module):
    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**features, "sentence_embedding": self.network(features["sentence_embedding"])}


def test_the_corrections_of_a_residual_are_computed_once() -> None:
    network = Residual(WIDTH, WIDTH).double()
    calls: list[int] = []
    network.correction.register_forward_hook(lambda *_: calls.append(1))
    columns = [{"sentence_embedding": rows(count, count).detach()} for count in (5, 7)]
    MatryoshkaAdaptorLoss(_Model(network), network, (12, 6))(columns)
    assert len(calls) == len(columns)
