"""The parts of the Ray engine that can be tried without a cluster."""

import asyncio
import logging
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_data import make_dataset, zip_folder

from probe.errors import CallError, DataError, ModelError, ProbeError
from probe.evaluation.scan import ChunkFound
from probe.evaluation.tracker import ChunkTopK
from probe.scale.corpus import DatasetSource, FlowControl, number_chunks, set_up_corpus
from probe.scale.engine import Tally, _count_workers, _gpus_of_worker
from probe.scale.worker import ChunkResult
from probe.sources.loading import load_dataset


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "data", documents=30)


def found(number: int) -> ChunkResult:
    return ChunkResult(number, ChunkFound(ChunkTopK(number, (), (), ()), {}))


def test_flow_control_lets_a_few_through_and_one_more_for_each_that_is_closed() -> None:
    async def walk() -> list[bool]:
        flow = FlowControl(2)
        waiting = [asyncio.ensure_future(flow.wait(number)) for number in range(4)]
        seen = []
        for number in range(3):
            await asyncio.sleep(0.01)
            seen.append(sum(task.done() for task in waiting))
            await flow.close(number)
        return seen

    assert asyncio.run(walk()) == [2, 3, 4]


def test_flow_control_counts_how_often_a_chunk_is_begun_and_forgets_what_is_done() -> None:
    async def walk() -> list[int]:
        flow = FlowControl(2)
        counts = [await flow.begin(5), await flow.begin(5), await flow.begin(6)]
        await flow.close(5)
        return [*counts, await flow.begin(5), len(flow._begun)]

    assert asyncio.run(walk()) == [1, 2, 1, 1, 2]


def test_a_tally_takes_each_chunk_once() -> None:
    tally = Tally(2, stored=True)
    assert [tally.take(found(n)) is not None for n in (1, 0, 1)] == [True, True, False]
    tally.check()


def test_a_tally_names_what_failed_and_what_never_came(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(4, stored=False)
    tally.take(found(0))
    with caplog.at_level(logging.WARNING):
        for warnings in (("the disk is full",), ("the disk is full",)):
            assert tally.take(ChunkResult(2, fault="chunk 2: no", warnings=warnings)) is None
    assert caplog.messages == ["the disk is full", "chunk 2: no"]
    with pytest.raises(ProbeError, match=r"no table: 3 of 4 chunks .*: chunk 2: no; chunk 1: lost by Ray") as error:
        tally.check()
    assert str(error.value).endswith("(fix it and run again)")


def test_a_tally_ends_at_once_where_no_worker_can_begin() -> None:
    with pytest.raises(ProbeError, match="there is no model here"):
        Tally(4, stored=False).take(ChunkResult(0, fault="there is no model here", fatal=True))


def test_a_corpus_is_sent_as_a_handle_and_found_by_name_where_it_lies_elsewhere(folder: Path) -> None:
    data = load_dataset(str(folder))
    setup = set_up_corpus(data, DatasetSource(str(folder)), 8)
    assert setup.open() is data.documents
    moved = folder.rename(folder.parent / "moved")
    elsewhere = replace(setup, source=DatasetSource(str(moved)))
    assert list(elsewhere.open()) == list(load_dataset(str(moved)).documents)
    (moved / "corpus.jsonl").write_text((moved / "corpus.jsonl").read_text().replace('"d3"', '"x3"'))
    with pytest.raises(ModelError, match="has different texts here"):
        elsewhere.open()


def test_a_zip_is_sent_as_a_handle_with_its_limit(folder: Path) -> None:
    data = load_dataset(str(zip_folder(folder, folder.parent / "data.zip")), limit=20)
    sent = pickle.loads(pickle.dumps(set_up_corpus(data, None, 8)))
    assert list(sent.open()) == list(data.documents)
    assert sent.open().read(8, 8) == data.documents.read(8, 8)
    assert sent.chunks == 3


def test_relative_paths_mean_what_they_meant_where_the_corpus_was_ordered(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(folder.parent)
    setup = set_up_corpus(load_dataset("data"), None, 8)
    monkeypatch.chdir("/")
    assert len(list(setup.open())) == 30


def test_chunks_are_told_by_their_numbers_not_their_texts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    asked: list[int] = []
    monkeypatch.setattr(ray, "get", lambda value: value)
    flow: Any = SimpleNamespace(wait=SimpleNamespace(remote=asked.append))
    setup = set_up_corpus(load_dataset(str(folder)), None, 8)
    assert list(number_chunks({}, setup.chunks, flow)) == [{"number": number} for number in range(4)]
    assert asked == [0, 1, 2, 3]


def test_a_corpus_that_cannot_be_read_is_told_of(folder: Path) -> None:
    data = load_dataset(str(folder))
    named, nameless = set_up_corpus(data, DatasetSource(str(folder)), 8), set_up_corpus(data, None, 8)
    shutil.rmtree(folder)
    with pytest.raises(CallError, match="no data set at"):
        named.open()
    with pytest.raises(DataError, match=r"data/corpus\.jsonl is missing"):
        nameless.open().read(0, 8)


def scan_on(device: str) -> Any:
    reader = SimpleNamespace(model=SimpleNamespace(device=SimpleNamespace(type=device)))
    return SimpleNamespace(readers={"model": reader})


def test_a_worker_takes_the_kind_of_device_that_reads_the_queries() -> None:
    assert [_gpus_of_worker(None, scan_on(device)) for device in ("cpu", "cuda")] == [0, 1]
    assert [_gpus_of_worker(0.0, scan_on("cpu")), _gpus_of_worker(0.5, scan_on("cuda"))] == [0, 0.5]


@pytest.mark.parametrize(
    ("gpus", "device", "words"),
    [
        (1.0, "cpu", "run the command on a machine with a GPU"),
        (0.0, "cuda", "use --device cpu"),
        (None, "mps", "but the models run on mps"),
    ],
)
def test_workers_on_another_device_are_refused(gpus: float | None, device: str, words: str) -> None:
    with pytest.raises(CallError, match=words):
        _gpus_of_worker(gpus, scan_on(device))


@pytest.fixture
def cluster_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    return lambda **has: monkeypatch.setattr(ray, "cluster_resources", lambda: has)


def test_as_many_workers_as_there_is_room_for(
    cluster_of: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    cluster_of(CPU=6.0, GPU=2.0)
    assert [_count_workers(None, gpus) for gpus in (0, 1, 0.5, 2)] == [6, 2, 4, 1]
    assert _count_workers(3, 0) == 3
    assert not caplog.messages
    assert _count_workers(9, 0) == 9
    assert "room for 6 of 9 workers" in caplog.text
    with pytest.raises(CallError, match="it has 6 CPUs and 2 GPUs, but a worker needs 1 CPU and 3 GPUs"):
        _count_workers(None, 3)
