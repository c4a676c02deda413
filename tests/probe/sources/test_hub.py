"""Data sets of the hub: tables and splits in mteb's form, subsets, revisions, the cache without the hub."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hub_tables import CORPUS, LABELS, QUERIES, Rows, cache_as_download, write_hub_folder

from probe.data.corpus import Corpus
from probe.data.dataset import BEIR_ID_RULE, ID_RULE, KEPT_ID_RULE, Dataset
from probe.errors import CallError, DataError
from probe.experiments.provenance import dataset_settings
from probe.scale.corpus import DatasetSource, set_up_corpus
from probe.sources.hub import HubAddress, parse_address
from probe.sources.loading import load_dataset

COMMIT, OTHER = "a" * 40, "b" * 40
TABLES: Mapping[str, Mapping[str, Rows]] = {
    "corpus": {"corpus": CORPUS},
    "queries": {"queries": QUERIES},
    "default": {"train": LABELS[:1], "test": LABELS},
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def write(folder: Path, **changes: Mapping[str, Rows] | None) -> str:
    tables = {**TABLES, **changes}
    write_hub_folder(folder, {name: splits for name, splits in tables.items() if splits is not None})
    return f"hf:{folder}"


def contents(dataset: Dataset) -> tuple[Any, ...]:
    return list(dataset.documents), list(dataset.queries), dataset.qrels


def test_tables_in_the_form_of_mteb_are_a_data_set(tmp_path: Path) -> None:
    found = load_dataset(write(tmp_path / "weather"))
    assert contents(found) == (
        [("d1", "Rain It rains in spring."), ("d2", "Snow falls in winter."), ("d3", "Wind Storms come in autumn.")],
        [("q1", "when does it rain"), ("q2", "when does it snow")],
        {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}},
    )
    assert (found.name, found.split, found.id_rule) == ("weather", "test", ID_RULE)


def test_a_split_of_the_labels_keeps_its_queries_alone(tmp_path: Path) -> None:
    found = load_dataset(write(tmp_path / "weather"), "train")
    assert (found.split, found.queries.ids, found.qrels) == ("train", ("q1",), {"q1": {"d1": 2}})


def test_a_missing_split_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="no split 'dev': available are train, test"):
        load_dataset(write(tmp_path / "weather"), "dev")


def test_labels_may_be_in_a_table_named_qrels(tmp_path: Path) -> None:
    found = load_dataset(write(tmp_path / "weather", default=None, qrels={"test": LABELS}))
    assert found.qrels == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}


def test_labels_without_grades_list_the_relevant_documents(tmp_path: Path) -> None:
    pairs = [{"query-id": row["query-id"], "corpus-id": row["corpus-id"]} for row in LABELS]
    found = load_dataset(write(tmp_path / "weather", default={"test": pairs}))
    assert found.qrels == {"q1": {"d1": 1, "d3": 1}, "q2": {"d2": 1}}


def test_documents_may_have_a_split_for_every_split_of_the_labels(tmp_path: Path) -> None:
    corpus = {"train": CORPUS[:1], "test": CORPUS}
    address = write(tmp_path / "weather", corpus=corpus, queries={"train": QUERIES[:1], "test": QUERIES})
    assert len(load_dataset(address, "train").documents) == 1
    assert len(load_dataset(address, "test").documents) == 3
    with pytest.raises(DataError, match=r"no corpus for the split 'test': found dev, train"):
        load_dataset(write(tmp_path / "other", corpus={"dev": CORPUS, "train": CORPUS}), "test")


def test_ids_may_be_numbers_and_their_column_may_be_called_id(tmp_path: Path) -> None:
    corpus = [{"id": 7, "text": "rain"}]
    labels = [{"query-id": 1, "corpus-id": 7, "score": 1}]
    found = load_dataset(
        write(tmp_path / "a", corpus={"c": corpus}, queries={"q": [{"id": 1, "text": "x"}]}, default={"test": labels})
    )
    assert contents(found) == ([("7", "rain")], [("1", "x")], {"1": {"7": 1}})


def test_documents_are_mapped_from_files_and_read_from_any_block(tmp_path: Path) -> None:
    corpus = [{"_id": f"d{number}", "text": f"text {number}"} for number in range(3000)]
    found = load_dataset(write(tmp_path / "a", corpus={"corpus": corpus})).documents
    assert isinstance(found, Corpus)
    assert type(found.records._table.data).__name__ == "MemoryMappedTable"  # type: ignore[attr-defined]
    assert list(found.read(2047, 3)) == [(f"d{number}", f"text {number}") for number in (2047, 2048, 2049)]


def test_a_pickled_corpus_opens_its_tables_itself(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path / "weather"))
    sent = pickle.dumps(dataset.documents)
    assert b"Rain" not in sent
    assert b".arrow" not in sent
    assert list(pickle.loads(sent)) == list(dataset.documents)


def test_workers_open_a_data_set_of_the_hub(tmp_path: Path) -> None:
    address = write(tmp_path / "weather")
    dataset = load_dataset(address, limit=3)
    setup = pickle.loads(pickle.dumps(set_up_corpus(dataset, DatasetSource(address, None, 3), 2)))
    assert list(setup.open()) == list(dataset.documents)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"corpus": None},
            r"not a retrieval data set in mteb's form: expected the tables corpus, queries and qrels or default, "
            r"found queries, default",
        ),
        ({"queries": None}, "has no table queries: expected it beside the corpus, found corpus, default"),
        ({"default": None}, "no relevance labels: expected the table default or qrels, found corpus, queries"),
        (
            {"corpus": {"corpus": [{"_id": "d1", "body": "x"}]}},
            r"corpus \(corpus\): expected the columns _id \(or id\), text and optionally title, found _id, body",
        ),
        (
            {"default": {"test": [{"query-id": "q1", "score": 1}]}},
            r"default \(test\): expected the columns query-id, corpus-id and score, found query-id, score",
        ),
        (
            {"default": {"test": [*LABELS, {"query-id": "q1", "corpus-id": "d2", "score": 0.5}]}},
            r"default \(test\):row 4: expected an integer grade, found 0\.5",
        ),
        (
            {"corpus": {"corpus": [*CORPUS, {"_id": "d1", "title": "", "text": "again"}]}},
            r"corpus \(corpus\):row 4: duplicate id 'd1', first used in row 1",
        ),
        (
            {"queries": {"queries": [{"_id": "q1", "text": ["turn", "turn"]}]}},
            r'queries \(queries\):row 1: expected a string as "text", found a list',
        ),
    ],
)
def test_malformed_tables_are_refused_with_what_was_found(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write(tmp_path / "weather", **changes))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    address = write(tmp_path / "weather")
    next((tmp_path / "weather" / "corpus").iterdir()).write_bytes(b"PAR1 damaged")
    with pytest.raises(DataError, match="cannot be read") as caught:
        load_dataset(address)
    assert "\n" not in str(caught.value)


def subsets(folder: Path, *names: str) -> str:
    tables: dict[str, Mapping[str, Rows]] = {}
    for name in names:
        corpus = [{"_id": f"d{row}", "text": f"{name} text {row}"} for row in (1, 2, 3)]
        tables |= {f"{name}-corpus": {"corpus": corpus}, f"{name}-queries": {"queries": QUERIES}}
        tables |= {f"{name}-qrels": {"test": LABELS}}
    return f"hf:{write_hub_folder(folder, tables)}"


def test_a_subset_is_chosen_by_a_suffix(tmp_path: Path) -> None:
    found = load_dataset(f"{subsets(tmp_path / 'many', 'en', 'de')}/de")
    assert (found.name, next(iter(found.documents))) == ("many/de", ("d1", "de text 1"))


def test_several_subsets_are_named_and_none_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(CallError, match=r"has the subsets en, de: expected one of them, as in hf:.*many/en"):
        load_dataset(subsets(tmp_path / "many", "en", "de"))
    with pytest.raises(CallError, match="has the subsets en, de"):
        load_dataset(f"{subsets(tmp_path / 'many', 'en', 'de')}/fr")


def test_the_only_subset_needs_no_suffix(tmp_path: Path) -> None:
    assert load_dataset(subsets(tmp_path / "one", "en")).name == "one/en"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("mteb/scifact", HubAddress("mteb/scifact")),
        ("mteb/scifact@v1.0", HubAddress("mteb/scifact", "v1.0")),
        ("mteb/MIRACL@v1/en", HubAddress("mteb/MIRACL", "v1", "en")),
        ("mteb/MIRACL/en", HubAddress("mteb/MIRACL", None, "en")),
        ("a/b@refs/pr/3/en", HubAddress("a/b", "refs/pr/3", "en")),
        ("a/b@refs/convert/parquet", HubAddress("a/b", "refs/convert/parquet")),
    ],
)
def test_an_address_has_owner_name_revision_and_subset(text: str, address: HubAddress) -> None:
    assert parse_address(text) == address
    assert str(address) == f"hf:{text}"


@pytest.mark.parametrize("text", ["scifact", "", "a/b@", "a//b", "a/b/", "a b/c"])
def test_other_addresses_are_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(CallError, match="expected hf:OWNER/NAME"):
        parse_address(text)


def test_a_folder_of_the_same_name_is_not_taken_for_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "mteb" / "scifact")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError, match=r"also a folder here: write hf:\./mteb/scifact"):
        load_dataset("hf:mteb/scifact")
    assert load_dataset("hf:./mteb/scifact").name == "scifact"


def test_owner_name_table_and_revision_reach_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    folder, asked = str(write_hub_folder(tmp_path / "weather", TABLES)), []
    load = datasets.load_dataset

    def answer(path: str, name: str, *, revision: str | None, **options: Any) -> Any:
        asked.append((path, name, revision))
        return load(folder, name, **options)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    found = load_dataset(f"hf:mteb/weather@{COMMIT}")
    assert asked == [("mteb/weather", table, COMMIT) for table in ("corpus", "default", "queries")]
    assert (found.name, found.source) == ("weather", f"hf:mteb/weather@{COMMIT}")


def test_without_the_hub_a_cached_copy_is_used_and_its_commit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_hub_folder(tmp_path / "weather", TABLES)
    cache_as_download(folder, "mteb/weather", COMMIT, tmp_path / "cache", monkeypatch)
    found = load_dataset("hf:mteb/weather")
    assert found.source == dataset_settings(found)["source"] == f"hf:mteb/weather@{COMMIT}"
    assert contents(found) == contents(load_dataset(f"hf:{folder}"))
    assert found.documents.records.source.address.revision == COMMIT  # type: ignore[attr-defined]


def test_without_the_hub_another_revision_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_hub_folder(tmp_path / "weather", TABLES)
    cache_as_download(folder, "mteb/weather", COMMIT, tmp_path / "cache", monkeypatch)
    assert load_dataset(f"hf:mteb/weather@{COMMIT}").name == "weather"
    with pytest.raises(DataError, match=f"hub is unreachable: the newest copy in the cache is .*@{COMMIT}"):
        load_dataset(f"hf:mteb/weather@{OTHER}")


def test_without_the_hub_a_tag_that_stands_for_another_commit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    folder = write_hub_folder(tmp_path / "weather", TABLES)
    cache_as_download(folder, "mteb/weather", COMMIT, tmp_path / "cache", monkeypatch)
    known = {"v1": COMMIT, "v2": OTHER}

    def find(repo_id: str, filename: str, *, repo_type: str, revision: str) -> str:
        return f"/cache/{repo_type}s--{repo_id.replace('/', '--')}/snapshots/{known[revision]}/{filename}"

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", find)
    assert load_dataset("hf:mteb/weather@v1").name == "weather"
    with pytest.raises(DataError, match="hub is unreachable"):
        load_dataset("hf:mteb/weather@v2")


def test_without_the_hub_a_set_that_is_not_cached_is_one_line() -> None:
    with pytest.raises(DataError, match="'hf:mteb/nothing' is not complete in the cache, and the hub is unr") as caught:
        load_dataset("hf:mteb/nothing")
    assert "\n" not in str(caught.value)


def test_without_the_hub_a_table_that_is_not_cached_is_not_taken_for_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_hub_folder(tmp_path / "weather", {name: TABLES[name] for name in ("corpus", "queries")})
    cache_as_download(folder, "mteb/weather", COMMIT, tmp_path / "cache", monkeypatch)
    with pytest.raises(DataError, match="not complete in the cache"):
        load_dataset("hf:mteb/weather")


def test_a_set_that_the_hub_does_not_have_is_a_wrong_call(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    def fail(*_: object, **__: object) -> None:
        raise DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub or cannot be accessed.")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(CallError, match="'hf:a/b' is not on the hub, or needs a login"):
        load_dataset("hf:a/b")


def test_same_ids_follow_the_rule_of_folders(tmp_path: Path) -> None:
    corpus = [{"_id": "1", "text": "when does it rain"}, {"_id": "2", "text": "rain"}]
    queries = [{"_id": "1", "text": "when does it rain"}, {"_id": "2", "text": "when does it snow"}]
    labels = [{"query-id": "1", "corpus-id": "2", "score": 1}, {"query-id": "2", "corpus-id": "1", "score": 1}]
    address = write(tmp_path / "a", corpus={"c": corpus}, queries={"q": queries}, default={"test": labels})
    assert load_dataset(address).dropped == {"1"}
    dropping = load_dataset(address, drop_same_id=True)
    assert (dropping.dropped, dropping.id_rule) == ({"1", "2"}, BEIR_ID_RULE)


@pytest.fixture
def nano(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache a NanoBEIR data set at its pinned commit, in the form it has: no titles, no grades, one split `train`."""
    pairs = [{"query-id": row["query-id"], "corpus-id": row["corpus-id"]} for row in LABELS]
    corpus = [{"_id": row["_id"], "text": row["text"]} for row in CORPUS]
    queries = [*QUERIES, {"_id": "d2", "text": "Snow falls in winter."}]
    pairs.append({"query-id": "d2", "corpus-id": "d3"})
    tables = {"corpus": {"train": corpus}, "queries": {"train": queries}, "qrels": {"train": pairs}}
    folder = write_hub_folder(tmp_path / "nano", tables)
    commit = "309f1d1ae3ae2e092444a8a0c25bed59b82318bc"
    for repository in ("zeta-alpha-ai/NanoSciFact", "mteb/NanoSciFactRetrieval"):
        cache_as_download(folder, repository, commit, tmp_path / "cache", monkeypatch)


@pytest.mark.usefixtures("nano")
@pytest.mark.parametrize("name", ["NanoSciFact", "nanoscifact", "NANOSCIFACT"])
def test_a_nanobeir_set_is_known_by_name_in_any_case(name: str) -> None:
    found = load_dataset(name)
    assert (found.name, found.split) == ("NanoSciFact", "test")
    assert found.source == "hf:zeta-alpha-ai/NanoSciFact@309f1d1ae3ae2e092444a8a0c25bed59b82318bc"
    assert found.qrels["q1"] == {"d1": 1, "d3": 1}


@pytest.mark.usefixtures("nano")
@pytest.mark.parametrize("name", ["NanoSciFact", "hf:zeta-alpha-ai/NanoSciFact", "hf:mteb/NanoSciFactRetrieval"])
def test_the_train_split_of_a_nanobeir_set_is_its_test_and_never_training_data(name: str) -> None:
    from adaptors.fitting.data import find_training

    assert load_dataset(name).split == "test"
    with pytest.raises(CallError, match="no split 'train': available are test"):
        load_dataset(name, "train")
    assert find_training(name, "test") is None


@pytest.mark.usefixtures("nano")
def test_a_nanobeir_set_drops_no_document_as_its_published_scores_do() -> None:
    found = load_dataset("NanoSciFact")
    assert (found.dropped, found.id_rule) == (frozenset(), KEPT_ID_RULE)
    assert any("d2" in notice and "of the same text (kept" in notice for notice in found.notices)
    dropping = load_dataset("NanoSciFact", drop_same_id=True)
    assert (dropping.dropped, dropping.id_rule) == (frozenset({"q1", "q2", "d2"}), BEIR_ID_RULE)
    assert not any("kept" in notice for notice in dropping.notices)
