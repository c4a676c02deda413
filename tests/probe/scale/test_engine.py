"""Passes over documents on a cluster of two nodes: the table and the store of one process, whatever fails."""

import copy
import logging
import pickle
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_cluster import two_nodes
from tiny_data import make_dataset, write_beir, zip_folder
from tiny_images import draw_shapes
from tiny_models import PROMPTS, WORDS, make_texts, write_model, write_sentence_transformer
from tiny_towers import write_towers
from typer.testing import CliRunner

import cli
from adaptors.encoders.specs import resolve_specs
from probe import rank
from probe.data.texts import Texts
from probe.encoding import chunk_states as states
from probe.errors import CallError
from probe.evaluation.scan import ChunkFound, Scan, scan_here
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.experiments.two_towers import open_towers, rank_towers
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.scale import engine as ray_engine
from probe.scale.corpus import DatasetSource, set_up_corpus
from probe.scale.engine import RayEngine
from probe.scale.worker import ChunkResult, ChunkWorker
from probe.scale.worker_setup import WorkerSetup, set_up_workers
from probe.sources.loading import load_dataset
from probe.store.store import Store

ray = pytest.importorskip("ray.data", reason="the extra ray is not installed") and __import__("ray")

SIZE = 32
FLOAT32 = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[Any]:
    """Two nodes that this process is connected to; chunks are small and threads one, as in the workers."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with two_nodes() as nodes, pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "CHUNK", SIZE)
        patch.setattr(ray_engine, "CHUNK", SIZE)
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.CRITICAL)
        yield nodes
        ray.shutdown()
    torch.set_num_threads(threads)


def files(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*.safetensors")}


def rank_specs(specs: list[str], data: str, store: Store | None, limit: int | None = None, **how: Any) -> Leaderboard:
    resolved = resolve_specs(specs, FLOAT32, store, run_rules=["rrf"] if any("+" in spec for spec in specs) else ())
    options = RunOptions(store=store, **how)
    dataset = load_dataset(data, limit=limit)
    return rank_candidates(
        resolved.candidates, dataset, str(resolved.baseline), options=options, fusions=resolved.fusions
    )


def assert_same(ours: Leaderboard, expected: Leaderboard) -> None:
    for row, other in zip(ours.rows, expected.rows, strict=True):
        assert row.scores == pytest.approx(other.scores, abs=1e-6)
        assert row.ms_per_text is None or row.ms_per_text > 0
        assert replace(row, ms_per_text=None) == replace(other, ms_per_text=None)
    assert ours.settings == expected.settings


def chunks_in(store: Path) -> int:
    """Return how many chunks have a file."""
    return len({Path(file).name.partition("-")[0] for file in files(store)})


@dataclass
class Watched:
    """The engine, with a pause in the midst of its work."""

    store: Path
    done_in_the_pause: int = 0
    told: list[tuple[str, int, int]] = field(default_factory=list)

    def __call__(self, scan: Scan) -> Iterator[ChunkFound]:
        for place, found in enumerate(
            RayEngine(workers=2)(replace(scan, context=replace(scan.context, progress=self.report)))
        ):
            if place == 2:
                self.pause()
            yield found

    def report(self, *step: Any) -> None:
        self.told.append(step)

    def pause(self) -> None:
        """Give the workers time to do more than they may."""
        began = time.monotonic()
        while chunks_in(self.store) < 10 and time.monotonic() - began < 30:
            time.sleep(0.1)
        time.sleep(1)
        self.done_in_the_pause = chunks_in(self.store)


@dataclass(frozen=True)
class Outcome:
    """One comparison made by this process and by the cluster, and what each of them left on the disk."""

    here: Leaderboard
    there: Leaderboard
    files_here: set[str]
    files_there: set[str]
    engine: Watched


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "data", documents=1000, queries=20)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path], data: Path) -> Outcome:
    root = tmp_path_factory.mktemp("compared")
    model, other = tiny_folder("bert"), tiny_folder("mpnet")
    specs = [f"{model}@all:mean", f"{model}:cls", f"{model}@1:mean+{other}@3:cls", f"{other}@0:mean"]
    expected = rank_specs(specs, str(data), Store(root / "here"))
    engine = Watched(root / "there")
    ours = rank_specs(specs, str(data), Store(root / "there"), engine=engine)
    return Outcome(expected, ours, files(root / "here"), files(root / "there"), engine)


def test_a_cluster_gives_the_table_of_one_process(outcome: Outcome) -> None:
    assert any("rrf" in row.encoder for row in outcome.there.rows)
    assert_same(outcome.there, outcome.here)


def test_a_cluster_leaves_the_files_of_one_process(outcome: Outcome) -> None:
    assert outcome.files_there == outcome.files_here
    assert len(outcome.files_here) == 2 * (32 + 1)


def test_only_a_few_chunks_are_ever_under_way(outcome: Outcome) -> None:
    # Four per worker beyond the two that were taken in, of 32; the third is with who asked.
    assert outcome.engine.done_in_the_pause == 10


def test_progress_is_told_per_finished_chunk(outcome: Outcome) -> None:
    assert len(outcome.engine.told) == 32
    assert {(step, total) for step, _, total in outcome.engine.told} == {("documents", 1000)}
    assert sum(done for _, done, _ in outcome.engine.told) == 1000


def test_a_cluster_ties_equal_texts_and_drops_the_query_itself(
    tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    texts = [*dict.fromkeys(make_texts(90))][:60]
    documents = {f"d{number}": text for number, text in enumerate([*texts, *reversed(texts)])}
    # Query d0 is its document, d1 has the id of another text.
    queries = {"d0": texts[0], "d1": texts[2]}
    folder = write_beir(tmp_path / "doubled", documents, queries, {"d0": {"d119": 1}, "d1": {"d1": 1}})
    model = tiny_folder("bert")
    specs = [f"{model}@1,3:mean", f"{model}@1:mean+{model}@3:cls"]
    expected = rank_specs(specs, str(folder), None, examples=True)
    assert_same(rank_specs(specs, str(folder), None, examples=True, engine=RayEngine(workers=1)), expected)
    assert "1 queries share their id with a document of another text" in expected.settings["dataset"]["defects"][-1]
    assert expected.examples
    for example in expected.examples.queries:
        for finding in example.findings:
            assert finding.documents[0] == {"d0": "d119", "d1": "d2"}[example.query]


@pytest.mark.long
def test_a_selection_out_of_a_zip_needs_no_store(data: Path, tiny_folder: Callable[[str], Path]) -> None:
    archive = str(zip_folder(data, data.parent / "data.zip"))
    specs, engine = [f"{tiny_folder('bert')}@1,3:mean"], RayEngine(workers=1, source=DatasetSource(archive, limit=200))
    expected = rank_specs(specs, archive, None, limit=200)
    assert expected.settings["dataset"]["documents"] == 200
    assert_same(rank_specs(specs, archive, None, limit=200, engine=engine), expected)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """What a command says of a corpus whose third chunk has a word that the model does not know, and its store."""
    root = tmp_path_factory.mktemp("poisoned")
    model = write_model(root / "model", vocab_size=len(WORDS) + 3)
    write_sentence_transformer(model, "mean", PROMPTS)
    texts = {f"d{i}": text.replace(WORDS[-1], "ice") for i, text in enumerate(make_texts(200))}
    texts["d70"] = f"ice and {WORDS[-1]}"
    data = write_beir(root / "data", texts, {"q0": "ice"}, {"q0": {"d0": 1}})
    command = (
        f"layers -m {model} -d {data} --layers 3 --dtype float32 --store {root / 'store'} --engine ray --workers 1"
    )
    return CliRunner().invoke(cli.probe_app, command.split(), env={"COLUMNS": "300"}), root / "store"


def test_a_poisoned_chunk_is_named_and_no_table_is_shown(poisoned: tuple[Any, Path]) -> None:
    result, _ = poisoned
    assert (result.exit_code, result.stdout) == (1, "")
    named = "chunk 2 (documents d64 to d95): the tokenizer of"
    assert f"warning: {named}" in result.stderr
    assert f"error: no table: 1 of 7 chunks failed: {named}" in result.stderr
    assert "the other chunks are cached" in result.stderr.splitlines()[-1]


def test_beside_a_poisoned_chunk_the_others_are_stored(poisoned: tuple[Any, Path]) -> None:
    _, store = poisoned
    numbers = sorted(Path(file).name.partition("-")[0] for file in files(store))
    assert numbers == sorted(f"{number:06d}" for number in [0, 0, 1, 3, 4, 5, 6])


def setup_of(model: Path, data: Path) -> WorkerSetup:
    """Return what workers would be told of a model's last layer."""
    taken: list[Scan] = []

    def spy(scan: Scan) -> Iterator[ChunkFound]:
        taken.append(replace(scan, tracker=copy.deepcopy(scan.tracker)))
        yield from scan_here(scan)

    rank_specs([f"{model}:mean"], str(data), None, engine=spy)
    return set_up_workers(taken[0], set_up_corpus(taken[0].dataset, None, SIZE), trust=False)


@pytest.fixture(scope="module")
def worker_setup(tiny_folder: Callable[[str], Path], data: Path) -> WorkerSetup:
    return setup_of(tiny_folder("bert"), data)


def ask(worker_setup: WorkerSetup, numbers: list[int], begun: int = 1) -> list[ChunkResult]:
    """Return the replies of a worker in this process, to chunks that were begun so often."""
    flow = SimpleNamespace(begin=SimpleNamespace(remote=lambda number: ray.put(begun)))
    worker = ChunkWorker(ray.put(worker_setup), flow)
    return [pickle.loads(worker({"number": [number]})["result"][0]) for number in numbers]


def test_a_chunk_that_is_asked_for_again_is_found_whole_again(worker_setup: WorkerSetup) -> None:
    first, *_, again, last = ask(worker_setup, [0, *range(12), 0, 31])
    assert first.found
    assert again.found
    assert last.found
    ours, expected = again.found.top.picked[0], first.found.top.picked[0]
    assert ours.columns.tolist() == expected.columns.tolist()
    # What cannot be among the best of all that the worker saw stays there.
    assert last.found.top.picked[0].columns.shape[1] < expected.columns.shape[1]


def test_a_chunk_that_costs_every_worker_its_life_is_given_up(worker_setup: WorkerSetup) -> None:
    (last,), (given_up,) = ask(worker_setup, [3], begun=5), ask(worker_setup, [3], begun=6)
    assert last.found
    assert not last.fault
    assert (given_up.found, given_up.fatal) == (None, False)
    assert given_up.fault == "chunk 3: failed 5 times because its worker was lost"


def test_a_worker_that_finds_another_model_refuses_to_begin(worker_setup: WorkerSetup) -> None:
    (model,) = worker_setup.models
    other = replace(model, parts={**model.parts, "states": "another"})
    (result,) = ask(replace(worker_setup, models=(other,)), [0])
    assert result.fatal
    assert "gives different vectors here: its states is" in result.fault
    (result,) = ask(replace(worker_setup, models=(replace(model, typed="/nowhere/at all"),)), [0])
    assert result.fatal
    assert "folder '/nowhere/at all' not found" in result.fault


def test_token_states_are_refused(tiny_folder: Callable[[str], Path], data: Path) -> None:
    bert = tiny_folder("bert")
    resolved = resolve_specs([f"{bert}:mean", f"{bert}@2:tokens"], FLOAT32, None, tokens=True)
    options = RunOptions(engine=RayEngine(workers=1))
    with pytest.raises(CallError, match=r"does not support token vectors: remove .*2:tokens'"):
        rank_candidates(
            resolved.candidates,
            load_dataset(str(data)),
            str(resolved.baseline),
            options=options,
            fusions=resolved.fusions,
        )


@pytest.mark.long
def test_images_are_read_by_workers_too(tmp_path: Path) -> None:
    clip, name = str(write_towers(tmp_path / "clip")), str(draw_shapes(tmp_path / "shapes", 72))
    dataset = load_dataset(name)
    boards = [
        rank_towers(open_towers(clip, dataset, FLOAT32), dataset, options=RunOptions(engine=engine))
        for engine in (scan_here, RayEngine(workers=1, source=DatasetSource(name)))
    ]
    assert_same(boards[1], boards[0])


def test_only_handles_on_files_are_sent_and_texts_in_memory_need_a_name(data: Path) -> None:
    whole, limited = load_dataset(str(data)), load_dataset(str(data), limit=40)
    held = replace(whole, documents=Texts.gather(whole.documents))
    assert [set_up_corpus(one, None, SIZE).documents is not None for one in (whole, limited)] == [True, True]
    assert set_up_corpus(held, DatasetSource(str(data)), SIZE).documents is None
    assert set_up_corpus(held, DatasetSource(str(data)), SIZE).open().text_hash == held.documents.text_hash
    with pytest.raises(CallError, match="in memory cannot be sent"):
        set_up_corpus(held, None, SIZE)


def test_workers_open_a_model_that_has_a_name_and_never_one_in_memory(
    tiny_folder: Callable[[str], Path], data: Path
) -> None:
    folder = tiny_folder("bert")
    specs: list[Any] = [f"mpnet={folder}@1", {"held": folder}]
    options = RunOptions(load=FLOAT32, engine=RayEngine(workers=1))
    assert_same(rank(specs, data, options=options), rank(specs, data, options=replace(options, engine=scan_here)))
    with pytest.raises(CallError, match="in memory and cannot be sent to workers"):
        rank([SentenceTransformer(str(folder), device="cpu")], data, options=options)


def test_what_a_worker_warns_of_comes_with_its_result(worker_setup: WorkerSetup, tmp_path: Path) -> None:
    stored = replace(worker_setup, store=Store(tmp_path))
    assert ask(stored, [0, 1])[1].warnings == ()
    damaged = next(tmp_path.rglob("000001-*.safetensors"))
    damaged.write_bytes(b"nothing")
    results = ask(stored, [0, 1])
    assert [len(result.warnings) for result in results] == [0, 1]
    assert "encoding its texts again" in results[1].warnings[0]
    assert results[1].found


def test_the_chunks_of_a_lost_machine_are_read_by_another(
    cluster: Any, tiny_folder: Callable[[str], Path], data: Path
) -> None:
    specs = [f"{tiny_folder('bert')}@1,3:mean"]
    expected = rank_specs(specs, str(data), None)

    def lose_one(scan: Scan) -> Iterator[ChunkFound]:
        for place, found in enumerate(RayEngine(workers=2)(scan)):
            if place == 5:
                cluster.remove_node(cluster.worker_nodes.copy().pop(), allow_graceful=False)
            yield found

    assert_same(rank_specs(specs, str(data), None, engine=lose_one), expected)
