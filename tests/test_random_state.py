"""What a test draws at random follows from its name, whichever tests the process ran before."""

import random
import zlib

import numpy as np
import pytest
import torch

COUNT = 3


@pytest.fixture
def drawn_by_a_fixture() -> torch.Tensor:
    return torch.rand(COUNT)


def _expected(name: str) -> torch.Tensor:
    return torch.rand(COUNT, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))


@pytest.mark.parametrize("run", [1, 2])
def test_draws_follow_the_name_of_the_test(request: pytest.FixtureRequest, run: int) -> None:
    name = request.node.nodeid
    assert torch.equal(torch.rand(COUNT), _expected(name))
    assert random.random() == random.Random(zlib.crc32(name.encode())).random()
    assert np.random.rand() == np.random.RandomState(zlib.crc32(name.encode())).rand()  # noqa: NPY002


def test_a_fixture_draws_other_numbers_than_its_test(drawn_by_a_fixture: torch.Tensor) -> None:
    assert torch.equal(drawn_by_a_fixture, _expected("drawn_by_a_fixture"))
    assert not torch.equal(drawn_by_a_fixture, torch.rand(COUNT))
