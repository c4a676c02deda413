"""A store in a bucket: the same bits as on the disk, damage noticed, nothing half-written, no listing per chunk."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_bucket import Bucket, use_bucket
from tiny_store import ABOUT, EVERYWHERE, PARTS, PLACES, Spy, put, same, states

from probe.data.dataset import Dataset
from probe.encoding import chunk_states as states_module
from probe.encoding.chunk_states import RunContext, prompted_documents, read_states
from probe.encoding.reader import LayerReader, LayerStates
from probe.evaluation import evaluate as sweep_module
from probe.io.locations import locate
from probe.models.loaded import LoadedModel
from probe.store import store as store_module
from probe.store.chunk_file import ChunkRecord, dequantize, pack_chunk
from probe.store.inventory import find_rubbish, list_shelves, prune, select_shelves, verify
from probe.store.store import Shelf, Store

__all__ = ["use_bucket"]


@pytest.fixture(params=["fake", "memory", "file"])
def store(request: pytest.FixtureRequest, use_bucket: type[Bucket], tmp_path: Path) -> Store:
    """An empty store at a URL of each kind."""
    return Store(locate(f"{request.param}://{tmp_path}/store"))


@pytest.fixture
def bucket_store(use_bucket: type[Bucket]) -> Store:
    """An empty store in the bucket."""
    return Store(locate("fake://bucket/store"))


def chunk_keys() -> list[str]:
    return sorted(key for key in Bucket.objects if key.endswith(".safetensors"))


def flip(key: str) -> None:
    content, written = Bucket.objects[key]
    Bucket.objects[key] = (content[:-3] + bytes([content[-3] ^ 1]) + content[-2:], written)


def test_what_is_put_is_found(store: Store) -> None:
    shelf = store.shelf(PARTS, ABOUT)
    put(shelf)
    for asked in (shelf, Store(store.folder).shelf(PARTS, ABOUT)):
        found = asked.find(0, "t", PLACES)
        assert all((dequantize(found.tensors[place]) == dequantize(tensor)).all() for place, tensor in states().items())
        assert (found.seconds, found.truncated) == ({0: 0.5}, 1)
        assert asked.count(PLACES) == dict.fromkeys(PLACES, 1)


def test_facts_of_a_model_are_kept(store: Store) -> None:
    assert store.read_facts(PARTS) is None
    store.write_facts(PARTS, {"depth": 6})
    assert store.read_facts(PARTS) == {"depth": 6}


def test_a_chunk_in_a_bucket_has_the_bytes_of_one_on_the_disk(bucket_store: Store, tmp_path: Path) -> None:
    put(bucket_store.shelf(PARTS, ABOUT))
    put(Store(tmp_path).shelf(PARTS, ABOUT))
    (local,) = tmp_path.rglob("*.safetensors")
    assert [Bucket.objects[key][0] for key in chunk_keys()] == [local.read_bytes()]
    assert chunk_keys()[0].endswith(local.relative_to(tmp_path).as_posix())


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_chunk_is_named_removed_and_redone(
    bucket_store: Store, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)
    put(shelf)
    (key,) = chunk_keys()
    content = Bucket.objects[key][0]
    Bucket.objects[key] = (content[:-9] if damage == "cut" else b"", 0.0)
    if damage == "flip":
        Bucket.objects[key] = (content, 0.0)
        flip(key)
    assert not shelf.find(0, "t", PLACES).tensors
    assert f"fake://{key}" in caplog.text
    assert "encoding its texts again" in caplog.text
    assert chunk_keys() == []
    put(shelf)
    assert set(shelf.find(0, "t", PLACES).tensors) == set(PLACES)


def test_a_chunk_that_a_network_refuses_is_not_taken_for_damaged(
    bucket_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)
    put(shelf)
    Bucket.broken["get"] = TimeoutError("no answer")
    assert not shelf.find(0, "t", PLACES).tensors
    assert "cannot read" in caplog.text
    with pytest.raises(OSError, match="no answer"):
        find_rubbish(bucket_store)
    Bucket.broken.clear()
    assert len(chunk_keys()) == 1
    assert shelf.find(0, "t", PLACES).tensors


def test_a_write_that_fails_leaves_nothing_and_is_said_once(
    bucket_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)
    Bucket.broken["put"] = RuntimeError("quota exceeded")
    put(shelf, 0)
    put(shelf, 1)
    assert caplog.text.count("quota exceeded") == 1
    assert chunk_keys() == []
    assert not shelf.find(0, "t", PLACES).tensors


def test_a_write_that_stops_half_way_leaves_nothing(bucket_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)

    def half(*args: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("probe.store.chunk_file.pack_chunk", half)
    with pytest.raises(KeyboardInterrupt):
        put(shelf)
    assert chunk_keys() == []


def test_a_store_that_cannot_be_listed_is_said_and_written_all_the_same(
    bucket_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)
    Bucket.broken["list"] = PermissionError("list not allowed")
    assert shelf.count(PLACES) == dict.fromkeys(PLACES, 0)
    assert "list not allowed" in caplog.text
    put(shelf)
    assert set(shelf.find(0, "t", PLACES).tensors) == set(PLACES)


def test_opening_a_shelf_makes_it_new_and_keeps_its_manifest(bucket_store: Store) -> None:
    put(bucket_store.shelf(PARTS, ABOUT))
    (manifest,) = (key for key in Bucket.objects if key.endswith("manifest.json"))
    content = Bucket.objects[manifest][0]
    Bucket.objects[manifest] = (content, 5.0)
    (shelf,) = list_shelves(bucket_store)
    assert shelf.used.startswith("1970")
    assert select_shelves(bucket_store, unused_days=5) == [shelf.folder]
    bucket_store.shelf(PARTS, ABOUT)
    assert Bucket.objects[manifest][0] == content
    assert select_shelves(bucket_store, unused_days=5) == []


def test_shelves_are_listed_verified_and_pruned(store: Store) -> None:
    for prompt in ("", "query: "):
        put(store.shelf({**PARTS, "prompt": prompt}, ABOUT))
    store.write_facts(PARTS, {"depth": 6})
    shelves = list_shelves(store)
    record = ChunkRecord(Shelf(store, shelves[0].folder, "k" * 64).key, "t", 1, {0: 0.5}, {})
    assert [(shelf.model, shelf.texts, shelf.hookpoints, shelf.chunks) for shelf in shelves] == [("m", 8, 2, 1)] * 2
    assert shelves[0].bytes == len(pack_chunk(states(), record))
    assert verify(store) == []
    files, size = prune([shelves[0].folder])
    assert (files, [shelf.folder for shelf in list_shelves(store)]) == (2, [shelves[1].folder])
    assert size > shelves[0].bytes
    assert prune(select_shelves(store, everything=True))[0] == 2
    assert list_shelves(store) == []


def test_a_flipped_byte_is_named_and_pruned(bucket_store: Store) -> None:
    for number in range(3):
        put(bucket_store.shelf(PARTS, ABOUT), number)
    flip(chunk_keys()[1])
    (message,) = verify(bucket_store)
    assert f"fake://{chunk_keys()[1]}" in message
    assert prune(find_rubbish(bucket_store))[0] == 1
    assert [key.rpartition("/")[2][:6] for key in chunk_keys()] == ["000000", "000002"]


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (states_module, sweep_module):
        monkeypatch.setattr(module, "CHUNK", 7)


@pytest.mark.usefixtures("_small_chunks")
def test_states_are_the_same_bits_as_without_a_store(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    side = prompted_documents(LayerReader(model), dataset)
    without = list(read_states(LayerReader(model), side, EVERYWHERE))
    for ran in (6, 0):
        spy = Spy(model)
        assert same(without, list(read_states(spy, side, EVERYWHERE, context=RunContext(store))))
        assert len(spy.ran) == ran


@pytest.mark.usefixtures("_small_chunks")
def test_only_a_damaged_chunk_of_a_bucket_is_run_again(
    model: LoadedModel, dataset: Dataset, bucket_store: Store
) -> None:
    side = prompted_documents(LayerReader(model), dataset)
    first = list(read_states(LayerReader(model), side, EVERYWHERE, context=RunContext(bucket_store)))
    flip(chunk_keys()[2])
    spy = Spy(model)
    assert same(first, list(read_states(spy, side, EVERYWHERE, context=RunContext(bucket_store))))
    assert len(spy.ran) == 1
    assert verify(bucket_store) == []


def test_a_file_without_what_is_wanted_is_not_fetched(bucket_store: Store) -> None:
    shelf = bucket_store.shelf(PARTS, ABOUT)
    for number in range(4):
        put(shelf, number, places=[(0, "cls")])
        put(shelf, number, places=[(0, "mean")])
    shelf.count(PLACES)
    before = Bucket.requests["get"]
    for number in range(4):
        assert set(shelf.find(number, "t", [(0, "mean")]).tensors) == {(0, "mean")}
    assert Bucket.requests["get"] - before == 4


@pytest.fixture
def listings(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how often a folder of the disk was listed so far."""
    seen = []

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def count(*args: object) -> object:
            seen.append(args)
            return real(*args)

        return count

    monkeypatch.setattr(os, "listdir", counted(os.listdir))
    monkeypatch.setattr(os, "scandir", counted(os.scandir))
    return lambda: len(seen)


@pytest.mark.parametrize("warm", [False, True])
def test_listings_do_not_grow_with_the_chunks(
    model: LoadedModel,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    listings: Callable[[], int],
    warm: bool,
) -> None:
    counts = []
    for size in (20, 2):
        monkeypatch.setattr(states_module, "CHUNK", size)
        store = Store(tmp_path / str(size))
        reader = LayerReader(model)
        if warm:
            list(read_states(reader, prompted_documents(reader, dataset), EVERYWHERE, context=RunContext(store)))
        before = listings()
        list(read_states(reader, prompted_documents(reader, dataset), EVERYWHERE, context=RunContext(store)))
        counts.append(listings() - before)
    assert len(list(tmp_path.glob("2/shelves/*/*.safetensors"))) == 20
    # What is missing is looked for in other shelves, too.
    assert counts == ([1, 1] if warm else [2, 2])


@pytest.mark.parametrize("warm", [False, True])
def test_a_bucket_is_not_listed_per_chunk_either(
    model: LoadedModel, dataset: Dataset, bucket_store: Store, monkeypatch: pytest.MonkeyPatch, warm: bool
) -> None:
    counts = []
    for size in (20, 2):
        monkeypatch.setattr(states_module, "CHUNK", size)
        Bucket.objects.clear()
        side = prompted_documents(LayerReader(model), dataset)
        for _ in range(1 + warm):
            before = Bucket.requests["list"]
            list(read_states(LayerReader(model), side, EVERYWHERE, context=RunContext(bucket_store)))
        counts.append(Bucket.requests["list"] - before)
    assert counts[0] == counts[1]


def test_a_chunk_that_another_process_finished_meanwhile_is_found(store: Store) -> None:
    ours, theirs = (Store(store.folder).shelf(PARTS, ABOUT) for _ in range(2))
    assert ours.count(PLACES) == dict.fromkeys(PLACES, 0)
    put(theirs, 3)
    assert set(ours.find(3, "t", PLACES).tensors) == set(PLACES)


def test_counting_lists_anew(store: Store) -> None:
    ours, theirs = (Store(store.folder).shelf(PARTS, ABOUT) for _ in range(2))
    assert ours.count(PLACES) == dict.fromkeys(PLACES, 0)
    put(theirs, 3, places=PLACES[:1])
    assert ours.count(PLACES) == {PLACES[0]: 1, PLACES[1]: 0}


def test_what_was_put_since_the_listing_is_known(store: Store) -> None:
    shelf = store.shelf(PARTS, ABOUT)
    shelf.count(PLACES)
    for place in PLACES:
        put(shelf, 3, places=[place])
    assert set(shelf.find(3, "t", PLACES).tensors) == set(PLACES)


def test_a_chunk_that_another_process_finished_in_other_files_is_at_worst_put_twice(store: Store) -> None:
    ours, theirs = (Store(store.folder).shelf(PARTS, ABOUT) for _ in range(2))
    ours.count(PLACES)
    for place in PLACES:
        put(theirs, 3, places=[place])
    put(ours, 3)
    assert set(ours.find(3, "t", PLACES).tensors) == set(PLACES)
    assert verify(store) == []


def test_a_chunk_that_was_deleted_since_it_was_listed_is_simply_not_there(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = (Store(store.folder).shelf(PARTS, ABOUT) for _ in range(2))
    put(theirs)
    ours.count(PLACES)
    prune([theirs.folder])
    with caplog.at_level(logging.INFO):
        assert not ours.find(0, "t", PLACES).tensors
    assert caplog.text == ""


def test_a_half_written_manifest_is_impossible_for_a_network_that_breaks(
    bucket_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    Bucket.broken["put"] = ConnectionResetError("gone")
    shelf = bucket_store.shelf(PARTS, ABOUT)
    assert store_module.MANIFEST not in "".join(Bucket.objects)
    assert "continuing without storing vectors" in caplog.text
    assert not shelf.find(0, "t", PLACES).tensors


def test_states_run_on_when_the_bucket_breaks(model: LoadedModel, dataset: Dataset, bucket_store: Store) -> None:
    class Breaking(Spy):
        def run(self, *args: object, **options: object) -> LayerStates:  # type: ignore[override]
            Bucket.broken.update(put=RuntimeError("down"), get=RuntimeError("down"))
            return super().run(*args, **options)  # type: ignore[arg-type]

    side = prompted_documents(LayerReader(model), dataset)
    without = list(read_states(LayerReader(model), side, EVERYWHERE))
    assert same(without, list(read_states(Breaking(model), side, EVERYWHERE, context=RunContext(bucket_store))))
