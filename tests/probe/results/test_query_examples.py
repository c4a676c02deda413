"""Queries to look at: which are chosen, and what every encoder is said to have found."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_data import make_dataset

from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.reader import LayerReader
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.metrics.retrieval import Metric, score_run
from probe.models.loaded import LoadedModel
from probe.results.query_examples import LEADERS, Examples, before_and_after, choose_examples, leaders
from probe.sources.loading import load_dataset


def asked(count: int) -> Dataset:
    documents = Texts(tuple(f"d{i}" for i in range(count)), tuple(f"text {i}" for i in range(count)))
    queries = Texts(tuple(f"q{i}" for i in range(count)), tuple(f"query {i}" for i in range(count)))
    return Dataset("asked", "test", documents, queries, {f"q{i}": {f"d{i}": 2, f"d{i - 1}": 0} for i in range(count)})


def choose(scores: list[list[float]]) -> Examples:
    dataset = asked(len(scores[0]))
    found = [{query: (f"d{row}",) for query in dataset.qrels} for row in range(len(scores))]
    return choose_examples(np.array(scores), found, dataset)


def chosen(examples: Examples, why: str) -> list[str]:
    return [example.query for example in examples.queries if example.chosen == why]


def test_the_worst_the_best_and_those_that_divide() -> None:
    first = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0]
    first += [0.91, 0.92, 0.93, 0.05, 0.95, 0.96, 0.97, 0.98, 0.01, 0.02]
    second = list(first)
    second[3], second[0] = 0.0, 0.2
    examples = choose([first, second])
    assert chosen(examples, "divided") == ["q0", "q3"]
    assert chosen(examples, "worst") == ["q9", "q18", "q19", "q13", "q8", "q7"]
    assert chosen(examples, "best") == ["q17", "q16", "q15", "q14", "q12", "q11"]


def test_of_equal_queries_those_come_first_that_divide_more() -> None:
    count = 20
    first, second = [0.0] * count, [0.0] * count
    for place in range(9):
        second[place] = (place + 1) / 10
    assert chosen(choose([first, second]), "divided") == [f"q{place}" for place in (8, 7, 6, 5, 4, 3)]
    assert chosen(choose([first, second]), "worst") == ["q2", "q1", "q0", "q9", "q10", "q11"]


def test_of_two_encoders_each_wins_some_however_much_more_the_other_does() -> None:
    gained, lost, equal = 10, 3, 5
    first = [0.0] * gained + [0.6] * lost + [0.5] * equal
    second = [1.0] * gained + [0.5] * lost + [0.5] * equal
    examples = choose([first, second])
    assert chosen(examples, "divided") == [f"q{place}" for place in (0, 1, 2, 3, 4, 5, 10, 11, 12)]
    changes = [one.chosen for one in before_and_after(examples, 1, 2).queries]
    assert changes == ["lost"] * lost + ["gained"] * 6
    # Of more encoders those that differ most, whoever wins.
    assert chosen(choose([first, second, second]), "divided") == [f"q{place}" for place in range(6)]


def test_no_query_twice_and_a_few_are_all_shown() -> None:
    names = [example.query for example in choose([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]]).queries]
    assert sorted(names) == ["q0", "q1", "q2"]


def test_where_encoders_agree_nothing_divides_them() -> None:
    assert chosen(choose([[0.1, 0.2, 0.3]] * 2), "divided") == []


def test_documents_that_are_named_have_their_beginning() -> None:
    dataset = asked(3)
    long = replace(dataset, documents=Texts(("d0", "d1", "d2", "d9"), ("a\n\n b", "x" * 5000, "c", "unseen")))
    examples = choose_examples(np.zeros((1, 3)), [{"q0": ("d1", "gone")}], long)
    assert examples.texts == {"d0": "a b", "d1": "x" * 399 + "…", "d2": "c"}
    assert examples.queries[0].relevant == {"d0": 2}


def test_leaders_are_the_first_documents() -> None:
    run = {"q": {f"d{i}": 1 - i / 10 for i in range(9)}, "none": {}}
    assert leaders(run) == {"q": tuple(f"d{i}" for i in range(LEADERS)), "none": ()}


def test_findings_are_those_of_the_rows(model: LoadedModel, dataset: Dataset) -> None:
    board = rank_layers(LayerReader(model), dataset, options=RunOptions(bm25=True, examples=True))
    assert board.examples is not None
    metric = Metric.parse(board.metric)
    for example in board.examples.queries:
        assert [finding.rank for finding in example.findings] == [row.rank for row in board.rows]
        for finding, row in zip(example.findings, board.rows, strict=True):
            assert row.layer is None or len(finding.documents) == LEADERS
            run = {example.query: {name: -float(place) for place, name in enumerate(finding.documents)}}
            (score,) = score_run(run, {example.query: dataset.qrels[example.query]}, [metric])[metric]
            # One relevant document: it decides the score, wherever it was among the first.
            assert finding.score == pytest.approx(score) or set(example.relevant).isdisjoint(finding.documents)


def test_they_cost_nothing_unless_they_are_asked_for(model: LoadedModel, dataset: Dataset) -> None:
    assert rank_layers(LayerReader(model), dataset).examples is None


def test_the_same_examples_from_a_corpus_that_is_streamed(
    model: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:

    streamed = load_dataset(str(make_dataset(tmp_path_factory.mktemp("data") / "tiny")))
    held = replace(streamed, documents=Texts.gather(streamed.documents))
    options = RunOptions(examples=True)
    boards = [rank_layers(LayerReader(model), data, options=options) for data in (streamed, held)]
    assert boards[0].examples == boards[1].examples


def test_documents_of_files_name_them(tmp_path: Path) -> None:
    sources = {"guide/install.md#2": "guide/install.md", "my%20notes.txt": "my notes.txt"}
    (tmp_path / "qrels").mkdir()
    lines = [
        json.dumps({"_id": name, "text": f"text of {name}", "metadata": {"source": path}})
        for name, path in sources.items()
    ]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "how to install"}', encoding="utf-8")
    (tmp_path / "qrels" / "test.tsv").write_text("q\tguide/install.md#2\t1", encoding="utf-8")
    dataset = load_dataset(str(tmp_path))
    examples = choose_examples(np.array([[0.5]]), [{"q": tuple(sources)}], dataset)
    assert examples.sources == sources
    assert choose([[0.1, 0.2]]).sources == {}
