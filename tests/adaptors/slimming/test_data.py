"""The texts of a search: which queries judge, and that none of them is from the test split or the training."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_lines
from tiny_models import WORDS

from adaptors.fitting.data import FitTexts
from adaptors.slimming.data import load_slim_data
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.errors import CallError
from probe.sources.loading import load_dataset

QUERIES = 60


@pytest.fixture(scope="module")
def with_train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with ten test queries and fifty training queries."""
    folder = make_dataset(tmp_path_factory.mktemp("slim") / "tiny", documents=200, queries=QUERIES)
    test = (folder / "qrels" / "test.tsv").read_text().splitlines()
    write_lines(folder / "qrels" / "train.tsv", [test[0], *test[21:]])
    write_lines(folder / "qrels" / "test.tsv", test[:21])
    return folder


def test_where_queries_have_many_judged_documents_the_sample_has_more_documents(with_train: Path) -> None:
    """Fifty queries with six judged documents each."""
    data = FitTexts(load_dataset(str(with_train)), _judge_more(load_dataset(str(with_train), "train"), 6))
    queries = {count: len(load_slim_data(data, count).judging.queries) for count in (10, 30)}
    documents = {count: len(load_slim_data(data, count).judging.documents) for count in (10, 30)}
    assert documents[10] <= 40 < documents[30] <= 120
    assert queries[10] > 10 / 6
    assert queries[30] > queries[10]


def _judge_more(train: Dataset, count: int) -> Dataset:
    names = [name for name, _ in train.documents]
    judged = {
        query: {names[(7 * number + step) % len(names)]: int(step == 0) for step in range(count)}
        for number, query in enumerate(train.qrels)
    }
    return replace(train, qrels=judged)


def test_half_of_the_training_queries_judge_and_the_others_are_trained_on(with_train: Path) -> None:
    data = load_slim_data(str(with_train), 100)
    assert data.fit.train is not None
    seen, judging = set(data.fit.train.queries.ids), set(data.judging.queries.ids)
    test = set(load_dataset(str(with_train)).queries.ids)
    assert seen | judging == set(load_dataset(str(with_train), "train").queries.ids)
    assert not seen & judging
    assert not test & (seen | judging)
    assert data.basis == f"{len(judging)} queries of train that no training has seen"
    assert data.judging.split == "train"


def test_without_another_split_sentences_of_the_documents_judge(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "tiny", documents=100)
    data = load_slim_data(str(folder), 80)
    originals = dict(load_dataset(str(folder)).documents)
    assert data.fit.train is None
    assert len(data.judging.documents) == 80
    for query, text in data.judging.queries:
        (name,) = data.judging.qrels[query]
        rest = dict(data.judging.documents)[name]
        assert len(rest.split()) + len(text.split()) == len(originals[name].split())
        assert text not in rest
    assert "known-item" in data.basis
    assert data.judging.synthetic


def test_the_sample_is_the_same_every_time(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "tiny", documents=200)
    first, second = (load_slim_data(str(folder), 120).judging for _ in range(2))
    assert first.text_hash == second.text_hash
    assert first.qrels == second.qrels


def test_sentences_are_taken_whole_where_there_are_some() -> None:
    dice = random.Random(0)
    words = [*WORDS[4:], *(f"{word}s" for word in WORDS[4:])]

    def sentence() -> str:
        """Return nine words as a sentence."""
        return f"{' '.join(dice.choices(words, k=9)).capitalize()}."

    texts = tuple(" ".join(sentence() for _ in range(5)) for _ in range(30))
    names = tuple(f"d{number}" for number in range(30))
    corpus = Dataset("story", "test", Texts(names, texts), Texts(("q",), ("harbour",)), {"q": {"d0": 1}})
    asked = dict(load_slim_data(corpus, 30).judging.queries)
    whole = [text for query, text in asked.items() if f"{text} " in f"{dict(corpus.documents)[query[2:]]} "]
    assert sum(text.endswith(".") for text in whole) > 20


def test_too_few_long_documents_are_refused(tmp_path: Path) -> None:
    texts = Texts(tuple(f"d{n}" for n in range(50)), tuple(f"apple bird {n}" for n in range(50)))
    corpus = Dataset("short", "test", texts, Texts(("q",), ("apple",)), {"q": {"d0": 1}})
    with pytest.raises(CallError, match=r"'short' has no train or dev split with 40 queries, and only 0 of its 50"):
        load_slim_data(corpus, 50)


def test_a_loaded_data_set_can_bring_its_training_split(with_train: Path) -> None:
    given = FitTexts(load_dataset(str(with_train)), load_dataset(str(with_train), "train"))
    assert load_slim_data(given, 100).judging.split == "train"
    assert load_slim_data(given.corpus, 100).judging.synthetic
