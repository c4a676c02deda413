"""States that another shelf of the store holds under another key, or as those of another layer, are found there."""

import os
from pathlib import Path
from typing import Any

import pytest
from tiny_store import ABOUT, PARTS, put, states

from probe.io.files import read_sealed, write_sealed
from probe.layers.hookpoint import LayerPooling
from probe.store import listing as listing_module
from probe.store.chunk_file import dequantize
from probe.store.store import MANIFEST, Shelf, Store

FULL = {**PARTS, "text_sha256": "t", "rounding": "r"}
CUT = {**FULL, "weights_sha256": "of the cut"}
THEIRS: LayerPooling = (2, "mean")
OURS: LayerPooling = (1, "own")
CONTENT = "c0ffee"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def full(store: Store) -> Shelf:
    """A shelf that holds what is asked for, as another layer and pooling."""
    shelf = store.shelf(FULL, ABOUT, {THEIRS: CONTENT, (0, "mean"): "other"})
    put(shelf, 0, places=[(0, "mean"), THEIRS])
    put(shelf, 3, places=[THEIRS])
    return shelf


def ask(store: Store, **changes: Any) -> Shelf:
    return store.shelf({**CUT, **changes}, ABOUT, {OURS: CONTENT})


def test_states_are_found_under_their_name_in_another_shelf(store: Store, full: Shelf) -> None:
    shelf = ask(store)
    for number, places in ((0, [(0, "mean"), THEIRS]), (3, [THEIRS])):
        found = shelf.find(number, "t", [OURS, (1, "cls")])
        expected = dequantize(states(number, places)[THEIRS])
        assert set(found.tensors) == {OURS}
        assert (dequantize(found.tensors[OURS]) == expected).all()
        assert found.truncated == 1
    assert not shelf.find(1, "t", [OURS]).tensors
    assert shelf.count([OURS]) == {OURS: 2}


def test_seconds_are_those_of_the_layer_they_are_found_as(store: Store) -> None:
    put(store.shelf(FULL, ABOUT, {(0, "mean"): CONTENT}), places=[(0, "mean")])
    assert ask(store).find(0, "t", [OURS]).seconds == {1: 0.5}


def test_the_shelfs_own_states_come_first(store: Store, full: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = ask(store)
    put(shelf, 0, places=[OURS])

    def refuse(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr("probe.store.store.find_twins", refuse)
    assert (dequantize(shelf.find(0, "t", [OURS]).tensors[OURS]) == dequantize(states(0, [OURS])[OURS])).all()
    assert shelf.count([OURS], total=1) == {OURS: 1}


@pytest.mark.parametrize("part", ["text_sha256", "rounding"])
def test_other_texts_and_other_rounding_are_not_the_same(store: Store, full: Shelf, part: str) -> None:
    assert not ask(store, **{part: "other"}).find(0, "t", [OURS]).tensors


def test_a_chunk_of_other_texts_is_passed_by_and_stays(
    store: Store, full: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    assert not ask(store).find(0, "changed", [OURS]).tensors
    assert full.find(0, "t", [THEIRS]).tensors
    assert caplog.text == ""


def test_another_content_is_not_the_same(store: Store, full: Shelf) -> None:
    shelf = store.shelf(CUT, ABOUT, {OURS: "another"})
    assert not shelf.find(0, "t", [OURS]).tensors


def test_damage_in_another_shelf_is_named_and_left_to_it(
    store: Store, full: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    for path in full.folder.glob("*.safetensors"):
        content = path.read_bytes()
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    assert not ask(store).find(3, "t", [OURS]).tensors
    assert "is damaged" in caplog.text
    assert len(list(full.folder.glob("*.safetensors"))) == 2


def test_another_shelf_that_is_pruned_meanwhile_is_simply_not_there(
    store: Store, full: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = ask(store)
    assert shelf.find(0, "t", [OURS]).tensors
    for path in full.folder.iterdir():
        path.unlink()
    assert not shelf.find(3, "t", [OURS]).tensors
    assert caplog.text == ""


def test_ids_of_every_opening_are_kept(store: Store, full: Shelf) -> None:
    store.shelf(FULL, {**ABOUT, "model": "by another name"}, {(3, "cls"): "more"})
    manifest = read_sealed(full.folder / MANIFEST)
    assert manifest["contents"] == {"2:mean": CONTENT, "0:mean": "other", "3:cls": "more"}
    assert manifest["about"] == ABOUT
    assert ask(store).find(0, "t", [OURS]).tensors


def test_a_store_without_ids_opens_and_learns_them(store: Store) -> None:
    put(store.shelf(FULL, ABOUT), places=[THEIRS])
    assert "contents" not in read_sealed(store.shelf(FULL, ABOUT).folder / MANIFEST)
    assert not ask(store).find(0, "t", [OURS]).tensors
    assert set(store.shelf(FULL, ABOUT, {THEIRS: CONTENT}).find(0, "t", [THEIRS]).tensors) == {THEIRS}
    assert set(ask(store).find(0, "t", [OURS]).tensors) == {OURS}


@pytest.mark.parametrize("nonsense", [[], "x", {"contents": 3}, {"contents": {"what": 1}, "parts": {}}])
def test_a_manifest_that_makes_no_sense_is_passed_by(store: Store, full: Shelf, nonsense: Any) -> None:
    folder = store.folder / "shelves" / "0"
    folder.mkdir()
    write_sealed(folder / MANIFEST, {"key": "k", **nonsense} if isinstance(nonsense, dict) else nonsense)
    assert ask(store).find(0, "t", [OURS]).tensors


def test_manifests_are_read_once_however_many_the_chunks(
    store: Store, full: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[object] = []

    def spy(folder: Any) -> dict[str, Any]:
        read.append(folder)
        return real(folder)

    real = listing_module.read_manifest
    monkeypatch.setattr(listing_module, "read_manifest", spy)
    shelf = ask(store)
    for number in range(20):
        shelf.find(number, "t", [OURS])
    assert len(read) == 2


def test_a_shelf_read_from_counts_as_used(store: Store, full: Shelf) -> None:
    os.utime(full.folder / MANIFEST, (0, 0))
    ask(store).find(0, "t", [OURS])
    assert (full.folder / MANIFEST).stat().st_mtime > 0
