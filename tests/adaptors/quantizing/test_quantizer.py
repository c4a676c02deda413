"""A quantizer decodes to the nearest of its values, codes as sentence-transformers does, and searches exactly."""

import numpy as np
import pytest
from sentence_transformers.util.quantization import quantize_embeddings

from adaptors.quantizing.calibration import calibrate_mixed, calibrate_quantizer, spread_bits
from adaptors.quantizing.quantizer import Quantizer
from probe.errors import CallError
from probe.metrics.vectors import Embeddings, unit


def drawn(count: int = 500, dim: int = 24, seed: int = 0) -> Embeddings:
    """Return unit vectors whose first dimensions vary most."""
    rng = np.random.default_rng(seed)
    scales = np.linspace(2, 0.1, dim)
    return unit((rng.normal(size=(count, dim)) * scales + 0.3).astype(np.float32))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8])
def test_decoded_values_are_within_half_a_step_inside_the_range(bits: int) -> None:
    vectors = drawn()
    quantizer = calibrate_quantizer(vectors, bits)
    decoded = quantizer.decode(quantizer.encode_documents(vectors))
    assert np.array_equal(decoded, quantizer.approximate(vectors))
    last = quantizer.start + quantizer.step * 2**bits
    inside = (vectors >= quantizer.start) & (vectors < last)
    assert inside.mean() > 0.5
    apart = np.abs(decoded - vectors) / quantizer.step
    assert apart[inside].max() <= 0.5 + 1e-4


def test_more_bits_err_less_and_four_err_as_normal_values_should() -> None:
    vectors = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
    errors = [
        np.square(calibrate_quantizer(vectors, bits).approximate(vectors) - vectors).mean() for bits in range(1, 9)
    ]
    assert errors == sorted(errors, reverse=True)
    # Max (1960): 0.3634, 0.1188, 0.0374, 0.0115 for 1 to 4 bits.
    assert errors[:4] == pytest.approx([0.3634, 0.1188, 0.0374, 0.0115], rel=0.06)


def test_one_bit_is_the_side_of_the_mean() -> None:
    vectors = drawn()
    codes = calibrate_quantizer(vectors, 1).codes(vectors)
    assert (codes == (vectors >= vectors.mean(axis=0))).mean() > 0.999


def test_decoded_vectors_have_length_one_if_that_is_asked_for() -> None:
    vectors = drawn()
    plain, unit_length = (calibrate_quantizer(vectors, 2, unit=flag) for flag in (False, True))
    assert np.array_equal(plain.codes(vectors), unit_length.codes(vectors))
    assert np.allclose(unit(plain.approximate(vectors)), unit_length.approximate(vectors), atol=1e-6)
    assert not np.allclose(np.linalg.norm(plain.approximate(vectors), axis=1), 1, atol=1e-3)


def test_a_constant_dimension_is_decoded_to_its_constant() -> None:
    vectors = drawn()
    vectors[:, 3] = 0.25
    assert calibrate_quantizer(vectors, 4).approximate(vectors)[:, 3] == pytest.approx(0.25, abs=1e-5)


def test_int8_and_binary_are_those_of_sentence_transformers_in_the_same_ranges() -> None:
    vectors, dim = drawn(), 24
    ranges = np.vstack([vectors.min(axis=0), vectors.max(axis=0)])
    steps = ((ranges[1] - ranges[0]) / 255).astype(np.float32)
    eight = Quantizer(np.full(dim, 8, np.uint8), ranges[0], steps)
    theirs = quantize_embeddings(vectors, "uint8", ranges=ranges)
    assert np.array_equal(eight.encode_documents(vectors), theirs)
    zero = Quantizer(np.ones(dim, np.uint8), np.full(dim, -1, np.float32), np.ones(dim, np.float32))
    assert np.array_equal(zero.encode_documents(vectors), quantize_embeddings(vectors, "ubinary"))


@pytest.mark.parametrize("k", [1, 7, 500, 900])
def test_a_search_finds_the_largest_products_of_decoded_documents(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptors.quantizing.quantizer._BLOCK", 64)
    vectors, queries = drawn(), drawn(5, seed=1)
    quantizer = calibrate_quantizer(vectors, 2)
    packed = quantizer.encode_documents(vectors)
    hits = quantizer.search(queries, packed, k)
    products = (queries.astype(np.float64) @ quantizer.decode(packed).astype(np.float64).T).astype(np.float32)
    expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
    assert np.array_equal(hits.rows, expected)
    assert np.array_equal(hits.scores, np.take_along_axis(products, expected, 1))


def test_bits_go_where_they_reduce_the_error_most() -> None:
    variances = np.array([1.0, 1.0, 0.25, 0.01, 0.0], np.float32)
    bits = spread_bits(variances, 1)
    assert bits.tolist() == [3, 3, 2, 0, 0]
    assert spread_bits(variances, 5).tolist() == [8] * 5
    vectors = drawn(dim=32)
    mixed = calibrate_mixed(vectors, 8)
    assert mixed.bytes == 8
    even = calibrate_quantizer(vectors, 2)
    assert even.bytes == 8

    def error(quantizer: Quantizer) -> float:
        """Return the squared error over all vectors."""
        return float(np.square(quantizer.approximate(vectors) - vectors).sum())

    assert error(mixed) < error(even)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q, v: q.encode_documents(v[:, :5]), r"shape \(500, 5\): expected \(N, 24\)"),
        (lambda q, v: q.encode_documents(np.where(v > 0, np.nan, v)), "not finite"),
        (lambda q, v: q.decode(np.zeros((2, 3), np.uint8)), r"expected uint8 \(N, 12\)"),
        (lambda q, v: q.search(v, q.encode_documents(v), 0), "k"),
        (lambda q, v: calibrate_quantizer(v, 9), "expected 0 to 8"),
        (lambda q, v: calibrate_quantizer(v, 0), "not all 0"),
        (lambda q, v: calibrate_quantizer(v[:0], 4), "N > 0"),
        (lambda q, v: calibrate_mixed(v, 25), "at most 24"),
    ],
)
def test_wrong_input_is_refused(call: object, message: str) -> None:
    vectors = drawn()
    with pytest.raises(CallError, match=message):
        call(calibrate_quantizer(vectors, 4), vectors)  # type: ignore[operator]
