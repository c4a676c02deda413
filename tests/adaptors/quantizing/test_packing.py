"""Codes come out of their packing as they went in, in as many bytes as their bits need."""

import numpy as np
import pytest

from adaptors.quantizing.packing import pack_codes, packed_size, unpack_codes


@pytest.mark.parametrize("seed", range(40))
def test_packing_round_trips(seed: int) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 9, rng.integers(1, 40)).astype(np.uint8)
    bits[0] = max(1, bits[0])
    codes = (rng.integers(0, 256, (rng.integers(0, 20), len(bits))) % (1 << bits.astype(int))).astype(np.uint8)
    packed = pack_codes(codes, bits)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(codes), packed_size(bits)) == (len(codes), -(-int(bits.sum()) // 8))
    assert (unpack_codes(packed, bits) == codes).all()


@pytest.mark.parametrize(("bits", "size"), [(8, 96), (4, 48), (3, 36), (2, 24), (1, 12)])
def test_even_bits_take_the_bytes_that_they_say(bits: int, size: int) -> None:
    assert packed_size(np.full(96, bits, np.uint8)) == size


def test_one_bit_is_packed_as_numpy_does_and_others_lowest_first() -> None:
    signs = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 1]], np.uint8)
    assert pack_codes(signs, np.ones(9, np.uint8)).tolist() == [[0b10000000, 0b10000000]]
    assert pack_codes(np.array([[3, 10]], np.uint8), np.full(2, 4, np.uint8)).tolist() == [[0xA3]]
    assert pack_codes(np.array([[1, 5, 2]], np.uint8), np.array([1, 3, 4], np.uint8)).tolist() == [[0b0010_101_1]]
