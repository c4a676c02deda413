"""Texts to heal on by name: data sets and any text files, read through the store, every fault named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import make_dataset, write_lines
from torch.nn.functional import normalize

from adaptors.fitting.data import select_fit_data
from adaptors.healing.texts import gather_heal_texts, load_heal_texts
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, DataError
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from probe.store.store import Store


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Four files of texts; three texts in each, the second text of the first in all."""
    shared = "river stone cloud"
    records = [{"text": shared, "label": 1}, {"text": " sun, moon "}, {"text": shared}, {"text": ""}, {"text": "ice"}]
    quoted = ["id,text", f"1,{shared}", '2,"fire, wood"', "3,", "4,salt"]
    paths = [
        write_lines(tmp_path / "notes.txt", ["star light", "gold", "", shared, "", " ".join(["iron"] * 145)]),
        write_lines(tmp_path / "notes.md", ["# Lake", shared, "## Leaf", "milk\nwood", "", "# Lake", shared, "# Oil"]),
        write_lines(tmp_path / "records.jsonl", [json.dumps(record) for record in records]),
        write_lines(tmp_path / "records.CSV", quoted),
    ]
    return [str(path) for path in paths]


EXPECTED = (
    ("star light gold\nriver stone cloud", " ".join(["iron"] * 145)),
    ("Lake river stone cloud\nLeaf:\nmilk wood\nriver stone cloud",),
    ("river stone cloud", "sun, moon", "ice"),
    ("river stone cloud", "fire, wood", "salt"),
)


def open_tiny(folder: Path, store: Store | None = None) -> LayerReader:
    return open_reader(str(folder), LoadOptions(dtype="float32", device="cpu"), store)


def test_text_files_become_documents_that_nobody_asks_for(files: list[str]) -> None:
    loaded = load_heal_texts(files)
    assert tuple(tuple(text for _, text in one.corpus.documents) for one in loaded) == EXPECTED
    assert [one.corpus.name for one in loaded] == ["notes.txt", "notes.md", "records.jsonl", "records.CSV"]
    for one in loaded:
        ids = [name for name, _ in one.corpus.documents]
        assert len(set(ids)) == len(ids)
        assert (one.train, one.labels, one.corpus.qrels, len(one.corpus.queries)) == (None, False, {}, 0)


def test_a_data_set_gives_what_it_gave_and_no_judgement(tmp_path: Path, files: list[str]) -> None:
    folder = make_dataset(tmp_path / "tiny.md")
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "q1\td1\t1"])
    own, data = load_heal_texts([files[0], str(folder)])
    expected = select_fit_data(str(folder), load_dataset(str(folder)), "none")
    assert data.train is not None
    assert data.train.queries == expected.train.queries if expected.train else False
    assert list(data.corpus.documents) == list(expected.corpus.documents)
    assert not data.labels
    assert own.corpus.name == "notes.txt"


def test_a_record_stays_whole_however_long(tmp_path: Path) -> None:
    long = " ".join(["snow"] * 400)
    (data,) = load_heal_texts([str(write_lines(tmp_path / "a.jsonl", [json.dumps({"text": long})]))])
    assert [text for _, text in data.corpus.documents] == [long]


def test_the_teachers_vectors_are_those_of_the_texts_under_its_prompt(
    files: list[str], tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    reader = open_tiny(tiny_folder("bert"))
    data = load_heal_texts([*files[:1], str(make_dataset(tmp_path / "tiny")), files[2]])
    found = gather_heal_texts(reader, data)
    prompt = reader.model.document_prompt
    assert prompt
    assert found.texts[:2] == tuple(prompt + text for text in EXPECTED[0])
    assert found.texts[-3:] == tuple(prompt + text for text in EXPECTED[2])
    place = (reader.model.depth, "mean")
    vectors = torch.from_numpy(reader.read(EXPECTED[2], prompt, [place]).vectors[place])
    assert torch.allclose(found.targets[-3:], normalize(vectors, dim=1), atol=2e-3)
    assert found.seen == tuple((one.corpus.name, one.corpus.documents.text_hash) for one in data)


def test_nothing_is_embedded_twice(
    files: list[str], tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, embedded = Store(tmp_path / "store"), []
    run = LayerReader.run

    def count(self: LayerReader, texts: object, *args: object) -> object:
        embedded.append(texts.count)  # type: ignore[attr-defined]
        return run(self, texts, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(LayerReader, "run", count)
    first = gather_heal_texts(open_tiny(tiny_folder("bert"), store), load_heal_texts(files), store)
    assert embedded == [2, 1, 3, 3]
    again = gather_heal_texts(open_tiny(tiny_folder("bert"), store), load_heal_texts(files), store)
    assert embedded == [2, 1, 3, 3]
    assert (again.texts, again.seen) == (first.texts, first.seen)
    assert np.array_equal(again.targets, first.targets)
    Path(files[3]).write_text("text\nanother wind\n")
    changed = gather_heal_texts(open_tiny(tiny_folder("bert"), store), load_heal_texts(files), store)
    assert embedded == [2, 1, 3, 3, 1]
    assert changed.texts[-1].endswith("another wind")


def test_a_file_that_moved_is_not_embedded_again(
    files: list[str], tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    store = Store(tmp_path / "store")
    first = gather_heal_texts(open_tiny(tiny_folder("bert"), store), load_heal_texts(files[:1]), store)
    moved = tmp_path / "elsewhere" / "other.txt"
    moved.parent.mkdir()
    Path(files[0]).rename(moved)
    reader = open_tiny(tiny_folder("bert"), store)
    reader._load = None  # nothing may have to be embedded
    again = gather_heal_texts(reader, load_heal_texts([str(moved)]), store)
    assert again == replace(first, targets=again.targets, seen=(("other.txt", first.seen[0][1]),))


FAULTS = {
    "no JSON": ("a.jsonl", b'{"text": "sun"}\n{broken', r"/a\.jsonl:2: not JSON"),
    "no text column": ("a.jsonl", b'{"text": "sun"}\n{"body": "x"}', r'/a\.jsonl:2: expected an object with "text"'),
    "no string": ("a.jsonl", b'{"text": "sun"}\n{"text": 3}', r'/a\.jsonl:2: expected a string as "text", found 3'),
    "no column": ("a.csv", b"body\nx\n", r"/a\.csv:1: expected comma-separated columns text, found 'body'"),
    "ragged": ("a.csv", b"text,id\nsun,1\nstar, light,2\n", r"/a\.csv:3: more values than columns"),
    "bytes": ("a.md", bytes(range(256)), r"a\.md': binary content"),
    "bytes in a record": ("a.csv", b"text\nsun\n\xff\n", r"/a\.csv:3: not UTF-8"),
    "empty text": ("a.txt", b"", r"a\.txt': empty"),
    "white space": ("a.md", b" \n\n", r"a\.md': empty"),
    "headings alone": ("a.md", b"# Sun\n# Moon\n", r"a\.md': no text"),
    "empty CSV": ("a.csv", b"", r"/a\.csv:1: .*found an empty file"),
    "a header alone": ("a.csv", b"text\n", r"a\.csv' has no texts"),
    "empty JSONL": ("a.jsonl", b"\n", r"a\.jsonl' has no texts"),
    "empty records": ("a.jsonl", b'{"text": " "}\n', r"a\.jsonl' has no texts"),
}


@pytest.mark.parametrize(("name", "content", "words"), FAULTS.values(), ids=FAULTS)
def test_every_fault_is_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words) as told:
        load_heal_texts([str(tmp_path / name)])
    assert len(str(told.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.txt", "file 'missing.txt' not found"),
        ("missing.jsonl", "file 'missing.jsonl' not found"),
        ("missing", "unknown data set 'missing'"),
    ],
)
def test_what_is_not_there_is_a_wrong_call(name: str, words: str) -> None:
    with pytest.raises(CallError, match=words):
        load_heal_texts([name])
