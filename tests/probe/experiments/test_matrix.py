"""Leaderboards of several data sets joined: cells, means, tests, order, what is refused, and what single files lack."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from tiny_data import make_dataset, without_times

from probe.data.dataset import Dataset
from probe.encoding.reader import LayerReader
from probe.errors import CallError, DataError
from probe.experiments.layers import rank_layers
from probe.experiments.matrix import check_sort, join_leaderboards, rank_datasets
from probe.experiments.options import RunOptions
from probe.metrics.dataset_means import detectable_differences, mean_intervals, population_intervals
from probe.metrics.significance import bootstrap_intervals, paired_p_values
from probe.models.loaded import LoadedModel
from probe.results.leaderboard import Leaderboard, Row
from probe.results.load import read_result
from probe.results.matrix import DatasetMatrix, SetCount
from probe.sources.loading import load_dataset

MODEL = {
    "name": "m",
    "path": "m",
    "hub_id": None,
    "revision": None,
    "layers": 6,
    "own_pooling": "mean",
    "similarity": "cosine",
    "weights_sha256": "a" * 64,
    "tokenizer_sha256": "b" * 64,
    "query_prompt": "",
    "document_prompt": "",
    "max_tokens": 256,
    "dtype": "float32",
    "device": "cpu",
    "batches": "4096 tokens of 1024 texts",
    "rounding": "float16",
    "truncated_documents": 2,
    "truncated_queries": 1,
    "notes": [],
    "vector_key": "c" * 64,
}
DATA = {
    "split": "test",
    "documents": 50,
    "limited": False,
    "whole_documents": None,
    "whole_queries": None,
    "images": None,
    "synthetic": None,
    "defects": [],
    "title_rule": "title + ' ' + text",
    "id_rule": "own id dropped",
}
STATISTICS = {"interval": "bootstrap", "test": "paired", "resamples": 10_000, "seed": 0, "versions": {"torch": "2"}}

# Metric of every query, per encoder; `m@6` is the baseline.
Scores = Mapping[str, Sequence[float]]
LEFT = {"m@6": [0.5, 0.5, 0.5, 0.5], "m@5": [0.7, 0.9, 0.6, 0.8], "m@4": [0.4, 0.5, 0.3, 0.2]}
RIGHT = {"m@6": [0.2, 0.4, 0.0], "m@5": [0.1, 0.1, 0.1], "m@4": [0.0, 1.0, 1.0]}


def make_board(name: str, scores: Scores, *, baseline: str = "m@6", seed: int = 0, **settings: Any) -> Leaderboard:
    """Return a leaderboard as ranking makes it, with the statistics of single data sets."""
    ordered = sorted(scores, key=lambda encoder: -fmean(scores[encoder]))
    values, frozen = np.array([scores[encoder] for encoder in ordered]), np.array(scores[baseline])
    intervals, p_values = bootstrap_intervals(values, seed), paired_p_values(values, frozen, seed)
    rows = tuple(
        Row(
            rank=number + 1,
            encoder=encoder,
            dim=8,
            parameters=1000 + number,
            scores={"ndcg@10": fmean(scores[encoder]), "recall@100": fmean(scores[encoder]) / 2},
            ci95=intervals[number],
            delta=None if encoder == baseline else float((values[number] - frozen).mean()),
            p_value=None if encoder == baseline else p_values[number],
            cost=1.0,
        )
        for number, encoder in enumerate(ordered)
    )
    found = {
        "metric": "ndcg@10",
        "metrics": ["ndcg@10", "recall@100"],
        "baseline": baseline,
        "similarity": "cosine, float32",
        "ties": "id",
        "models": [MODEL],
        "dataset": {
            **DATA,
            "name": name,
            "queries": values.shape[1],
            "text_sha256": name.ljust(64, "-"),
            "qrels_sha256": "e" * 64,
        },
        "statistics": {**STATISTICS, "seed": seed},
        **settings,
    }
    return Leaderboard("probe rank", "2026-01-01", found, rows, None, tuple(map(tuple, values.tolist())))


def make_boards(**scores: Scores) -> dict[str, Leaderboard]:
    return {name: make_board(name, one) for name, one in scores.items()}


def row_of(board: Leaderboard, encoder: str, adaptor: str | None = None) -> Row:
    return next(row for row in board.rows if (row.encoder, row.adaptor) == (encoder, adaptor))


def random_scores(seed: int, queries: int, encoders: Sequence[str] = ("m@6", "m@5", "m@4")) -> Scores:
    rng = np.random.default_rng(seed)
    return {encoder: rng.beta(2, 3, queries).tolist() for encoder in encoders}


def test_means_by_hand() -> None:
    table = join_leaderboards(make_boards(left=LEFT, right=RIGHT))
    # (0.75 + 0.1) / 2, (0.5 + 0.2) / 2, (0.35 + 2 / 3) / 2.
    expected = {"m@4": 0.508333, "m@5": 0.425, "m@6": 0.35}
    assert {row.encoder: row.scores["ndcg@10"] for row in table.rows} == pytest.approx(expected, abs=1e-6)
    assert {row.encoder: row.scores["recall@100"] for row in table.rows} == pytest.approx(
        {encoder: score / 2 for encoder, score in expected.items()}, abs=1e-6
    )
    assert row_of(table, "m@5").delta == pytest.approx(0.075)
    assert row_of(table, "m@6").delta is None
    assert [row.rank for row in table.rows] == [1, 2, 3]
    assert list(table.datasets) == ["left", "right"]


def test_every_cell_is_the_row_of_the_data_set() -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    for row in join_leaderboards(boards).rows:
        assert row.datasets == {name: row_of(board, row.encoder) for name, board in boards.items()}


def test_statistics_of_the_mean_are_those_of_the_queries_aligned_by_encoder() -> None:
    # Ordered differently on every data set; as many queries on each, so that the test is that of all queries together.
    several = {name: random_scores(seed, 40) for seed, name in enumerate(("one", "two", "three"))}
    table = join_leaderboards(make_boards(**several), seed=5)
    assert len({tuple(row.encoder for row in make_board("x", one).rows) for one in several.values()}) > 1
    for encoder in ("m@5", "m@4"):
        scores = [np.array([one[encoder]]) for one in several.values()]
        differences = [np.array([one[encoder]]) - np.array(one["m@6"]) for one in several.values()]
        row = row_of(table, encoder)
        pooled = np.concatenate(differences, axis=1)
        assert row.p_value == paired_p_values(pooled, np.zeros(pooled.shape[1]), 5)[0]
        assert row.ci95 == pytest.approx(mean_intervals(scores, 5)[0])
        assert row.population_ci95 == pytest.approx(population_intervals(differences, 5)[0])
    baseline = row_of(table, "m@6")
    assert (baseline.p_value, baseline.population_ci95) == (None, None)
    assert baseline.ci95 is not None
    assert table.settings["statistics"]["seed"] == 5


def test_the_smallest_differences_are_those_of_the_median_encoder() -> None:
    several = {"one": random_scores(0, 30, ("m@6", "m@5")), "two": random_scores(1, 50, ("m@6", "m@5"))}
    differences = [np.array([one["m@5"]]) - np.array(one["m@6"]) for one in several.values()]
    found = join_leaderboards(make_boards(**several)).settings["statistics"]["detectable"]
    expected = [detectable_differences(part)[0] for part in (differences, differences[:1], differences[1:])]
    assert list(found) == ["mean", "one", "two"]
    assert list(found.values()) == pytest.approx(expected)


def test_two_data_sets_say_nothing_of_others() -> None:
    table = join_leaderboards(make_boards(left=LEFT, right=RIGHT))
    assert all(row.population_ci95 is None for row in table.rows)
    assert "2 data sets say nothing of others" in table.settings["statistics"]["population"]


def test_rows_are_ordered_by_the_mean_or_by_a_data_set() -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    order = {
        sort: [row.encoder for row in join_leaderboards(boards, sort=sort).rows] for sort in ("mean", "left", "right")
    }
    assert order == {"mean": ["m@4", "m@5", "m@6"], "left": ["m@5", "m@6", "m@4"], "right": ["m@4", "m@6", "m@5"]}
    assert join_leaderboards(boards, sort="left").settings["sorted_by"] == "left"


def test_of_equal_means_the_smaller_encoder_is_first() -> None:
    boards = make_boards(left={"m@6": [0.5] * 3, "m@5": [0.5] * 3}, right={"m@6": [0.1] * 3, "m@5": [0.1] * 3})
    smaller = {
        name: replace(
            board, rows=tuple(replace(row, parameters=10 if row.encoder == "m@6" else 20) for row in board.rows)
        )
        for name, board in boards.items()
    }
    assert [row.encoder for row in join_leaderboards(smaller).rows] == ["m@6", "m@5"]


def test_data_sets_are_counted_by_their_corrected_tests() -> None:
    rng = np.random.default_rng(0)
    frozen = rng.random(60)
    noise = rng.normal(0, 0.05, 60)
    several = {
        "up": {"m@6": frozen, "m@5": frozen + 0.2 + noise, "m@4": frozen - 0.2 + noise},
        "down": {"m@6": frozen, "m@5": frozen - 0.2 + noise, "m@4": frozen - 0.1 + noise},
        "alike": {"m@6": frozen, "m@5": frozen + noise - noise.mean(), "m@4": frozen - 0.2 + noise},
    }
    table = join_leaderboards(
        make_boards(**{name: {k: list(v) for k, v in one.items()} for name, one in several.items()})
    )
    assert table.count_of(row_of(table, "m@5")) == SetCount(1, 1, 1)
    assert table.count_of(row_of(table, "m@4")) == SetCount(0, 0, 3)
    assert table.count_of(row_of(table, "m@6")) is None
    header, cells = table.cells()
    shown = dict(zip(header, next(line for line in cells if "m@5" in line), strict=True))
    assert (shown["▲ = ▼"], shown["up"][-1], shown["down"][-1]) == ("1 1 1", "▲", "▼")
    assert shown["alike"][-1].isdigit()


def test_holm_corrects_a_data_set_s_column_over_all_rows() -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    # Each p-value alone would be significant; of two, both are corrected to 0.06.
    changed = {
        name: replace(
            one, rows=tuple(replace(row, p_value=0.03 if row.delta is not None else None) for row in one.rows)
        )
        for name, one in boards.items()
    }
    table = join_leaderboards(changed)
    assert [table.count_of(row) for row in table.rows if row.delta is not None] == [SetCount(0, 2, 0)] * 2


def test_encoders_that_one_data_set_lacks_are_left_out_and_named() -> None:
    lacking = {"m@6": RIGHT["m@6"], "m@5": RIGHT["m@5"], "extra": RIGHT["m@4"]}
    table = join_leaderboards(make_boards(left=LEFT, right=lacking))
    assert {row.encoder for row in table.rows} == {"m@6", "m@5"}
    line = "left out, not on every data set: m@4, extra"
    assert table.settings["left_out"] == [line]
    assert line in table.notes()
    assert line in table.cautions()
    assert row_of(table, "m@5").scores["ndcg@10"] == pytest.approx(0.425)
    # Their scores are aligned by encoder, though the numbers of their rows differ.
    scores = [np.array([LEFT["m@5"]]), np.array([RIGHT["m@5"]])]
    assert row_of(table, "m@5").ci95 == pytest.approx(mean_intervals(scores, 0)[0])


def test_a_mean_has_the_marks_of_any_data_set_and_no_published_score() -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    marked = {"transductive": True, "collapsed": True, "published": 0.5, "note": "one; two", "ms_per_text": 3.0}
    left = tuple(replace(row, **marked) if row.encoder == "m@5" else row for row in boards["left"].rows)
    right = tuple(replace(row, note="two; three", ms_per_text=None) for row in boards["right"].rows)
    table = join_leaderboards(
        {"left": replace(boards["left"], rows=left), "right": replace(boards["right"], rows=right)}
    )
    row, other = row_of(table, "m@5"), row_of(table, "m@4")
    assert (row.transductive, row.collapsed, row.note) == (True, True, "one; two; three")
    assert (row.published, row.ms_per_text, row.cost) == (None, None, 1.0)
    assert (other.transductive, other.collapsed) == (False, False)
    assert "published nDCG@10 of m@5 on left: 0.50000 (here 0.75000)" in table.notes()


def test_no_common_encoder_is_refused() -> None:
    boards = {
        "left": make_board("left", {"m@6": [0.5, 0.4]}),
        "right": replace(make_board("right", {"m@6": [0.5, 0.4]}), rows=(Row(1, "other", scores={"ndcg@10": 0.4}),)),
    }
    with pytest.raises(CallError, match="no encoder is on every data set"):
        join_leaderboards(boards)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"metric": "mrr@10"}, r"metric \(ndcg@10 / mrr@10\)"),
        ({"metrics": ["ndcg@10"]}, "metrics"),
        ({"baseline": "m@5"}, r"baseline \(m@6 / m@5\)"),
        ({"similarity": "dot"}, r"similarity \(cosine, float32 / dot\)"),
        *(
            ({"models": [{**MODEL, key: value}]}, f"{key.removesuffix('_sha256').replace('_', ' ')} of m ")
            for key, value in {
                "weights_sha256": "f" * 64,
                "tokenizer_sha256": "f" * 64,
                "query_prompt": "query: ",
                "document_prompt": "passage: ",
                "max_tokens": 128,
                "dtype": "bfloat16",
                "device": "cuda",
                "own_pooling": "cls",
                "similarity": "dot",
            }.items()
        ),
    ],
)
def test_leaderboards_of_other_settings_are_refused_with_the_setting(settings: dict[str, Any], named: str) -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    changed = replace(boards["right"], settings={**boards["right"].settings, **settings})
    with pytest.raises(CallError, match=f"cannot be joined: they differ in {named}"):
        join_leaderboards({**boards, "right": changed})


def test_prompts_that_differ_late_are_told_apart() -> None:
    start = "Represent this sentence for searching relevant "
    boards = {
        name: make_board(name, scores, models=[{**MODEL, "query_prompt": start + end}])
        for name, scores, end in (("left", LEFT, "passages"), ("right", RIGHT, "documents"))
    }
    with pytest.raises(CallError, match=f"query prompt of m .{start}passages / {start}documents"):
        join_leaderboards(boards)


def test_models_that_one_data_set_lacks_do_not_hinder() -> None:
    other = {**MODEL, "name": "other", "max_tokens": 64}
    boards = {"left": make_board("left", LEFT), "right": make_board("right", RIGHT, models=[MODEL, other])}
    settings = join_leaderboards(boards).settings
    assert [model["name"] for model in settings["models"]] == ["m", "other"]
    assert settings["models"][0]["truncated_documents"] == 4


def test_what_is_no_pair_of_data_sets_is_refused() -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    with pytest.raises(CallError, match="at least two"):
        join_leaderboards({"left": boards["left"]})
    with pytest.raises(CallError, match="'left' and 'again' have the same texts"):
        join_leaderboards({**boards, "again": boards["left"]})
    with pytest.raises(CallError, match="'both' is a table of several"):
        join_leaderboards({"both": join_leaderboards(boards), "third": make_board("third", LEFT)})
    with pytest.raises(CallError, match="unknown order 'lef': did you mean left"):
        join_leaderboards(boards, sort="lef")


@pytest.mark.parametrize(
    ("names", "named"),
    [
        (("mean", "b"), "'mean' of a data set is that of a column"),
        (("Dim", "b"), "'Dim' of a data set is that of a column"),
        (("NFCorpus", "nfcorpus"), "data set 'NFCorpus'"),
    ],
)
def test_a_data_set_is_not_named_like_a_column(names: tuple[str, str], named: str) -> None:
    with pytest.raises(CallError, match=named):
        check_sort("mean", names)
    with pytest.raises(CallError, match=named):
        join_leaderboards(dict(zip(names, make_boards(left=LEFT, right=RIGHT).values(), strict=True)))


def test_a_single_data_set_may_have_any_name() -> None:
    check_sort("mean", ["dim"])


def test_saved_leaderboards_join_without_statistics_and_say_so(tmp_path: Path) -> None:
    boards = make_boards(left=LEFT, right=RIGHT)
    saved: dict[str, Leaderboard] = {}
    for name, board in boards.items():
        (tmp_path / f"{name}.json").write_text(board.to_json())
        saved[name] = read_result(tmp_path / f"{name}.json")  # type: ignore[assignment]
    table, fresh = join_leaderboards(saved), join_leaderboards(boards)
    assert [row.scores for row in table.rows] == [row.scores for row in fresh.rows]
    assert [row.delta for row in table.rows] == [row.delta for row in fresh.rows]
    assert all((row.ci95, row.p_value, row.population_ci95) == (None, None, None) for row in table.rows)
    assert any(row.ci95 for row in fresh.rows)
    said = "CI and p of the mean: none, because saved results lack the scores of single queries"
    assert any(said in line for line in table.notes())
    assert any(said in line for line in table.brief())
    assert not any(said in line for line in fresh.notes())
    verdict = "Mean of 2 data sets: not tested: the best other encoder, m@4, is 0.1583 above the baseline m@6."
    assert table.verdict() == verdict
    assert "not tested" not in fresh.verdict()
    # One of them is enough.
    assert all(row.ci95 is None for row in join_leaderboards({**boards, "right": saved["right"]}).rows)


def with_adaptors(name: str, seed: int) -> Leaderboard:
    """Return a leaderboard of an encoder with PCA and with a linear adaptor."""
    board = make_board(name, random_scores(seed, 40, ("m@6", "pca", "linear")))
    rows = [
        row if row.encoder == "m@6" else replace(row, encoder="m@6", adaptor=row.encoder, labels="none")
        for row in board.rows
    ]
    rows = [replace(row, pca_delta=0.1 * seed) if row.adaptor == "linear" else row for row in rows]
    return replace(board, rows=tuple(rows))


def test_adaptors_are_compared_with_pca_over_all_data_sets() -> None:
    boards = {name: with_adaptors(name, seed) for seed, name in enumerate(("one", "two"), 1)}
    table = join_leaderboards(boards, seed=2)
    linear, pca = row_of(table, "m@6", "linear"), row_of(table, "m@6", "pca")
    scores = [random_scores(seed, 40, ("m@6", "pca", "linear")) for seed in (1, 2)]
    pooled = np.concatenate([np.array(one["linear"]) - np.array(one["pca"]) for one in scores])
    assert linear.pca_delta == pytest.approx(0.15)
    assert linear.pca_p_value == paired_p_values(pooled[None], np.zeros(80), 2)[0]
    assert (pca.pca_delta, pca.pca_p_value) == (None, None)
    assert None not in (linear.p_value, linear.delta)


def test_the_table_survives_its_json(tmp_path: Path) -> None:
    table = join_leaderboards({name: make_board(name, random_scores(n, 20)) for n, name in enumerate("abc")})
    (tmp_path / "table.json").write_text(table.to_json())
    again = read_result(tmp_path / "table.json")
    assert isinstance(again, DatasetMatrix)
    assert again.to_dict() == table.to_dict()
    assert (again.title(), again.cells(), again.notes()) == (table.title(), table.cells(), table.notes())
    assert again.single("b").cells() == table.single("b").cells()


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    root = tmp_path_factory.mktemp("sets")
    return {
        name: load_dataset(make_dataset(root / name, documents=30 + 5 * seed, queries=5 + 2 * seed, seed=seed))
        for seed, name in enumerate(("one", "two", "three"), 1)
    }


def test_a_real_run_has_the_cells_and_the_table_of_every_data_set_alone(
    model: LoadedModel, sets: dict[str, Dataset]
) -> None:
    options = RunOptions(examples=True, bm25=True)
    table = rank_layers(LayerReader(model), sets, options=options)
    assert isinstance(table, DatasetMatrix)
    for name, dataset in sets.items():
        alone, single = rank_layers(LayerReader(model), dataset, options=options), table.single(name)
        assert without_times(single) == without_times(alone)
        assert (single.title(), single.notes(), single.verdict()) == (alone.title(), alone.notes(), alone.verdict())
        assert single.cells() == alone.cells()
    for row in table.rows:
        assert row.datasets is not None
        assert row.scores["ndcg@10"] == fmean(found.scores["ndcg@10"] for found in row.datasets.values())
        if row.delta is not None:
            assert row.population_ci95 is not None
            assert row.population_ci95[0] < row.delta < row.population_ci95[1]


def test_the_same_run_gives_the_same_table(model: LoadedModel, sets: dict[str, Dataset]) -> None:
    tables = [rank_layers(LayerReader(model), sets) for _ in range(2)]
    values = [table.to_dict()["settings"] for table in tables]
    assert values[0] == values[1]
    stripped = [
        [(row.encoder, row.scores, row.ci95, row.p_value, row.population_ci95) for row in t.rows] for t in tables
    ]
    assert stripped[0] == stripped[1]


def rank_or_fail(failing: Sequence[str], error: Exception | None = None) -> Any:
    def rank(name: str, _: Dataset) -> Leaderboard:
        if name in failing:
            raise error or DataError("corpus.jsonl:3: not JSON")
        return make_board(name, random_scores(len(name), 10))

    return rank


def test_a_data_set_that_fails_ends_the_run_with_its_name(sets: dict[str, Dataset]) -> None:
    with pytest.raises(DataError, match=r"two: corpus\.jsonl:3: not JSON"):
        rank_datasets(sets, rank_or_fail(["two"]))


def test_data_sets_that_fail_are_left_out_and_named_on_request(sets: dict[str, Dataset]) -> None:
    table = rank_datasets(sets, rank_or_fail(["two"]), failed={"gone": "no such data set"})
    assert isinstance(table, DatasetMatrix)
    assert table.datasets == ("one", "three")
    assert table.settings["failed"] == {"gone": "no such data set", "two": "corpus.jsonl:3: not JSON"}
    lines = ["gone failed and is left out: no such data set", "two failed and is left out: corpus.jsonl:3: not JSON"]
    assert table.settings["left_out"] == lines
    assert set(lines) <= set(table.notes())


def test_a_table_is_ordered_by_the_mean_where_the_data_set_of_its_order_failed(sets: dict[str, Dataset]) -> None:
    table = rank_datasets(sets, rank_or_fail(["two"]), sort="two", failed={})
    assert table.settings["sorted_by"] == "mean"


def test_the_only_data_set_left_has_its_own_table(sets: dict[str, Dataset]) -> None:
    board = rank_datasets(sets, rank_or_fail(["one", "two"]), failed={})
    assert not isinstance(board, DatasetMatrix)
    assert list(board.settings["failed"]) == ["one", "two"]
    assert any("two failed" in line for line in board.cautions())


def test_the_run_fails_where_all_data_sets_do(sets: dict[str, Dataset]) -> None:
    with pytest.raises(DataError, match="three: "):
        rank_datasets(sets, rank_or_fail(list(sets)), failed={})


def test_faults_of_the_program_are_not_left_out(sets: dict[str, Dataset]) -> None:
    with pytest.raises(ZeroDivisionError):
        rank_datasets(sets, rank_or_fail(["two"], ZeroDivisionError()), failed={})
