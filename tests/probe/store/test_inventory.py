"""List, verify, prune."""

import os
import shutil
import time
from pathlib import Path

import pytest

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import RunContext, prompted_documents, prompted_queries, read_states
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.io.staging import staging
from probe.models.loaded import LoadedModel
from probe.store.inventory import find_leftovers, find_rubbish, list_shelves, prune, select_shelves, verify
from probe.store.store import MANIFEST, Store


@pytest.fixture
def store(tmp_path: Path, model: LoadedModel, dataset: Dataset) -> Store:
    filled = Store(tmp_path / "store")
    reader = LayerReader(model)
    places = [point.layer_pooling for point in select_hookpoints(model, "all", ("cls", "mean"))]
    for side in (prompted_documents(reader, dataset), prompted_queries(reader, dataset)):
        list(read_states(reader, side, places, context=RunContext(filled)))
    filled.write_facts({"a": 1}, {"depth": 3})
    return filled


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_shelves_are_listed_with_what_they_hold(store: Store, model: LoadedModel, dataset: Dataset) -> None:
    documents, queries = list_shelves(store)
    assert (documents.side, documents.texts) == ("documents", len(dataset.documents))
    assert (queries.side, queries.texts) == ("queries", len(dataset.queries))
    assert {shelf.model for shelf in (documents, queries)} == {model.source.name}
    assert (documents.hookpoints, documents.chunks, documents.dtype) == (8, 1, "float32")
    assert documents.bytes == sum(path.stat().st_size for path in documents.folder.glob("*.safetensors"))


def test_an_empty_store_has_no_shelf_and_no_damage(tmp_path: Path) -> None:
    store = Store(tmp_path / "nowhere")
    assert list_shelves(store) == []
    assert verify(store) == []
    assert find_rubbish(store) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_sound_store_verifies(store: Store) -> None:
    checked: list[int] = []
    assert verify(store, lambda done, total: checked.append(total)) == []
    assert checked == [5] * 5


@pytest.mark.parametrize("pattern", ["*.safetensors", MANIFEST, "models/*.json"])
def test_a_damaged_file_is_named_and_left_alone(store: Store, pattern: str) -> None:
    path = sorted(store.folder.rglob(pattern))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    (message,) = verify(store)
    assert str(path) in message
    assert path.read_bytes() == content[:-40]


def test_rubbish_is_what_no_run_can_use(store: Store) -> None:
    chunk = sorted(store.folder.rglob("*.safetensors"))[0]
    flip(chunk)
    old, new = (chunk.with_name(f".{name}.part") for name in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    assert sorted(find_rubbish(store)) == sorted([old, chunk])


def test_what_a_killed_process_left_is_rubbish_and_what_another_writes_is_not(store: Store) -> None:
    folder = list_shelves(store)[0].folder
    with staging(folder / "chunk") as made:
        made.write_bytes(b"half")
        assert find_leftovers(store) == []
        dead = folder / ".chunk-0123456789abcdef.part"
        shutil.copytree(made.parent, dead)
        assert find_leftovers(store) == find_rubbish(store) == [dead]
        prune([dead])
        assert made.exists()


def test_the_next_run_that_writes_there_removes_what_a_killed_one_left(
    store: Store, model: LoadedModel, dataset: Dataset
) -> None:
    for shelf in list_shelves(store):
        (shelf.folder / ".chunk-0123456789abcdef.part").mkdir()
        (shelf.folder / ".chunk-0123456789abcdef.part" / "lock").touch()
    reader = LayerReader(model)
    side = prompted_documents(reader, dataset)
    list(read_states(reader, side, [(3, "max")], context=RunContext(store)))
    (left,) = find_leftovers(store)
    assert left.parent != next(shelf.folder for shelf in list_shelves(store) if shelf.side == "documents")


def test_nothing_is_selected_without_a_condition(store: Store) -> None:
    assert select_shelves(store) == []


def test_shelves_are_selected_by_model_age_or_all(store: Store, model: LoadedModel) -> None:
    shelf = list_shelves(store)[0].folder
    os.utime(shelf / MANIFEST, (time.time() - 10 * 86400,) * 2)
    assert select_shelves(store, unused_days=5) == [shelf]
    assert select_shelves(store, unused_days=20) == []
    assert len(select_shelves(store, model=model.source.name)) == 2
    assert select_shelves(store, model="other", everything=True) == []
    assert len(select_shelves(store, everything=True)) == 2


def test_prune_deletes_what_it_is_given_and_nothing_else(store: Store) -> None:
    first, second = list_shelves(store)
    files, size = prune([first.folder])
    assert files == 2
    assert size >= first.bytes
    assert [shelf.folder for shelf in list_shelves(store)] == [second.folder]


def test_a_shelf_is_used_when_it_is_opened(store: Store, model: LoadedModel, dataset: Dataset) -> None:
    for shelf in list_shelves(store):
        os.utime(shelf.folder / MANIFEST, (time.time() - 10 * 86400,) * 2)
    reader = LayerReader(model)
    list(read_states(reader, prompted_queries(reader, dataset), [(3, "mean")], context=RunContext(store)))
    assert len(select_shelves(store, unused_days=5)) == 1
