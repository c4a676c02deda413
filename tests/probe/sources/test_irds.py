"""Data sets of `ir_datasets`, written as small collections of the library's own classes and registered with it."""

import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from probe.data.dataset import BEIR_ID_RULE, ID_RULE
from probe.errors import CallError, DataError
from probe.scale.corpus import DatasetSource, set_up_corpus
from probe.sources.loading import load_dataset

Register = Callable[..., None]


class Topic(NamedTuple):
    query_id: str
    title: str
    description: str

    def default_text(self) -> str:
        return self.title


class Titled(NamedTuple):
    doc_id: str
    title: str
    text: str


class WithUrl(NamedTuple):
    doc_id: str
    title: str
    text: str
    url: str

    def default_text(self) -> str:
        return f"{self.title} {self.text} {self.url}"


class Coded(NamedTuple):
    doc_id: str
    code: str


@pytest.fixture
def register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Register:
    """Return a function that registers a data set of tab-separated documents and queries and of TREC labels."""
    import ir_datasets

    monkeypatch.setattr(ir_datasets.util, "home_path", lambda: tmp_path / "home")
    monkeypatch.setattr(ir_datasets.registry, "_registered", {})
    monkeypatch.setattr(ir_datasets.registry, "_patterns", [])
    shared: dict[str, Any] = {}

    def download(name: str, rows: list[str]) -> Any:
        file = tmp_path / name.replace("/", "-")
        file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        return ir_datasets.util.LocalDownload(file)

    def add(
        name: str,
        docs: list[str] | str | None = None,
        queries: list[str] | None = None,
        qrels: list[str] | None = None,
        **classes: Any,
    ) -> None:
        parts = []
        if isinstance(docs, list):
            kind = classes.get("doc_cls", ir_datasets.formats.GenericDoc)
            shared[name] = ir_datasets.formats.TsvDocs(download(f"{name}.docs", docs), doc_cls=kind, namespace=name)
        if docs is not None:
            parts.append(shared[name if isinstance(docs, list) else docs])
        if queries is not None:
            kind = classes.get("query_cls", ir_datasets.formats.GenericQuery)
            parts.append(ir_datasets.formats.TsvQueries(download(f"{name}.queries", queries), query_cls=kind))
        if qrels is not None:
            parts.append(ir_datasets.formats.TrecQrels(download(f"{name}.qrels", qrels), {}))
        ir_datasets.registry.register(name, ir_datasets.Dataset(*parts))

    return add


DOCS = ["d1\tit rains in spring", "d2\tsnow falls in winter", "d3\tstorms come in autumn"]
QUERIES = ["q1\twhen does it rain", "q2\twhen does it snow"]
QRELS = ["q1 0 d1 2", "q1 0 d3 -1", "q2 0 d2 1"]


@pytest.fixture
def weather(register: Register) -> None:
    """Register a corpus with the splits test, train, dev and a part of dev."""
    register("weather", DOCS)
    register("weather/test", "weather", QUERIES, QRELS)
    register("weather/train", "weather", ["t1\train"], ["t1 0 d1 1"])
    register("weather/dev", "weather", ["v1\tsnow", "v2\tstorm"], ["v1 0 d2 1", "v2 0 d3 1"])
    register("weather/dev/small", "weather", ["v1\tsnow"], ["v1 0 d2 1"])
    register("weather/eval", "weather", ["e1\tsnow"])


@pytest.mark.usefixtures("weather")
@pytest.mark.parametrize("prefix", ["ir_datasets:", "irds:"])
def test_an_id_is_a_data_set_and_names_its_split(prefix: str) -> None:
    found = load_dataset(f"{prefix}weather/test")
    assert (found.name, found.split, found.source) == ("weather", "test", "ir_datasets:weather/test")
    assert list(found.documents) == [tuple(row.split("\t")) for row in DOCS]
    assert list(found.queries) == [tuple(row.split("\t")) for row in QUERIES]
    assert found.qrels == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}
    assert found.id_rule == ID_RULE
    assert load_dataset(f"{prefix}weather/dev/small").split == "dev/small"


@pytest.mark.usefixtures("weather")
def test_a_split_may_be_given_apart_and_names_a_sibling_of_the_id() -> None:
    for name in ("irds:weather", "irds:weather/test"):
        assert load_dataset(name).split == "test"
        found = load_dataset(name, "train")
        assert (found.split, found.qrels) == ("train", {"t1": {"d1": 1}})
    with pytest.raises(CallError, match="no split 'other': available are dev, dev/small, test, train"):
        load_dataset("irds:weather/test", "other")
    with pytest.raises(CallError, match="no split 'eval': available are dev, dev/small, test, train"):
        load_dataset("irds:weather/eval")


@pytest.mark.usefixtures("weather")
def test_training_data_never_shares_queries_with_the_scored_split() -> None:
    from adaptors.fitting.data import find_training, select_fit_data

    found = find_training("irds:weather/test", "test")
    assert found is not None
    assert found.split == "train"
    assert find_training("irds:weather/train", "train").split == "dev"  # type: ignore[union-attr]
    with pytest.raises(CallError, match="'dev/small', which shares queries with 'dev': give weather/dev"):
        load_dataset("irds:weather/dev/small", "dev")
    for name, split in (("irds:weather", "dev/small"), ("irds:weather/dev/small", None)):
        with pytest.raises(CallError, match="expected none, train or dev, and not the scored split"):
            select_fit_data(name, load_dataset(name, split), "dev")


def test_training_is_not_found_in_a_part_of_the_scored_split(register: Register) -> None:
    from adaptors.fitting.data import find_training

    register("weather", DOCS)
    register("weather/train", "weather", QUERIES, QRELS)
    register("weather/train/small", "weather", QUERIES[:1], QRELS[:1])
    assert find_training("irds:weather", "train/small") is None
    assert find_training("irds:weather/train/small", "train/small") is None


def test_a_corpus_with_labels_of_its_own_has_no_other_split(register: Register) -> None:
    register("weather", DOCS, QUERIES, QRELS)
    register("weather/train", "weather", QUERIES[:1], QRELS[:1])
    found = load_dataset("irds:weather")
    assert (found.name, found.split, found.queries.ids) == ("weather", "test", ("q1", "q2"))
    with pytest.raises(CallError, match="no split 'train': available are test"):
        load_dataset("irds:weather", "train")
    with pytest.raises(CallError, match="no split 'test': available are train"):
        load_dataset("irds:weather/train", "test")


def test_a_corpus_below_another_one_is_not_its_split(register: Register) -> None:
    register("weather", DOCS)
    register("weather/test", "weather", QUERIES, QRELS)
    register("weather/small", DOCS[:2], QUERIES[1:], QRELS[2:])
    with pytest.raises(CallError, match="no split 'small': available are test "):
        load_dataset("irds:weather", "small")


def test_an_id_below_another_corpus_is_a_corpus_of_its_own(register: Register) -> None:
    register("weather", DOCS, QUERIES, QRELS)
    register("weather/small", DOCS[:2], QUERIES[1:], QRELS[2:])
    found = load_dataset("irds:weather/small")
    assert (found.name, found.split, len(found.documents)) == ("weather/small", "test", 2)


def test_ids_of_beir_follow_beirs_rule_for_same_ids(register: Register) -> None:
    register("beir/weather", [*DOCS, "q1\tunrelated"], QUERIES, QRELS)
    found = load_dataset("irds:beir/weather")
    assert (found.dropped, found.id_rule) == ({"q1", "q2"}, BEIR_ID_RULE)


def test_queries_and_documents_of_other_types_are_read(register: Register) -> None:
    topics = ["q1\train\twhen does it rain"]
    register("a", ["d1\tRain\tin spring"], topics, ["q1 0 d1 1"], doc_cls=Titled, query_cls=Topic)
    found = load_dataset("irds:a")
    assert (list(found.documents), list(found.queries)) == ([("d1", "Rain in spring")], [("q1", "rain")])


def test_the_librarys_own_text_of_a_document_comes_first(register: Register) -> None:
    register("a", ["d1\tRain\tin spring\turl"], ["q1\train"], ["q1 0 d1 1"], doc_cls=WithUrl)
    assert list(load_dataset("irds:a").documents) == [("d1", "Rain in spring url")]


def test_documents_without_a_text_are_refused_with_their_fields(register: Register) -> None:
    register("a", ["d1\tx = 1"], ["q1\tassignment"], ["q1 0 d1 1"], doc_cls=Coded)
    with pytest.raises(DataError, match=r"a docs:1: Coded has no text that stands for it \(its fields: doc_id, code\)"):
        load_dataset("irds:a")


def test_documents_are_read_from_any_block(register: Register) -> None:
    register("a", [f"d{number}\ttext {number}" for number in range(3000)], ["q1\ttext"], ["q1 0 d1 1"])
    documents = load_dataset("irds:a").documents
    assert list(documents.read(2047, 3)) == [(f"d{number}", f"text {number}") for number in (2047, 2048, 2049)]
    assert len(list(documents)) == 3000


@pytest.mark.usefixtures("weather")
def test_a_pickled_corpus_opens_the_data_set_itself() -> None:
    dataset = load_dataset("irds:weather/test")
    sent = pickle.dumps(set_up_corpus(dataset, DatasetSource("irds:weather/test"), 2))
    assert b"spring" not in sent
    assert list(pickle.loads(pickle.dumps(dataset.documents))) == list(dataset.documents)
    assert b"TsvDocs" not in pickle.dumps(dataset.documents)
    assert list(pickle.loads(sent).open()) == list(dataset.documents)


def test_malformed_files_are_one_line(register: Register) -> None:
    register("a", DOCS, QUERIES, ["q1 0 d1"])
    with pytest.raises(DataError, match="ir_datasets cannot read 'a'") as caught:
        load_dataset("irds:a")
    assert "\n" not in str(caught.value)
    register("b", ["d1 without a tab"], QUERIES, QRELS)
    with pytest.raises(DataError, match=r"ir_datasets cannot read 'b' \(RuntimeError: expected 2 fields, got 1\)"):
        load_dataset("irds:b")
    register("c", [*DOCS, "d1\tagain"], QUERIES, QRELS)
    with pytest.raises(DataError, match="c docs:4: duplicate id 'd1', first used in line 1"):
        load_dataset("irds:c")


def test_data_sets_without_all_three_parts_are_refused(register: Register) -> None:
    register("a", DOCS, QUERIES)
    with pytest.raises(CallError, match="'ir_datasets:a' has no queries with relevance labels"):
        load_dataset("irds:a")
    register("b", None, QUERIES, QRELS)
    with pytest.raises(CallError, match="'ir_datasets:b' has no documents"):
        load_dataset("irds:b")


@pytest.mark.usefixtures("weather")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wether/test", "no data set 'wether/test': did you mean weather/test"),
        ("zzz", "no data set 'zzz': its ids are listed at https://ir-datasets.com"),
        ("", "no data set '': expected the id of a data set"),
    ],
)
def test_an_unknown_id_gets_the_nearest_ones(name: str, message: str) -> None:
    with pytest.raises(CallError, match=message):
        load_dataset(f"irds:{name}")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(CallError, match=r"needs ir_datasets: pip install 'encoder-surgery\[ir-datasets\]'"):
        load_dataset("irds:weather/test")


def test_the_librarys_own_ids_resolve_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ir_datasets

    from probe.sources.irds import _divide, _list_splits

    monkeypatch.setattr(ir_datasets.util, "home_path", lambda: tmp_path)
    assert _divide("beir/scifact/test") == ("beir/scifact", "test")
    assert _list_splits("beir/scifact", "beir/scifact/test") == {
        "test": "beir/scifact/test",
        "train": "beir/scifact/train",
    }
    assert _divide("msmarco-passage/dev/small") == ("msmarco-passage", "dev/small")
    assert _list_splits("beir/arguana", "beir/arguana") == {"test": "beir/arguana"}
