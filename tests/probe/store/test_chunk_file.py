"""A file of the store: what goes in comes out, and no damage goes unnoticed."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from probe.layers.hookpoint import LayerPooling
from probe.store import chunk_file
from probe.store.chunk_file import ChunkFile, ChunkRecord, DamagedChunk, Stored, dequantize, quantize, write_chunk

DICE = np.random.default_rng(0)
RECORD = ChunkRecord("s" * 64, "t" * 64, 2, {0: 0.25, 3: 1.5}, {})


def same(left: Stored, right: Stored) -> bool:
    return bool((left.values == right.values).all() and (left.centre == right.centre).all())


def read_record(path: Path) -> ChunkRecord:
    with ChunkFile(path) as file:
        return file.record


def read_tensors(path: Path, places: Iterable[LayerPooling]) -> dict[LayerPooling, Stored]:
    with ChunkFile(path) as file:
        return {place: file.read(place) for place in places}


def test_a_model_of_many_layers_comes_back(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    states = {(layer, "mean"): quantize(vectors + layer) for layer in range(25)}
    record = ChunkRecord("s" * 64, "t" * 64, 0, {layer: float(layer) for layer in range(25)}, {})
    write_chunk(tmp_path / "deep.safetensors", states, record)
    assert read_record(tmp_path / "deep.safetensors").seconds == record.seconds
    found = read_tensors(tmp_path / "deep.safetensors", states)
    assert all(same(stored, found[place]) for place, stored in states.items())


@pytest.fixture
def tensors() -> dict[LayerPooling, Stored]:
    return {(layer, "mean"): quantize(DICE.normal(size=(4, 8)).astype(np.float32)) for layer in (0, 3)}


@pytest.fixture
def file(tmp_path: Path, tensors: dict[LayerPooling, Stored]) -> Path:
    write_chunk(tmp_path / "000000-a.safetensors", tensors, RECORD)
    return tmp_path / "000000-a.safetensors"


def test_tensors_and_record_come_back(file: Path, tensors: dict[LayerPooling, Stored]) -> None:
    record = read_record(file)
    assert (record.shelf, record.text_hash, record.truncated) == (RECORD.shelf, RECORD.text_hash, 2)
    assert record.seconds == {0: 0.25, 3: 1.5}
    assert record.layer_poolings == set(tensors)
    for place, tensor in read_tensors(file, tensors).items():
        assert tensor.values.dtype == tensors[place].values.dtype
        assert same(tensor, tensors[place])


def test_no_flipped_byte_goes_unnoticed(file: Path, tensors: dict[LayerPooling, Stored]) -> None:
    content, noticed = file.read_bytes(), 0
    for i in range(len(content)):
        file.write_bytes(content[:i] + bytes([content[i] ^ 0x21]) + content[i + 1 :])
        try:
            record, found = read_record(file), read_tensors(file, tensors)
        except DamagedChunk:
            noticed += 1
            continue
        # Blanks between the values of the header may change, and nothing else.
        assert record == ChunkRecord(**{**vars(RECORD), "checksums": record.checksums})
        assert all(same(found[place], tensors[place]) for place in tensors), i
    assert noticed > 0.9 * len(content)


def test_no_cut_goes_unnoticed(file: Path, tensors: dict[LayerPooling, Stored]) -> None:
    content = file.read_bytes()
    for size in (0, 1, 8, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:size])
        with pytest.raises(DamagedChunk):
            read_tensors(file, tensors)


def test_one_hookpoint_is_read_without_the_others(file: Path, tensors: dict[LayerPooling, Stored]) -> None:
    content = bytearray(file.read_bytes())
    at = content.rindex(tensors[3, "mean"].values.tobytes())
    content[at] ^= 1
    file.write_bytes(bytes(content))
    assert same(read_tensors(file, [(0, "mean")])[0, "mean"], tensors[0, "mean"])
    with pytest.raises(DamagedChunk, match="checksum mismatch of 3:mean"):
        read_tensors(file, [(3, "mean")])


def test_a_file_of_another_version_is_refused(
    tmp_path: Path, tensors: dict[LayerPooling, Stored], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk_file, "SCHEMA", 99)
    write_chunk(tmp_path / "a.safetensors", tensors, RECORD)
    monkeypatch.undo()
    with pytest.raises(DamagedChunk, match="another version"):
        read_record(tmp_path / "a.safetensors")


def test_a_missing_file_is_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(DamagedChunk):
        read_record(tmp_path / "nowhere.safetensors")


def test_ordinary_states_are_halved() -> None:
    vectors = DICE.normal(size=(5, 16)).astype(np.float32)
    assert quantize(vectors).values.dtype == np.float16
    assert np.abs(dequantize(quantize(vectors)) - vectors).max() < 2e-3


def test_what_tells_vectors_apart_keeps_its_digits() -> None:
    vectors = (100 + 0.1 * DICE.normal(size=(50, 16))).astype(np.float32)
    apart = vectors - vectors.mean(axis=0)
    change = np.linalg.norm(dequantize(quantize(vectors)) - vectors, axis=1)
    assert quantize(vectors).values.dtype == np.float16
    assert (change <= 2**-10 * np.linalg.norm(apart, axis=1)).all()


@pytest.mark.parametrize("scale", [1e6, 1e-8], ids=["overflow", "underflow"])
def test_states_float16_cannot_hold_stay_float32(scale: float) -> None:
    vectors = (DICE.normal(size=(5, 16)) * scale).astype(np.float32)
    assert quantize(vectors).values.dtype == np.float32
    assert (dequantize(quantize(vectors)) == vectors).all()


def test_a_text_without_a_token_stays_exactly_zero() -> None:
    vectors = DICE.normal(size=(5, 16)).astype(np.float32)
    vectors[3] = 0
    assert not dequantize(quantize(vectors))[3].any()


def test_equal_vectors_stay_equal() -> None:
    vectors = np.tile(DICE.normal(size=(1, 16)).astype(np.float32), (7, 1))
    assert (dequantize(quantize(vectors)) == vectors).all()


def test_no_texts_at_all_are_stored() -> None:
    assert dequantize(quantize(np.zeros((0, 3), np.float32))).shape == (0, 3)
