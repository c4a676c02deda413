"""Packed vectors in the indexes of other libraries: the same documents in the same order."""

import faiss
import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from usearch.index import Index

from adaptors.quantizing.calibration import calibrate_mixed, calibrate_quantizer
from adaptors.quantizing.quantizer import Quantizer, Signs
from probe.metrics.vectors import Embeddings, unit

K = 10
LEVELS = {8: (faiss.ScalarQuantizer.QT_8bit, 255), 4: (faiss.ScalarQuantizer.QT_4bit, 15)}


def drawn(count: int, dim: int, seed: int) -> Embeddings:
    """Return unit vectors whose first dimensions vary most."""
    rng = np.random.default_rng(seed)
    return unit((rng.normal(size=(count, dim)) * np.linspace(2, 0.2, dim) + 0.2).astype(np.float32))


def scalar_index(quantizer: Quantizer, bits: int) -> faiss.IndexScalarQuantizer:
    """Return an empty faiss index with the ranges of a quantizer."""
    kind, last = LEVELS[bits]
    index = faiss.IndexScalarQuantizer(quantizer.dim, kind, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(np.concatenate([quantizer.start, quantizer.step * last]), index.sq.trained)
    index.is_trained = True
    return index


def check_same_order(rows: np.ndarray, scores: Embeddings, expected: Embeddings) -> None:
    """Check that found documents are the best ones, up to the order of scores that are equal in float32."""
    best = -np.sort(-expected, axis=1)[:, :K]
    found = np.take_along_axis(expected, rows.astype(np.int64), 1)
    assert np.allclose(found, best, atol=2e-6)
    assert np.allclose(scores, best, atol=2e-6)


@pytest.mark.parametrize("bits", [8, 4])
def test_faiss_finds_the_same_documents_in_codes_of_even_bits(bits: int) -> None:
    documents, queries = drawn(3000, 96, 0), drawn(40, 96, 1)
    quantizer = calibrate_quantizer(documents, bits)
    packed = quantizer.encode_documents(documents)
    index = scalar_index(quantizer, bits)
    index.add_sa_codes(packed)
    assert index.sa_code_size() == quantizer.bytes
    assert np.allclose(index.reconstruct_n(0, 50), quantizer.decode(packed[:50]), atol=1e-6)
    assert np.array_equal(index.sa_encode(documents[:500]), packed[:500])
    scores, rows = index.search(queries, K)
    check_same_order(rows, scores, queries @ quantizer.decode(packed).T)
    ours = quantizer.search(queries, packed, K)
    check_same_order(ours.rows, ours.scores, queries @ quantizer.decode(packed).T)


def test_a_hundred_thousand_vectors_of_96_bytes_take_96_bytes_each_and_rank_as_in_faiss() -> None:
    documents, queries = drawn(100_000, 192, 0), drawn(5, 192, 1)
    quantizer = calibrate_quantizer(documents, 4)
    packed = quantizer.encode_documents(documents)
    assert packed.nbytes == 100_000 * 96
    index = scalar_index(quantizer, 4)
    index.add_sa_codes(packed)
    scores, rows = index.search(queries, K)
    ours = quantizer.search(queries, packed, K)
    assert np.allclose(ours.scores, scores, atol=2e-6)
    apart = ours.rows != rows
    assert np.allclose(ours.scores[apart], scores[apart], atol=2e-6)
    assert apart.mean() < 0.05
    assert calibrate_mixed(documents, 96).encode_documents(documents).nbytes == 100_000 * 96


def test_signs_rank_by_the_hamming_distance_of_faiss_and_usearch() -> None:
    documents, queries = drawn(2000, 128, 0), drawn(20, 128, 1)
    quantizer = calibrate_quantizer(documents, 1, unit=True)
    packed, asked = quantizer.encode_documents(documents), quantizer.encode_documents(queries)
    signs = Signs(quantizer)
    products = signs.approximate(queries) @ signs.approximate(documents).T
    flat = faiss.IndexBinaryFlat(128)
    flat.add(packed)
    distances, rows = flat.search(asked, K)
    assert np.array_equal(128 - 2 * distances, -np.sort(-products, axis=1)[:, :K])
    assert np.array_equal(np.take_along_axis(products, rows, 1), 128 - 2 * distances)
    index = Index(ndim=128, metric="hamming", dtype="b1")
    index.add(np.arange(len(packed), dtype=np.uint64), packed)
    found = index.search(asked, K, exact=True)
    assert np.array_equal(found.distances.astype(np.int64), distances)


@pytest.mark.parametrize(
    "config",
    [
        models.ScalarQuantization(scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8)),
        models.BinaryQuantization(binary=models.BinaryQuantizationConfig()),
    ],
)
def test_qdrant_takes_decoded_vectors_and_ranks_them_again_itself(config: object) -> None:
    documents, queries = drawn(500, 64, 0), drawn(8, 64, 1)
    quantizer = calibrate_quantizer(documents, 8)
    decoded = quantizer.approximate(documents)
    client = QdrantClient(":memory:")
    client.create_collection(
        "texts",
        vectors_config=models.VectorParams(size=64, distance=models.Distance.DOT),
        quantization_config=config,  # type: ignore[arg-type]
    )
    client.upload_collection("texts", vectors=decoded, ids=range(len(decoded)))
    rescored = models.SearchParams(quantization=models.QuantizationSearchParams(rescore=True, oversampling=4))
    expected = quantizer.search(queries, quantizer.encode_documents(documents), K)
    for row, query in enumerate(queries):
        hits = client.query_points("texts", query=query.tolist(), limit=K, search_params=rescored).points
        assert [hit.score for hit in hits] == pytest.approx(expected.scores[row].tolist(), abs=1e-5)
