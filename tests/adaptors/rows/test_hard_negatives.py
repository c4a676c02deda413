"""Hard negatives: which documents may be drawn, against cosines by loops; which never are; and what is told."""

import json
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives
from tiny_data import make_dataset, write_beir, write_lines
from tiny_models import PROMPTS, WORDS

from adaptors.rows import hard_negatives
from adaptors.rows.columns import PAIRS
from adaptors.rows.hard_negatives import MineOptions, candidate_texts, mine, mine_negatives
from adaptors.rows.load import TuningData, load_tuning_data
from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from probe.encoding.chunk_states import silent
from probe.errors import CallError, DataError

_DICE = random.Random(5)
CORPUS = tuple(" ".join(_DICE.choices(WORDS[4:], k=_DICE.randint(3, 12))) for _ in range(60))
# The cosines of a random model lie close together.
OPTIONS = MineOptions(num_negatives=3, range_min=2, range_max=20, relative_margin=0.002)
ANY = replace(OPTIONS, relative_margin=-1.0)


def ask(number: int) -> str:
    return " ".join(CORPUS[number].split()[:3])


def rows_of(*rows: Row) -> TuningData:
    return TuningData("rows", rows)


# The last query has two positives.
PAIRED = rows_of(*(Pairwise(ask(min(i, 7)), CORPUS[i], location=f"rows.jsonl:{i + 1}") for i in range(9)))


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder("bert")), device="cpu")


def positives(data: TuningData, query: str) -> list[str]:
    return [row.positive for row in data.rows if isinstance(row, Pairwise) and row.query == query]


def plain_cosine(left: Sequence[float], right: Sequence[float]) -> float:
    def dot(one: Sequence[float], other: Sequence[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    return dot(left, right) / math.sqrt(dot(left, left) * dot(right, right))


def allowed(model: SentenceTransformer, data: TuningData, options: MineOptions) -> dict[str, list[str]]:
    """By query, the texts that may be drawn; by loops, in float64."""
    vectors = {text: model.encode(PROMPTS["document"] + text).astype(float).tolist() for text in CORPUS}
    queries = dict.fromkeys(row.query for row in data.rows)
    most = max(len(positives(data, query)) for query in queries)
    found = {}
    for query in queries:
        asked = model.encode(PROMPTS["query"] + query).astype(float).tolist()
        scores = {text: plain_cosine(asked, vector) for text, vector in vectors.items()}
        nearest = sorted(scores, key=lambda text: -scores[text])[: options.range_max + most]
        lowest = min(scores[text] for text in positives(data, query))
        limit = lowest - abs(lowest) * options.relative_margin
        left = [text for text in nearest if text not in positives(data, query) and scores[text] <= limit]
        found[query] = left[options.range_min : options.range_max]
    return found


@pytest.mark.parametrize(
    "options",
    [
        OPTIONS,
        replace(ANY, range_max=6),
        replace(OPTIONS, relative_margin=0.0),
        replace(OPTIONS, range_min=0, num_negatives=8),
    ],
)
def test_only_what_the_ranks_and_the_margin_leave_is_drawn(model: SentenceTransformer, options: MineOptions) -> None:
    may, mined = allowed(model, PAIRED, options), mine_negatives(PAIRED, model, CORPUS, options=options)
    assert {row.query for row in mined.rows} == {
        query for query, texts in may.items() if len(texts) >= options.num_negatives
    }
    for row in mined.rows:
        assert isinstance(row, Pairwise)
        assert len(set(row.negatives)) == options.num_negatives
        # The nearest comes first.
        assert [text for text in may[row.query] if text in row.negatives] == list(row.negatives)


def test_every_document_that_may_be_drawn_is_drawn_by_some_seed(model: SentenceTransformer) -> None:
    options = replace(ANY, range_max=8)
    may, drawn = allowed(model, PAIRED, options), dict[str, set[str]]()
    for seed in range(12):
        for row in mine_negatives(PAIRED, model, CORPUS, options=replace(options, seed=seed)).rows:
            assert isinstance(row, Pairwise)
            drawn.setdefault(row.query, set()).update(row.negatives)
    assert drawn == {query: set(texts) for query, texts in may.items()}


def test_one_document_more_than_asked_for_is_mined_and_no_positive(model: SentenceTransformer) -> None:
    pairs = [(row.query, row.positive) for row in PAIRED.rows if isinstance(row, Pairwise)]
    mined = mine(pairs, model, CORPUS, options=ANY, progress=silent)
    assert list(mined) == list(dict.fromkeys(query for query, _ in pairs))
    assert all(len(set(found)) == 4 and not set(found) & set(positives(PAIRED, q)) for q, found in mined.items())


def test_the_margin_rules_out_what_the_tests_look_at(model: SentenceTransformer) -> None:
    wide, narrow = (allowed(model, PAIRED, options) for options in (ANY, OPTIONS))
    assert all(len(texts) >= OPTIONS.num_negatives for texts in wide.values())
    few = [query for query, texts in narrow.items() if len(texts) < OPTIONS.num_negatives]
    assert 0 < len(few) < len(narrow)


def test_pairs_with_too_few_are_left_out_and_told_in_one_line(model: SentenceTransformer) -> None:
    data = replace(PAIRED, defects=("2 empty texts: a, b",))
    mined = mine_negatives(data, model, CORPUS, options=OPTIONS)
    kept = {row.location for row in mined.rows}
    missing = [row.location for row in data.rows if row.location not in kept]
    told, (line,) = mined.defects[0], mined.defects[1:]
    assert told == "2 empty texts: a, b"
    assert line.startswith(f"{len(missing)} pairs with fewer than 3 negatives (skipped): {missing[0]}")
    assert mined.name == "rows"


def test_rows_keep_their_order_their_grade_and_what_they_are(model: SentenceTransformer) -> None:
    data = rows_of(*(replace(row, grade=float(i)) for i, row in enumerate(PAIRED.rows) if isinstance(row, Pairwise)))
    mined = mine_negatives(data, model, CORPUS, options=ANY).rows
    assert tuple(replace(row, negatives=()) for row in mined if isinstance(row, Pairwise)) == data.rows
    assert [row.location for row in mined] == [row.location for row in data.rows]


def test_the_same_seed_gives_the_same_rows_whatever_was_drawn_before(model: SentenceTransformer) -> None:
    first = mine_negatives(PAIRED, model, CORPUS, options=ANY)
    random.seed(99)
    expected = random.Random(99).random()
    assert mine_negatives(PAIRED, model, CORPUS, options=ANY) == first
    assert random.random() == expected
    assert mine_negatives(PAIRED, model, CORPUS, options=replace(ANY, seed=1)) != first


def test_a_document_relevant_to_the_query_is_never_its_negative_in_any_form(model: SentenceTransformer) -> None:
    changed = (f"  {text.upper()}\n" for text in CORPUS[:9])
    options = MineOptions(num_negatives=6, range_min=0, range_max=8, relative_margin=-1)
    other = rows_of(*PAIRED.rows, Pairwise(f" {ask(0)}".upper(), CORPUS[20]))
    near = {text: f"{text} {text}" for text in CORPUS[:9]}
    mined = mine_negatives(other, model, [*changed, *CORPUS[:9], *near.values(), CORPUS[20]], options=options)
    assert len(mined.rows) == 10
    for row in mined.rows:
        assert isinstance(row, Pairwise)
        same = [one for one in other.rows if one.query.strip().lower() == row.query.strip().lower()]
        relevant = {one.positive.lower() for one in same if isinstance(one, Pairwise)}
        assert not relevant & {text.strip().lower() for text in row.negatives}
        assert len({text.strip().lower() for text in row.negatives}) == 6


def test_neither_the_query_nor_an_empty_text_is_a_negative(model: SentenceTransformer) -> None:
    data = rows_of(Pairwise("sun", "star light"), Pairwise("moon", "silver night"))
    mined = mine_negatives(data, model, ["sun", "Moon", "", " \n", "cold rain"], options=MineOptions(3, 0, 9, -5))
    first, second = (row.negatives for row in mined.rows if isinstance(row, Pairwise))
    assert set(first) == {"Moon", "cold rain", "silver night"}
    assert set(second) == {"sun", "cold rain", "star light"}
    with pytest.raises(DataError, match="no pair of 'rows' has 4 negatives at ranks 1 to 9 among 5 documents"):
        mine_negatives(data, model, ["sun", "Moon", "", " \n", "cold rain"], options=MineOptions(4, 0, 9, -5))


def test_own_negatives_stay_first_and_all_rows_come_to_the_same_number(model: SentenceTransformer) -> None:
    query, text = ask(0), CORPUS[0]
    candidates = allowed(model, PAIRED, replace(ANY, range_max=7))[query]
    assert len(candidates) == 5
    own = (candidates[3], "milk wood", candidates[0])
    data = rows_of(Pairwise(query, text, own[:2]), Pairwise(query, text), Pairwise(query, text, own), *PAIRED.rows[1:])
    mined = mine_negatives(data, model, CORPUS, options=replace(ANY, num_negatives=5, range_max=7)).rows
    negatives = [row.negatives for row in mined if isinstance(row, Pairwise)]
    assert [texts[:2] for texts in negatives[:1]] == [own[:2]]
    assert negatives[2][:3] == own
    assert [len(set(texts)) for texts in negatives] == [5] * len(data.rows)
    assert set(negatives[1]) == set(candidates)
    assert set(negatives[0][2:]) <= set(candidates) - {own[0]}
    assert set(negatives[2][3:]) <= set(candidates) - {own[0], own[2]}
    assert list(PAIRS.build(mined)) == ["anchor", "positive", *(f"negative_{i}" for i in range(1, 6))]


def test_too_many_own_negatives_and_wrong_ones_are_told(model: SentenceTransformer) -> None:
    many = tuple(CORPUS[20:25])
    wrong = Pairwise(ask(7), CORPUS[7], (CORPUS[8], CORPUS[30], f"{CORPUS[30]} ", " "), location="rows.jsonl:2")
    data = rows_of(replace(PAIRED.rows[0], negatives=many), wrong, PAIRED.rows[8])  # type: ignore[call-arg]
    mined = mine_negatives(data, model, CORPUS, options=ANY)
    first, second = (row.negatives for row in mined.rows[:2] if isinstance(row, Pairwise))
    assert first == many[:3]
    assert second[0] == CORPUS[30]
    assert not {CORPUS[8], " "} & set(second)
    assert mined.defects == (
        "1 pairs with more than 3 negatives in their row (the first 3 used): rows.jsonl:1",
        "1 pairs with a relevant, empty or duplicate negative (negative removed): rows.jsonl:2",
    )


def test_lists_and_points_are_mined_for_as_pairs(model: SentenceTransformer) -> None:
    lists = rows_of(*(Listwise(ask(i), (CORPUS[i], CORPUS[40 + i]), (2, 0)) for i in range(3)))
    points = rows_of(
        *(Pointwise(row.query, text, 2 - 2 * j) for row in lists.rows for j, text in enumerate(row.documents))  # type: ignore[union-attr]
    )
    found = mine_negatives(lists, model, CORPUS, options=ANY).rows
    assert found == mine_negatives(points, model, CORPUS, options=ANY).rows
    assert all(isinstance(row, Pairwise) and row.negatives[0] == CORPUS[40 + i] for i, row in enumerate(found))
    assert [row.grade for row in found if isinstance(row, Pairwise)] == [2, 2, 2]
    with pytest.raises(CallError, match="is a score"):
        mine_negatives(rows_of(Listwise("sun", ("a", "b"), (0.5, 0.1))), model, CORPUS, options=ANY)


def test_nothing_is_printed_and_every_text_is_reported(
    model: SentenceTransformer, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hard_negatives, "_PIECE", 16)
    done: dict[str, int] = {}
    totals = set()

    def report(step: str, count: int, total: int) -> None:
        done[step] = done.get(step, 0) + count
        totals.add((step, total))

    capfd.readouterr()
    home: Any = sys.modules[mine_hard_negatives.__module__]
    bar = home.trange
    # Texts that differ in nothing but case are one.
    plain = mine_negatives(PAIRED, model, [*CORPUS, *map(str.upper, CORPUS)], options=ANY, progress=report)
    assert home.trange is bar
    assert capfd.readouterr() == ("", "")
    assert done == {"mining documents": 60, "mining queries": 8}
    assert totals == set(done.items())
    monkeypatch.undo()
    assert plain == mine_negatives(PAIRED, model, CORPUS, options=ANY)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (MineOptions(num_negatives=0), "--num-negatives 0 is out of range: expected at least 1"),
        (MineOptions(range_min=-1), "--range-min -1 is out of range: expected at least 0"),
        (MineOptions(seed=-1), "--seed -1 is out of range"),
        (MineOptions(num_negatives=5, range_min=10, range_max=14), "after rank 10: expected at least 15"),
        (MineOptions(relative_margin=1.0), "--relative-margin 1 is out of range"),
        (MineOptions(relative_margin=float("nan")), "--relative-margin nan is out of range"),
    ],
)
def test_options_out_of_range_are_wrong_calls(model: SentenceTransformer, options: MineOptions, words: str) -> None:
    with pytest.raises(CallError, match=words):
        mine_negatives(PAIRED, model, CORPUS, options=options)


def test_as_many_candidates_as_negatives_are_enough(model: SentenceTransformer) -> None:
    options = replace(ANY, range_max=5)
    may = allowed(model, PAIRED, options)
    mined = mine_negatives(PAIRED, model, CORPUS, options=options).rows
    assert [list(row.negatives) for row in mined if isinstance(row, Pairwise)] == [may[row.query] for row in mined]


def test_nothing_left_is_said_with_what_to_do(model: SentenceTransformer) -> None:
    with pytest.raises(
        DataError, match=r"lower --relative-margin \(0\.9\), --range-min or --num-negatives, or raise --range-max"
    ) as told:
        mine_negatives(PAIRED, model, CORPUS, options=replace(OPTIONS, relative_margin=0.9))
    assert len(str(told.value).splitlines()) == 2


def test_enough_own_negatives_need_no_mining(model: SentenceTransformer) -> None:
    data = rows_of(Pairwise("sun", "star", ("a", "b", "c")), Pairwise("moon", "night", ("a", "b", "c", "d")))
    with pytest.raises(CallError, match="every pair of 'rows' already has 3 negatives or more"):
        mine_negatives(data, model, CORPUS, options=OPTIONS)


def test_the_candidates_of_a_data_set_are_its_documents(tmp_path: Path) -> None:
    documents = {"a": "sun", "b": "moon", "c": " ", "d": "sun", "e": "rain", "f": "snow"}
    folder = str(write_beir(tmp_path / "tiny", documents, {"q": "star", "p": "ice"}, {"q": {"a": 1, "b": 0}}, "dev"))
    write_lines(tmp_path / "tiny" / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "p\tb\t1"])
    for split in ("dev", "train"):
        assert candidate_texts(load_tuning_data(folder, split)) == ("sun", "moon", "rain", "snow")


def test_a_title_stands_before_a_documents_text(tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "tiny")
    write_lines(folder / "corpus.jsonl", [json.dumps({"_id": "d0", "title": "Sun", "text": "star"})])
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "q0\td0\t1"])
    assert candidate_texts(load_tuning_data(str(folder))) == ("Sun star",)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"query": "q", "positive": "a", "negative_1": "b", "negative_2": "c"}, ("a", "b", "c")),
        ({"query": "q", "documents": ["a", "b", "c"], "labels": [0, 1, 0]}, ("a", "b", "c")),
        ({"query": "q", "document": "a", "label": 0}, ("a",)),
    ],
)
def test_the_candidates_of_a_file_are_all_documents_of_its_rows(
    tmp_path: Path, record: dict[str, object], expected: tuple[str, ...]
) -> None:
    name = str(write_lines(tmp_path / "rows.jsonl", [json.dumps(record), json.dumps({**record, "query": "p"})]))
    assert candidate_texts(load_tuning_data(name)) == expected
