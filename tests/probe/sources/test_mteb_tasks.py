"""Retrieval tasks of mteb, written as tasks of the library itself whose repository is a local folder."""

import importlib
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hub_tables import CORPUS, LABELS, QUERIES, Rows, cache_as_download, write_hub_folder

from probe.data.dataset import BEIR_ID_RULE, KEPT_ID_RULE
from probe.errors import CallError, DataError
from probe.sources.loading import load_dataset

TABLES: Mapping[str, Mapping[str, Rows]] = {
    "corpus": {"corpus": [*CORPUS, {"_id": "q1", "title": "", "text": "when does it rain"}]},
    "queries": {"queries": [*QUERIES, {"_id": "d3", "text": "unrelated"}]},
    "default": {"test": [*LABELS, {"query-id": "d3", "corpus-id": "d1", "score": 1.0}], "dev": LABELS},
}
Add = Callable[..., str]


@pytest.fixture
def add_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Return a function that writes a task's repository and registers the task; it returns the data set's name."""
    import datasets
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    registry = importlib.import_module("mteb.get_tasks")._TASKS_REGISTRY

    def add(
        tables: Mapping[str, Mapping[str, Rows]] = TABLES, rules: Mapping[str, Any] | None = None, **about: Any
    ) -> str:
        folder = write_hub_folder(tmp_path / "repository", tables)
        told: dict[str, Any] = {
            "name": "Weather",
            "dataset": {"path": str(folder), "revision": "main"},
            "description": "weather",
            "type": "Retrieval",
            "category": "t2t",
            "modalities": ["text"],
            "eval_splits": ["test"],
            "eval_langs": ["eng-Latn"],
            "main_score": "ndcg_at_10",
            **about,
        }
        values = {"metadata": TaskMetadata(**told), **(rules or {})}
        monkeypatch.setitem(registry, "Weather", type("Weather", (AbsTaskRetrieval,), values))
        return "mteb:Weather"

    return add


def test_a_task_is_a_data_set(add_task: Add) -> None:
    found = load_dataset(add_task())
    assert (found.name, found.split, found.queries.ids) == ("Weather", "test", ("q1", "q2", "d3"))
    assert next(iter(found.documents)) == ("d1", "Rain It rains in spring.")
    assert found.qrels == {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}, "d3": {"d1": 1}}
    assert found.source.startswith("mteb:Weather (/")


def test_the_texts_are_those_that_mteb_gives_a_model(add_task: Add) -> None:
    from mteb._create_dataloaders import _retrieval_texts
    from mteb.types import PromptType

    found = load_dataset(add_task())
    task = sys.modules["mteb"].get_task("Weather")
    task.load_data()
    data = task.dataset["default"]["test"]
    assert [text for _, text in found.documents] == list(_retrieval_texts(data["corpus"], PromptType.document))
    assert sorted(found.queries.texts) == sorted(_retrieval_texts(data["queries"], PromptType.query))


def test_documents_with_the_querys_id_follow_the_rule_of_the_task(add_task: Add) -> None:
    kept = load_dataset(add_task())
    assert (kept.dropped, kept.id_rule) == (frozenset(), KEPT_ID_RULE)
    told = [notice for notice in kept.notices if "(kept" in notice]
    assert len(told) == 2
    assert ["the same text" in notice for notice in told] == [False, True]
    assert load_dataset("mteb:Weather", drop_same_id=True).id_rule == BEIR_ID_RULE
    dropped = load_dataset(add_task(rules={"ignore_identical_ids": True}))
    assert (dropped.dropped, dropped.id_rule) == ({"q1", "q2", "d3"}, BEIR_ID_RULE)


def test_splits_are_the_evaluation_splits_of_the_task(add_task: Add) -> None:
    name = add_task(eval_splits=["dev", "test"])
    assert load_dataset(name).split == "test"
    assert load_dataset(name, "dev").queries.ids == ("q1", "q2")
    with pytest.raises(CallError, match="no split 'train': available are dev, test"):
        load_dataset(name, "train")


def test_an_evaluation_split_called_train_is_the_test_and_never_training_data(add_task: Add) -> None:
    from adaptors.fitting.data import find_training

    name = add_task({**TABLES, "default": {"train": LABELS}}, eval_splits=["train"])
    assert load_dataset(name).split == "test"
    with pytest.raises(CallError, match="no split 'train': available are test"):
        load_dataset(name, "train")
    assert find_training(name, "test") is None


def test_a_subset_is_chosen_by_a_suffix_and_none_is_guessed(add_task: Add) -> None:
    tables = {}
    for language in ("en", "de"):
        corpus = [{"_id": f"d{row}", "text": f"{language} {row}"} for row in (1, 2, 3)]
        tables |= {f"{language}-corpus": {"test": corpus}, f"{language}-queries": {"test": QUERIES}}
        tables |= {f"{language}-qrels": {"test": LABELS}}
    name = add_task(tables, eval_langs={"en": ["eng-Latn"], "de": ["deu-Latn"]})
    found = load_dataset(f"{name}/de")
    assert (found.name, next(iter(found.documents))) == ("Weather/de", ("d1", "de 1"))
    assert list(pickle.loads(pickle.dumps(found.documents))) == list(found.documents)
    for typed in (name, f"{name}/fr"):
        with pytest.raises(CallError, match="has the subsets en, de: expected one of them, as in mteb:Weather/en"):
            load_dataset(typed)


def test_a_task_without_subsets_refuses_one(add_task: Add) -> None:
    with pytest.raises(CallError, match="has no subsets: leave out /en"):
        load_dataset(f"{add_task()}/en")


def test_a_pickled_corpus_loads_the_task_itself(add_task: Add) -> None:
    found = load_dataset(add_task())
    sent = pickle.dumps(found.documents)
    assert b"spring" not in sent
    assert list(pickle.loads(sent)) == list(found.documents)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Banking77Classification", "is a task of the type Classification: expected Retrieval"),
        ("AskUbuntuDupQuestions", "is a task of the type Reranking: expected Retrieval"),
        ("CQADupstackRetrieval", "is a mean over several tasks: expected one of CQADupstackAndroidRetrieval, "),
        ("SciFac", "no task of this name: 'SciFac' not found. Did you mean: 'SciFact'?"),
    ],
)
def test_other_tasks_are_refused_with_what_they_are(name: str, message: str) -> None:
    with pytest.raises(CallError, match=message.replace("?", r"\?")):
        load_dataset(f"mteb:{name}")


def test_tasks_of_images_are_refused(add_task: Add) -> None:
    with pytest.raises(CallError, match="is a retrieval of image, text: expected text alone"):
        load_dataset(add_task(modalities=["image", "text"], category="it2t"))
    with pytest.raises(CallError, match="expected text alone"):
        load_dataset(add_task(rules={"skip_first_result": True}))


def test_candidates_are_refused(add_task: Add) -> None:
    candidates = {"test": [{"query-id": "q1", "corpus-ids": ["d1", "d2"]}]}
    with pytest.raises(CallError, match="ranks given candidates of each query"):
        load_dataset(add_task({**TABLES, "top_ranked": candidates}))


def test_instructions_are_refused(add_task: Add) -> None:
    told = {"test": [{"query-id": name, "instruction": "only rain"} for name in ("q1", "q2", "d3")]}
    with pytest.raises(CallError, match="has an instruction for each query"):
        load_dataset(add_task({**TABLES, "instruction": told}))


def test_a_task_whose_data_cannot_be_loaded_is_one_line(add_task: Add) -> None:
    name = add_task({"corpus": TABLES["corpus"], "queries": TABLES["queries"]})
    with pytest.raises(DataError, match=r"mteb cannot load 'Weather' \(ValueError: No qrels or default") as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)


def test_without_the_hub_a_task_that_is_not_cached_is_one_line() -> None:
    with pytest.raises(DataError, match="'mteb:SciFact' is not in the cache, and the hub is unreachable"):
        load_dataset("mteb:SciFact")


def test_without_the_hub_a_cached_copy_of_another_revision_is_refused(
    add_task: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_hub_folder(tmp_path / "weather", TABLES)
    cache_as_download(folder, "mteb/weather", "a" * 40, tmp_path / "cache", monkeypatch)
    # Without the hub, the library knows splits and tables only of what mteb asks it for by name.
    loader = importlib.import_module("mteb.abstasks.retrieval_dataset_loaders")
    monkeypatch.setattr(loader, "get_dataset_config_names", lambda *_: list(TABLES))
    for revision in ("a" * 40, "b" * 40):
        add_task(dataset={"path": "mteb/weather", "revision": revision})
        if revision == "a" * 40:
            assert load_dataset("mteb:Weather").source == f"mteb:Weather (mteb/weather@{revision})"
        else:
            with pytest.raises(DataError, match=r"the newest copy in the cache is mteb/weather@a+$"):
                load_dataset("mteb:Weather")


def test_without_mteb_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(CallError, match=r"'mteb:' needs mteb: pip install 'encoder-surgery\[mteb\]'"):
        load_dataset("mteb:SciFact")


def test_the_libraries_are_imported_only_where_they_are_used() -> None:
    code = "import sys, probe.sources.loading; print({'mteb', 'datasets', 'ir_datasets'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "set()\n"
