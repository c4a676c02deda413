"""States from the store or from the model: the same bits, each text encoded once, only what is missing."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sweeps import sweep
from tiny_store import EVERYWHERE, Spy, joined, same

from probe.data.dataset import Dataset
from probe.data.texts import SelectedTexts, Texts
from probe.encoding import chunk_states as states_module
from probe.encoding.chunk_states import ChunkStates, RunContext, prompted_documents, read_states
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.evaluation import evaluate as sweep_module
from probe.layers.hookpoint import LayerPooling
from probe.metrics.retrieval import Metric
from probe.models.info import ModelProfile
from probe.models.loaded import LoadedModel
from probe.store.store import Store

CHUNK = 7


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (states_module, sweep_module):
        monkeypatch.setattr(module, "CHUNK", CHUNK)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def read(
    reader: LayerReader, dataset: Dataset, store: Store | None, places: Sequence[LayerPooling] = EVERYWHERE
) -> list[ChunkStates]:
    return list(read_states(reader, prompted_documents(reader, dataset), places, context=RunContext(store)))


def test_cold_warm_and_without_a_store_are_the_same_bits(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    without = read(LayerReader(model), dataset, None)
    cold = read(LayerReader(model), dataset, store)
    warm = read(LayerReader(model), dataset, store)
    assert same(without, cold)
    assert same(cold, warm)
    assert [chunk.truncated for chunk in cold] == [chunk.truncated for chunk in warm]
    assert [chunk.seconds for chunk in cold] == [chunk.seconds for chunk in warm]


def test_cut_texts_are_counted_cold_and_warm(
    load_tiny: Callable[..., LoadedModel], dataset: Dataset, store: Store
) -> None:
    short = load_tiny("bert", max_tokens=9)
    counts = [
        sum(chunk.truncated for chunk in read(LayerReader(short), dataset, kept)) for kept in (None, store, store)
    ]
    assert counts[0] > 0
    assert len(set(counts)) == 1


def test_rounding_is_all_that_differs_from_the_reader(model: LoadedModel, dataset: Dataset) -> None:
    reader = LayerReader(model)
    exact = reader.read([text for _, text in dataset.documents], model.document_prompt, [(3, "mean")])
    rounded = joined(read(reader, dataset, None), (3, "mean"))
    change = np.linalg.norm(rounded - exact.vectors[3, "mean"], axis=1)
    assert change.max() > 0
    assert (change <= 2**-10 * np.linalg.norm(rounded, axis=1)).all()


def test_ids_and_texts_keep_their_order(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    chunks = read(LayerReader(model), dataset, store)
    assert [name for chunk in chunks for name in chunk.ids] == [name for name, _ in dataset.documents]
    assert [len(chunk.ids) for chunk in chunks] == [7, 7, 7, 7, 7, 5]


def test_nothing_lost_a_second_run_encodes_nothing(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    read(Spy(model), dataset, store)
    again = Spy(model)
    read(again, dataset, store)
    assert again.ran == []


def test_a_warm_run_does_not_load_the_model(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    cold = read(LayerReader(model), dataset, store)
    fields = {name: getattr(model, name) for name in ModelProfile.__dataclass_fields__}
    known = LayerReader(ModelProfile(**fields))
    assert same(read(known, dataset, store), cold)
    with pytest.raises(ValueError, match="neither the loaded model"):
        read(known, dataset, store, [(1, "max")])


def test_another_pooling_is_all_that_is_encoded(
    model: LoadedModel, dataset: Dataset, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    read(LayerReader(model), dataset, store)
    spy, more = Spy(model), [*EVERYWHERE, (2, "max")]
    with caplog.at_level(logging.INFO):
        both = read(spy, dataset, store, more)
    assert {places for _, places in spy.ran} == {((2, "max"),)}
    assert f"Cache: 8/9 hookpoints of {model.source.name}; encoding 40 documents" in caplog.text
    assert same(both, read(LayerReader(model), dataset, None, more), more)


def test_nothing_lost_an_interrupted_run_goes_on_at_the_next_chunk(
    model: LoadedModel, dataset: Dataset, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        read(Spy(model, stop_after=2), dataset, store)
    again = Spy(model)
    with caplog.at_level(logging.INFO):
        resumed = read(again, dataset, store)
    assert [count for count, _ in again.ran] == [7, 7, 7, 5]
    assert f"Cache: 0/8 hookpoints of {model.source.name}; encoding 26 of 40 documents" in caplog.text
    assert same(resumed, read(LayerReader(model), dataset, None))


def test_a_damaged_chunk_is_redone_and_the_others_are_not(
    model: LoadedModel, dataset: Dataset, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    cold = read(LayerReader(model), dataset, store)
    path = sorted(store.folder.rglob("000003-*.safetensors"))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = Spy(model)
    assert same(read(again, dataset, store), cold)
    assert [count for count, _ in again.ran] == [7]
    assert str(path) in caplog.text


def test_key_law_other_texts_prompts_and_budgets_are_encoded_anew(
    model: LoadedModel, dataset: Dataset, store: Store
) -> None:
    read(LayerReader(model), dataset, store)
    queries = replace(dataset, documents=dataset.queries)
    for other, data in ((model, queries), (replace(model, document_prompt="p "), dataset)):
        spy = Spy(other)
        read(spy, data, store)
        assert spy.ran


def test_no_batch_crosses_a_chunk_so_a_resumed_run_has_the_same_batches(model: LoadedModel, dataset: Dataset) -> None:
    spy = Spy(model)
    read(spy, dataset, None)
    assert max(count for count, _ in spy.ran) == CHUNK


def test_selected_texts_are_read_with_all_of_them(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    whole = Texts.gather(dataset.documents)
    chosen = whole.ids[::3]
    states = joined(read(LayerReader(model), dataset, None), (2, "cls"))
    for kept in (None, store, store):
        spy = Spy(model)
        chunks = read(spy, replace(dataset, documents=SelectedTexts.of(whole, set(chosen))), kept)
        assert tuple(name for chunk in chunks for name in chunk.ids) == chosen
        assert np.array_equal(joined(chunks, (2, "cls")), states[::3])
        assert not any(chunk.timed for chunk in chunks)
    others = replace(dataset, documents=SelectedTexts.of(whole, set(whole.ids) - set(chosen)))
    for data in (others, dataset):
        read(spy, data, store)
    assert spy.ran == []


def test_cut_texts_are_counted_among_the_selected_alone(
    load_tiny: Callable[..., LoadedModel], dataset: Dataset, store: Store
) -> None:
    short, whole = load_tiny("bert", max_tokens=9), Texts.gather(dataset.documents)
    halves = [replace(dataset, documents=SelectedTexts.of(whole, set(whole.ids[rest::2]))) for rest in (0, 1)]
    plain = [replace(half, documents=Texts.gather(half.documents)) for half in halves]
    for kept in (None, store, store):
        counts, alone = (
            [sum(chunk.truncated for chunk in read(LayerReader(short), data, kept)) for data in several]
            for several in (halves, plain)
        )
        assert counts == alone
        assert all(counts)


def test_token_vectors_of_selected_texts_are_those_of_the_texts_alone(
    model: LoadedModel, dataset: Dataset, store: Store
) -> None:
    whole = Texts.gather(dataset.documents)
    selected = SelectedTexts.of(whole, set(whole.ids[::3]))
    found, alone = (
        read(LayerReader(model), replace(dataset, documents=texts), store, [(2, "tokens")])
        for texts in (selected, Texts.gather(selected))
    )
    assert same(found, alone, [(2, "tokens")])


def test_a_stubborn_disk_changes_no_score(
    model: LoadedModel, dataset: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    expected = read(LayerReader(model), dataset, None)
    monkeypatch.setattr("probe.store.store.write_chunk", full)
    assert same(read(LayerReader(model), dataset, store), expected)


def test_same_table_cold_and_warm(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    points = select_hookpoints(model, "all", ("cls", "mean", "max"))
    metric = Metric("ndcg", 10)
    results = [sweep(LayerReader(model), points, dataset, [metric], kept) for kept in (None, store, store)]
    for result in results[1:]:
        assert result.truncated_documents == results[0].truncated_documents
        for ours, first in zip(result.evaluations, results[0].evaluations, strict=True):
            assert (ours.scores[metric] == first.scores[metric]).all()
    # What comes from the store was timed in another run.
    assert all(e.ms_per_text is None for e in results[2].evaluations)


def test_a_chunk_is_written_while_the_next_one_runs(model: LoadedModel, dataset: Dataset, store: Store) -> None:
    states = read_states(
        Spy(model, stop_after=2), prompted_documents(LayerReader(model), dataset), EVERYWHERE, context=RunContext(store)
    )
    first = next(states)  # the second has run by now, and may be half written
    assert len(first.ids) == CHUNK
    with pytest.raises(KeyboardInterrupt):
        list(states)
    again = Spy(model)
    read(again, dataset, store)
    assert [count for count, _ in again.ran] == [7, 7, 7, 5]


def test_a_fault_of_rounding_and_writing_reaches_the_caller(
    model: LoadedModel, dataset: Dataset, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise RuntimeError("no rounding")

    monkeypatch.setattr(states_module, "quantize", fail)
    with pytest.raises(RuntimeError, match="no rounding"):
        read(LayerReader(model), dataset, store)
