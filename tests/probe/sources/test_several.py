"""Several data sets: collections, a split for each, names apart, and none that would count twice."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_beir, zip_folder

from probe.data.sampling import SampleSize
from probe.errors import CallError, DataError
from probe.sources.beir_download import beir_names
from probe.sources.loading import load_dataset
from probe.sources.several import (
    DatasetRequest,
    as_datasets,
    is_single,
    load_datasets,
    request_datasets,
)


def splits_of(names: Sequence[str], *splits: str) -> list[str | None]:
    return [request.split for request in request_datasets(names, splits)]


def make_sets(root: Path, *names: str) -> list[str]:
    return [str(make_dataset(root / name, seed=seed)) for seed, name in enumerate(names)]


def labels_of(names: Sequence[str], *splits: str) -> list[str]:
    return [one.label for one in load_datasets(request_datasets(names, splits)).found]


def test_a_collection_is_all_its_data_sets() -> None:
    assert [request.name for request in request_datasets(["docstrings", "beir"])] == ["docstrings", *beir_names()]
    assert len(beir_names()) > 10


def test_a_data_set_that_a_collection_has_is_not_given_once_more() -> None:
    with pytest.raises(CallError, match="'scifact' is given twice"):
        request_datasets(["beir", "scifact"])


def test_a_folder_is_the_same_whatever_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (name,) = make_sets(tmp_path, "a")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("a")
    for other in (name, f"{name}/", "a", "./a", "link"):
        with pytest.raises(CallError, match="is given twice"):
            request_datasets([name, other])


def test_a_split_is_for_all_or_for_one_by_its_name() -> None:
    names = ["scifact", "data/NFCorpus.zip", "my/own/"]
    assert splits_of(names) == [None, None, None]
    assert splits_of(names, "dev") == ["dev", "dev", "dev"]
    assert splits_of(names, "dev", "nfcorpus=train") == ["dev", "train", "dev"]
    assert splits_of(names, "own=a", "scifact=b", "data/NFCorpus.zip=c") == ["b", "c", "a"]


def test_a_path_may_have_an_equals_sign() -> None:
    assert splits_of(["runs/lr=1/data", "scifact"], "runs/lr=1/data=dev") == ["dev", None]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (["dev", "test"], "two splits for all data sets, 'dev' and 'test'"),
        (["scifact=dev", "scifact=test"], "two splits for 'scifact'"),
        (["scifcat=dev"], "unknown data set 'scifcat': did you mean scifact"),
        (["own=dev"], "several have that name: give its path"),
        (["scifact="], "'scifact=' names no split"),
        ([""], "'' names no split"),
    ],
)
def test_splits_that_mean_nothing_are_refused(splits: list[str], message: str) -> None:
    with pytest.raises(CallError, match=message):
        request_datasets(["scifact", "a/own", "b/own"], splits)


def test_every_data_set_is_read_with_its_split(tmp_path: Path) -> None:
    names = make_sets(tmp_path, "a", "b")
    write_beir(tmp_path / "b", {"d1": "snow"}, {"q1": "snow"}, {"q1": {"d1": 1}}, "dev")
    found = load_datasets(request_datasets(names, ["b=dev"])).found
    assert [one.dataset.split for one in found] == ["test", "dev"]
    assert [one.request for one in found] == [DatasetRequest(names[0]), DatasetRequest(names[1], "dev")]


def test_a_sample_is_taken_of_each(tmp_path: Path) -> None:
    found = load_datasets(request_datasets(make_sets(tmp_path, "a", "b")), SampleSize(queries=3)).found
    assert [len(one.dataset.queries) for one in found] == [3, 3]


def test_names_are_those_of_the_data_sets_where_no_two_are_alike(tmp_path: Path) -> None:
    assert labels_of(make_sets(tmp_path, "x/one", "y/two")) == ["one", "two"]


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    assert labels_of(make_sets(tmp_path, "x/data", "y/data", "other")) == ["x/data", "y/data", "other"]


def test_names_that_differ_in_case_alone_are_told_apart(tmp_path: Path) -> None:
    assert labels_of(make_sets(tmp_path, "x/Data", "y/data")) == ["x/Data", "y/data"]


def test_equal_names_in_equal_folders_are_told_apart_by_their_splits(tmp_path: Path) -> None:
    names = make_sets(tmp_path, "1/x/data", "2/x/data")
    (Path(names[1]) / "qrels" / "test.tsv").rename(Path(names[1]) / "qrels" / "dev.tsv")
    assert labels_of(names) == ["data:test", "data:dev"]


def test_equal_names_in_equal_folders_are_told_apart_by_numbers_in_the_end(tmp_path: Path) -> None:
    assert labels_of(make_sets(tmp_path, "1/x/data", "2/x/data")) == ["data 1", "data 2"]


def test_equal_data_sets_under_other_names_are_refused(tmp_path: Path) -> None:
    (name,) = make_sets(tmp_path, "one")
    archive = str(zip_folder(Path(name), tmp_path / "packed.zip"))
    copy = str(make_dataset(tmp_path / "two", seed=0))
    for other in (archive, copy):
        with pytest.raises(CallError, match="have the same texts and relevance labels"):
            load_datasets(request_datasets([name, other]))
        with pytest.raises(CallError, match="have the same texts and relevance labels"):
            as_datasets([name, other])


def test_equal_texts_with_other_relevance_labels_are_two_data_sets(tmp_path: Path) -> None:
    names = make_sets(tmp_path, "one", "two")
    # The same queries and documents; another document is relevant.
    rows = "".join(f"q{number}\td{number + 1}\t1\n" for number in range(8))
    (Path(names[1]) / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    for name in ("corpus.jsonl", "queries.jsonl"):
        (Path(names[1]) / name).write_bytes((Path(names[0]) / name).read_bytes())
    assert labels_of(names) == ["one", "two"]


def test_a_data_set_that_cannot_be_read_ends_all_or_is_left_out(tmp_path: Path) -> None:
    names = make_sets(tmp_path, "one", "two")
    (Path(names[0]) / "corpus.jsonl").write_text("no JSON\n")
    with pytest.raises(DataError, match=r"corpus\.jsonl"):
        load_datasets(request_datasets(names))
    loaded = load_datasets(request_datasets(names), keep_going=True)
    assert [one.label for one in loaded.found] == ["two"]
    assert list(loaded.failed) == [names[0]]
    assert "corpus.jsonl" in loaded.failed[names[0]]
    with pytest.raises(DataError, match=r"corpus\.jsonl") as alone:
        load_datasets(request_datasets(names[:1]), keep_going=True)
    assert "no data set can be loaded" not in str(alone.value)


def test_that_no_data_set_can_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set can be loaded: .*nothing-here"):
        load_datasets(request_datasets([f"{tmp_path}/nothing-here", f"{tmp_path}/nor-here"]), keep_going=True)


def test_data_sets_in_python_have_names_of_their_own_or_those_of_a_mapping(tmp_path: Path) -> None:
    one, two = make_sets(tmp_path, "x/data", "y/data")
    value = load_dataset(two)
    assert list(as_datasets([one, Path(two)])) == ["x/data", "y/data"]
    assert list(as_datasets({"mine": one, "theirs": value})) == ["mine", "theirs"]
    assert as_datasets({"mine": one, "theirs": value})["theirs"] is value
    assert list(as_datasets(one)) == ["data"]


def test_values_of_equal_names_are_told_apart(tmp_path: Path) -> None:
    values = [load_dataset(name) for name in make_sets(tmp_path, "x/data", "y/data")]
    assert list(as_datasets(values)) == ["data 1", "data 2"]


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    for given in ([], {}):
        with pytest.raises(CallError, match="at least one"):
            as_datasets(given)  # type: ignore[arg-type]
    for wrong in (3, [3], {"a": 3}):
        with pytest.raises(CallError, match="dataset"):
            as_datasets(wrong)  # type: ignore[arg-type]


def test_a_single_data_set_is_told_from_several(tmp_path: Path) -> None:
    (name,) = make_sets(tmp_path, "one")
    assert all(is_single(one) for one in ("scifact", name, Path(name), load_dataset(name)))
    assert not any(is_single(one) for one in ("beir", [name], {"a": name}))
