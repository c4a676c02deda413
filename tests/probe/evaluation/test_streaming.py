"""Corpora larger than memory: read line by line, ranked chunk by chunk, nothing kept but the top k."""

import gc
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from tiny_data import write_beir, write_lines

from probe.data.sampling import select
from probe.data.texts import Texts, chunks
from probe.errors import DataError
from probe.evaluation import evaluate as sweep_module
from probe.evaluation.evaluate import evaluate
from probe.evaluation.records import Evaluation
from probe.metrics.retrieval import Metric
from probe.metrics.vectors import Embeddings
from probe.sources.loading import load_dataset


class Hashing:
    """An encoder without a model: a few letters of the text decide the vector, the same in every process."""

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        rows = [[crc32(text[i::5].encode()) % 97 for i in range(5)] for text in texts]
        return np.array(rows, np.float32).reshape(len(texts), 5)

    encode_document = encode_query


def write_numbered(folder: Path, documents: int) -> str:
    texts = {f"d{i}": f"document {i} " + "of some length " * 20 for i in range(documents)}
    queries = {f"q{i}": f"document {i}" for i in range(20)}
    return str(write_beir(folder, texts, queries, {query: {"d1": 1} for query in queries}))


def peak_of(folder: str) -> int:
    """Return the most bytes that scoring a data set held at once, in the best of three runs.

    Garbage of tests before, and what is imported at a first call, are no part of it.
    """
    peaks = []
    for _ in range(3):
        gc.collect()
        tracemalloc.start()
        evaluate(Hashing(), load_dataset(folder), [Metric("recall", 50)], name="hashing")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return min(peaks)


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_module, "CHUNK", 256)
    small, large = (write_numbered(tmp_path / str(size), size) for size in (4000, 12_000))
    # Texts have 300 characters, ids 5; what is kept of a document is the hash of its id.
    assert peak_of(large) - peak_of(small) < 12 * 8000


def test_a_streamed_corpus_scores_as_one_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(sweep_module, "CHUNK", 64)
    streamed = load_dataset(write_numbered(tmp_path / "a", 500))
    held = replace(streamed, documents=Texts.gather(streamed.documents))

    def score(data: object) -> Evaluation:
        return evaluate(Hashing(), data, [Metric("map", 100)], name="hashing")  # type: ignore[arg-type]

    ours, theirs = (score(data).scores[Metric("map", 100)] for data in (streamed, held))
    assert np.array_equal(ours, theirs)
    assert streamed.text_hash == held.text_hash


def test_a_corpus_is_read_again_each_time(tmp_path: Path) -> None:
    documents = load_dataset(write_numbered(tmp_path / "a", 20)).documents
    assert list(documents) == list(documents)


def test_a_corpus_changed_between_two_reads_is_refused(tmp_path: Path) -> None:
    folder = Path(write_numbered(tmp_path / "a", 20))
    documents = load_dataset(str(folder)).documents
    lines = (folder / "corpus.jsonl").read_text().splitlines()
    write_lines(folder / "corpus.jsonl", [*lines[:-1], json.dumps({"_id": "d19", "text": "other"})])
    with pytest.raises(DataError, match=r"a/corpus.jsonl was changed while being read"):
        list(documents)


def test_an_id_that_comes_twice_is_found_far_apart(tmp_path: Path) -> None:
    folder = Path(write_numbered(tmp_path / "a", 300))
    with (folder / "corpus.jsonl").open("a") as file:
        file.write(json.dumps({"_id": "d7", "text": "again"}) + "\n")
    with pytest.raises(DataError, match=r"corpus.jsonl:301: duplicate id 'd7', first used in line 8"):
        load_dataset(str(folder))


def test_a_selection_streams_too(tmp_path: Path) -> None:
    documents = load_dataset(write_numbered(tmp_path / "a", 50)).documents
    chosen = select(documents, {"d40", "d1"}, 5)
    names = [name for name, _ in chosen]
    assert names == [name for name, _ in documents if name in names]
    assert {"d1", "d40"} < set(names)
    assert len(chosen) == len(names) == 5
    assert [name for name, _ in select(documents, {"d40", "d41"}, 1)] == ["d40", "d41"]


@pytest.mark.parametrize("size", [1, 3, 4, 10, 11])
def test_chunks_are_the_texts_in_order(size: int) -> None:
    texts = Texts(tuple(map(str, range(10))), ("x",) * 10)
    pieces = list(chunks(texts, size))
    assert [name for piece in pieces for name in piece.ids] == list(texts.ids)
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert list(chunks(Texts((), ()), size)) == []
