"""The store: what is kept is found again, what is damaged is named and redone, a stubborn disk stops nothing."""

import json
import logging
import os
import threading
from pathlib import Path

import pytest
from tiny_store import ABOUT, PARTS, PLACES, put, states

from probe.io.files import write_sealed
from probe.store import store as store_module
from probe.store.chunk_file import dequantize
from probe.store.store import MANIFEST, Shelf, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def shelf(store: Store) -> Shelf:
    return store.shelf(PARTS, ABOUT)


def test_what_is_put_is_found(shelf: Shelf) -> None:
    put(shelf)
    found = shelf.find(0, "t", PLACES)
    assert all((dequantize(found.tensors[place]) == dequantize(tensor)).all() for place, tensor in states().items())
    assert (found.seconds, found.truncated) == ({0: 0.5}, 1)


def test_only_what_is_asked_for_is_read(shelf: Shelf) -> None:
    put(shelf)
    assert set(shelf.find(0, "t", [(0, "cls"), (5, "cls")]).tensors) == {(0, "cls")}


def test_a_later_file_adds_to_a_chunk(shelf: Shelf) -> None:
    put(shelf, places=[(0, "cls")])
    put(shelf, places=[(0, "mean")])
    assert set(shelf.find(0, "t", PLACES).tensors) == set(PLACES)
    assert shelf.count(PLACES) == {(0, "cls"): 1, (0, "mean"): 1}


def test_count_says_how_many_chunks_hold_a_place(shelf: Shelf) -> None:
    put(shelf, 0)
    put(shelf, 1, places=[(0, "cls")])
    assert shelf.count(PLACES) == {(0, "cls"): 2, (0, "mean"): 1}


@pytest.mark.parametrize("part", list(PARTS))
def test_key_law_another_part_is_another_shelf(store: Store, shelf: Shelf, part: str) -> None:
    put(shelf)
    other = store.shelf({**PARTS, part: "other"}, ABOUT)
    assert other.folder != shelf.folder
    assert not other.find(0, "t", PLACES).tensors


def test_states_of_other_texts_are_not_read(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    put(shelf)
    assert not shelf.find(0, "changed", PLACES).tensors
    assert "other texts" in caplog.text


def test_a_file_of_another_shelf_is_not_read(store: Store, shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    put(shelf)
    other = store.shelf({**PARTS, "dtype": "bfloat16"}, ABOUT)
    for path in shelf.folder.glob("*.safetensors"):
        path.rename(other.folder / path.name)
    assert not other.find(0, "t", PLACES).tensors
    assert "encoding its texts again" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_a_damaged_chunk_is_named_and_redone(shelf: Shelf, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    put(shelf)
    (path,) = shelf.folder.glob("*.safetensors")
    content = path.read_bytes()
    flipped = content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    path.write_bytes(flipped if damage == "flip" else content[:-9])
    assert not shelf.find(0, "t", PLACES).tensors
    assert str(path) in caplog.text
    put(shelf)
    assert shelf.find(0, "t", PLACES).tensors


def test_the_manifest_says_what_decided_the_vectors(shelf: Shelf) -> None:
    manifest = json.loads((shelf.folder / MANIFEST).read_text())["value"]
    assert (manifest["parts"], manifest["about"], manifest["schema"]) == (PARTS, ABOUT, store_module.SCHEMA)


@pytest.mark.parametrize("fault", ["version", "damage", "nonsense"])
def test_a_wrong_manifest_is_named_and_written_anew(
    store: Store, shelf: Shelf, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf)
    path = shelf.folder / MANIFEST
    if fault == "version":
        write_sealed(path, {"schema": 99, "key": shelf.key})
    elif fault == "damage":
        path.write_text(path.read_text().replace("documents", "documemts"))
    else:
        write_sealed(path, ["not", "a", "manifest"])
    again = store.shelf(PARTS, ABOUT)
    assert str(path) in caplog.text
    assert json.loads(path.read_text())["value"]["about"] == ABOUT
    assert again.find(0, "t", PLACES).tensors


def test_a_full_disk_is_said_once_and_stops_nothing(
    store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module, "write_chunk", full)
    put(shelf, 0)
    put(shelf, 1)
    assert caplog.text.count("No space left on device") == 1
    assert not list(shelf.folder.glob("*.safetensors"))


def test_a_store_that_cannot_be_written_is_still_read(
    store: Store, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(shelf)

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("probe.store.store.write_chunk", refuse)
    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    again = Store(store.folder).shelf(PARTS, ABOUT)
    assert again.find(0, "t", PLACES).tensors
    put(again, 1)
    assert "Permission denied" in caplog.text


def test_a_store_in_the_way_of_a_file_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    shelf = Store(tmp_path / "file" / "store").shelf(PARTS, ABOUT)
    put(shelf)
    assert not shelf.find(0, "t", PLACES).tensors
    assert "continuing without" in caplog.text


def test_a_shelf_deleted_under_a_run_is_made_again(shelf: Shelf) -> None:
    put(shelf)
    for path in shelf.folder.iterdir():
        path.unlink()
    shelf.folder.rmdir()
    put(shelf)
    assert shelf.find(0, "t", PLACES).tensors


def test_facts_of_a_model_are_kept_by_what_decides_them(store: Store) -> None:
    assert store.read_facts(PARTS) is None
    store.write_facts(PARTS, {"depth": 6})
    assert store.read_facts(PARTS) == {"depth": 6}
    assert store.read_facts({**PARTS, "dtype": "other"}) is None


def test_damaged_facts_are_named_and_not_used(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.write_facts(PARTS, {"depth": 6})
    (path,) = store.folder.glob("models/*.json")
    path.write_text(path.read_text().replace("6", "7", 1))
    assert store.read_facts(PARTS) is None
    assert str(path) in caplog.text


def test_many_writers_of_one_chunk_leave_one_sound_file(store: Store) -> None:
    shelves = [Store(store.folder).shelf(PARTS, ABOUT) for _ in range(4)]
    threads = [threading.Thread(target=put, args=(shelf,)) for shelf in shelves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(shelves[0].folder.glob("*.safetensors"))) == 1
    assert shelves[0].find(0, "t", PLACES).tensors


def test_nothing_is_logged_where_nothing_is_wrong(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        put(shelf)
        shelf.find(0, "t", PLACES)
    assert caplog.text == ""
