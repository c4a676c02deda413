"""Saved leaderboards in one report: joined where their settings agree, and the reason said where they do not."""

import json
from pathlib import Path
from typing import Any

import pytest
from set_boards import LAYERS, NAMES, RIVALS, make_board, make_row, model_of

from probe.report.joining import Joining, Named, join_results
from probe.report.page import render_report
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN


def saved(name: str, rows: Any = LAYERS, **settings: Any) -> Named:
    return Named(f"{name.replace('/', '-')}.json", make_board(name, rows, saved=True, **settings))


def page_of(*several: Named) -> str:
    return render_report([(Path(one.source), one.board) for one in several])


def head(page: str) -> str:
    return page.split("<main", 1)[0]


def test_leaderboards_of_several_sets_are_joined_in_front_of_their_own_sections() -> None:
    several = [saved(name) for name in NAMES[:3]]
    page = page_of(*several)
    titles = [part.split("</h2>")[0].split(">", 1)[1] for part in page.split("<h2 ")[1:]]
    assert titles == [
        f"1. Layers of tiny on 3 data sets: {', '.join(NAMES[:3])}",
        *(f"{number}. Layers of tiny on {name} (test)" for number, name in enumerate(NAMES[:3], 2)),
    ]
    assert f"<h1>Layers of tiny on 3 data sets: {', '.join(NAMES[:3])}</h1>" in page
    assert '<details class="part">' not in page
    assert "joined from arguana.json, climate-fever.json, cqadupstack-programmers.json" in page
    assert "Nothing else is averaged over results." in page


def test_joined_means_have_counts_and_differences_but_no_test_and_the_page_says_why() -> None:
    (matrix,) = join_results([saved(name) for name in NAMES[:3]]).matrices
    row = matrix.rows[-1]
    scores = [matrix.score_on(row, name).score for name in NAMES[:3]]
    assert matrix.score_on(row, MEAN).score == pytest.approx(sum(scores) / 3)
    assert (row.ci95, row.p_value, row.population_ci95) == (None, None, None)
    assert str(matrix.count_of(row)) == "0 0 3"
    reason = "saved results lack the scores of single queries: rank the data sets in one command"
    page = page_of(*(saved(name) for name in NAMES[:3]))
    first = page.split('<section id="result-1"')[1].split("</section>")[0]
    assert reason in first.split('aria-label="Caution"')[1].split("</div>")[0]
    assert "Mean of 3 data sets: not tested: " in page
    assert "mean nDCG@10, 95% CI" not in first


def test_the_caution_on_different_data_does_not_forbid_the_means() -> None:
    alone = head(page_of(saved("a"), saved("b", RIVALS[:3])))
    joined = head(page_of(saved("a"), saved("b")))
    assert "not comparable." in alone
    assert "not comparable." not in joined
    assert "Compare encoders on one data set, or by their means" in joined


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"models": [dict(model_of(max_tokens=64))]}, "max tokens of tiny (256 / 64)"),
        ({"models": [dict(model_of(query_prompt="q: "))]}, "query prompt of tiny (none / q: )"),
        (
            {"models": [dict(model_of(weights_sha256="f" * 64))]},
            "weights of tiny (" + "a" * 20 + " / " + "f" * 20 + ")",
        ),
        ({"baseline": "tiny@3:mean"}, "baseline (tiny@4:mean / tiny@3:mean)"),
    ],
    ids=["tokens", "prompt", "weights", "baseline"],
)
def test_settings_that_differ_are_named_in_plain_words(settings: dict[str, Any], words: str) -> None:
    joining = join_results([saved("a"), saved("b", **settings)])
    assert joining.matrices == ()
    assert joining.reasons == (f"b.json is not joined with a.json: they differ in {words}.",)
    page = page_of(saved("a"), saved("b", **settings))
    assert joining.reasons[0] in head(page)
    assert page.count("<section ") == 2


def test_prompts_that_differ_late_differ() -> None:
    start = "Represent this sentence for "
    joining = join_results(
        [saved(n, models=[dict(model_of(query_prompt=start + n))]) for n in ("searching", "classifying")]
    )
    assert joining.matrices == ()
    assert f"query prompt of tiny ({start}searching / {start}classifying)" in joining.reasons[0]


def test_two_runs_on_one_data_set_are_never_joined() -> None:
    first, again, other = saved("a"), Named("again.json", saved("a", LAYERS[:3]).board), saved("b", LAYERS[:3])
    assert join_results([first, again]) == Joining((), (), ())
    joining = join_results([first, again, other])
    assert [[one.source for one in group] for group in joining.groups] == [["a.json", "b.json"]]
    assert joining.reasons == (
        "again.json is on the same data set as a.json (a): results on one data set are not joined.",
    )


def test_a_leaderboard_joins_those_with_most_encoders_in_common() -> None:
    layers, rivals = saved("a"), Named("rivals.json", saved("a", RIVALS).board)
    joining = join_results([layers, rivals, saved("b", RIVALS), saved("c")])
    groups = [[one.source for one in group] for group in joining.groups]
    assert groups == [["a.json", "c.json"], ["rivals.json", "b.json"]]
    assert len(joining.matrices) == 2
    few = Named("few.json", saved("a", LAYERS[:3]).board)
    joining = join_results([few, layers, saved("b")])
    assert [[one.source for one in group] for group in joining.groups] == [["a.json", "b.json"]]


def test_encoders_that_are_not_everywhere_are_left_out_and_named() -> None:
    (matrix,) = join_results([saved("a"), saved("b", (*LAYERS, make_row("bm25")))]).matrices
    assert "left out, not on every data set: bm25" in matrix.cautions()
    joining = join_results([saved("a"), saved("b", RIVALS[:3])])
    assert joining.matrices == ()
    assert joining.reasons == ("b.json is not joined with a.json: they have no two encoders in common.",)


def test_data_sets_of_one_name_are_told_apart() -> None:
    boards = []
    for number, split in enumerate(("test", "dev", "dev")):
        board = make_board(f"set {number}", saved=True)
        board.settings["dataset"].update(name="notes", split=split)
        boards.append(Named(f"{number}.json", board))
    (matrix,) = join_results(boards[:2]).matrices
    assert matrix.datasets == ("notes:test", "notes:dev")
    (matrix,) = join_results(boards).matrices
    assert matrix.datasets == ("notes (0.json)", "notes (1.json)", "notes (2.json)")
    (matrix,) = join_results([saved("Mean"), saved("b")]).matrices
    assert matrix.datasets == ("Mean:test", "b")


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    first, second = make_board("a", saved=True), make_board("b", saved=True)
    page = render_report([(Path("one/layers.json"), first), (Path("two/layers.json"), second)])
    assert "joined from one/layers.json, two/layers.json" in page


def test_results_that_python_holds_are_joined_with_their_tests() -> None:
    (matrix,) = join_results([Named("a", make_board("a")), Named("b", make_board("b"))]).matrices
    assert all(row.ci95 for row in matrix.rows)
    assert not any("intervals and tests" in line for line in matrix.cautions())


def test_a_joined_matrix_says_by_which_command_it_was_made() -> None:
    (matrix,) = join_results([saved("a"), saved("b")]).matrices
    assert matrix.command == "probe report a.json b.json"
    assert isinstance(matrix, Leaderboard)
    assert json.loads(matrix.to_json())["datasets"] == ["a", "b"]
