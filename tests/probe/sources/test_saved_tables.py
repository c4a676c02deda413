"""Data sets saved with `datasets.save_to_disk`, as one dictionary of tables or a folder per table."""

import pickle
from pathlib import Path

import pytest
from hub_tables import CORPUS, LABELS, QUERIES

from probe.data.corpus import Corpus
from probe.errors import CallError, DataError
from probe.sources.loading import load_dataset

PARTS = {"corpus": CORPUS, "queries": QUERIES, "qrels": LABELS}
EXPECTED = {"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}}


def save_one(folder: Path, *left_out: str) -> Path:
    import datasets

    tables = {name: datasets.Dataset.from_list(list(rows)) for name, rows in PARTS.items() if name not in left_out}
    datasets.DatasetDict(tables).save_to_disk(str(folder))
    return folder


def save_three(folder: Path, *left_out: str) -> Path:
    import datasets

    for name, rows in PARTS.items():
        if name not in left_out:
            datasets.Dataset.from_list(list(rows)).save_to_disk(str(folder / name))
    return folder


@pytest.mark.parametrize("save", [save_one, save_three])
def test_a_saved_data_set_opens_by_its_path(tmp_path: Path, save: type) -> None:
    found = load_dataset(str(save(tmp_path / "weather")))
    assert (found.name, found.split, found.qrels) == ("weather", "test", EXPECTED)
    assert next(iter(found.documents)) == ("d1", "Rain It rains in spring.")
    assert isinstance(found.documents, Corpus)
    table = found.documents.records._table  # type: ignore[attr-defined]
    assert type(table.data.table).__name__ == "Table"
    assert [Path(file["filename"]).suffix for file in table.cache_files] == [".arrow"]
    assert list(pickle.loads(pickle.dumps(found.documents))) == list(found.documents)


def test_labels_saved_with_splits_are_chosen_by_split(tmp_path: Path) -> None:
    import datasets

    folder = save_three(tmp_path / "weather", "qrels")
    splits = {"train": datasets.Dataset.from_list(list(LABELS[:1])), "test": datasets.Dataset.from_list(list(LABELS))}
    datasets.DatasetDict(splits).save_to_disk(str(folder / "qrels"))
    assert load_dataset(str(folder)).qrels == EXPECTED
    assert load_dataset(str(folder), "train").qrels == {"q1": {"d1": 2}}
    with pytest.raises(CallError, match="no split 'dev': available are test, train"):
        load_dataset(str(folder), "dev")


@pytest.mark.parametrize("save", [save_one, save_three])
@pytest.mark.parametrize("part", ["corpus", "queries", "qrels"])
def test_a_missing_table_is_named_beside_those_found(tmp_path: Path, save: type, part: str) -> None:
    found = ", ".join(sorted(set(PARTS) - {part}, key=sorted(PARTS).index if save is save_one else list(PARTS).index))
    with pytest.raises(DataError, match=f"no table {part}: expected corpus, queries, qrels, found {found}"):
        load_dataset(str(save(tmp_path / "weather", part)))


def test_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    folder = save_three(tmp_path / "weather")
    next((folder / "corpus").glob("*.arrow")).write_bytes(b"damaged")
    with pytest.raises(DataError, match="corpus' is not a readable table") as caught:
        load_dataset(str(folder))
    assert "\n" not in str(caught.value)
