"""What a data set can show: power, kinds of query, splits, lengths."""

import json
from pathlib import Path

import pytest
from tiny_data import make_dataset

from probe.experiments import data_inspection
from probe.experiments.data_inspection import DataInspection, inspect_dataset, inspection_rows
from probe.sources.loading import load_dataset


def inspect(folder: Path, longest: int = 5) -> DataInspection:
    def count(texts: object) -> list[int]:
        return [len(str(text).split()) for text in texts]  # type: ignore[attr-defined]

    return inspect_dataset(str(folder), load_dataset(str(folder)), count=count, longest=longest)


def test_few_queries_show_large_differences_alone(tmp_path: Path) -> None:
    few, many = (inspect(make_dataset(tmp_path / str(n), documents=240, queries=n)) for n in (4, 100))
    assert few.smallest_difference > many.smallest_difference > 0
    assert few.verdict.startswith("too few queries")


def test_queries_are_counted_per_split(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "a", queries=8)
    lines = (folder / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    (folder / "qrels" / "train.tsv").write_text("\n".join(lines[:3]) + "\n", encoding="utf-8")
    assert inspect(folder).splits["test"] == 8
    assert 1 <= inspect(folder).splits["train"] <= 2


def test_kinds_come_from_the_queries_with_five_examples(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "a", queries=8)
    assert {kind: one.queries for kind, one in inspect(folder).kinds.items()} == {"unknown": 8}
    file = folder / "queries.jsonl"
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [
        json.dumps({**record, "metadata": {"kind": "heading" if row else "sentence"}})
        for row, record in enumerate(records)
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    kinds = inspect(folder).kinds
    assert [len(kinds[kind].examples) for kind in ("heading", "sentence")] == [5, 1]


def test_long_documents_are_a_share_of_all(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "a")
    assert [inspect(folder, longest).truncated for longest in (0, 10_000)] == [1.0, 0.0]


def test_a_large_corpus_is_sampled_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_inspection, "_MOST_DOCUMENTS", 20)
    found = inspect(make_dataset(tmp_path / "a", documents=40, queries=8))
    assert found.sampled == 20
    assert "measured on 20 documents" in inspection_rows(found)["longer than the input"]


def test_repeated_documents_are_counted(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "a", documents=40, queries=8)
    before = inspect(folder)
    file = folder / "corpus.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines, json.dumps({**json.loads(lines[0]), "_id": "again"})]), encoding="utf-8")
    after = inspect(folder)
    assert after.exact_duplicates == before.exact_duplicates + 1
    assert after.near_duplicates == (before.near_duplicates or 0) + 1
