"""The result of a gate: what its verdict says and does not say, its table, and its forms."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gate_cases import board_of, draw_scores
from rich.console import Console

from probe import plot
from probe.experiments.gate import gate_datasets, judge_board
from probe.metrics.non_inferiority import GateGoal
from probe.report.page import render_report
from probe.results.console import View, print_result
from probe.results.gate import GateResult
from probe.results.load import column_names, read_result

MARGIN = GateGoal(0.02)


def make_gate(
    loss: float = 0.0, queries: int = 400, *, shape: str = "close", goal: GateGoal = MARGIN, **more: Any
) -> GateResult:
    candidates, baselines = draw_scores(shape, 1, queries, loss=loss, seed=1)
    return judge_board(board_of(candidates[0], baselines[0], **more), goal)


def make_gates(losses: dict[str, float], **more: Any) -> GateResult:
    boards = {
        name: board_of(*(one[0] for one in draw_scores("close", 1, 400, loss=loss, seed=number)), name=name)
        for number, (name, loss) in enumerate(losses.items())
    }
    data: Any = dict.fromkeys(losses)
    return gate_datasets(data, lambda name, _: boards[name], MARGIN, **more)


def text_of(result: GateResult, width: int, **view: Any) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=width, color_system=None), View(**view))
    return out.getvalue()


def test_a_pass_names_scores_margin_and_p_value() -> None:
    words = make_gate().verdict()
    assert words.startswith("Passed: new has 0.")
    assert " on 400 queries; a loss of 0.0200 nDCG@10 or more is ruled out (p " in words


def test_what_is_not_shown_says_what_the_queries_can_show() -> None:
    result = make_gate(shape="swapped", queries=200)
    (row,) = result.rows
    assert row.outcome == "not shown"
    assert row.detectable is not None
    assert row.detectable > 0.02
    assert result.verdict().startswith("Not passed: new has 0.")
    assert "or more is not ruled out (p = " in result.verdict()
    assert result.verdict().endswith(
        f" So many queries show margins of {row.detectable:.2g} or more; a margin of 0.02 takes about "
        f"{row.needed:,} queries (80% power)."
    )


def test_enough_queries_are_not_blamed() -> None:
    result = make_gate(loss=0.02, queries=3000)
    (row,) = result.rows
    assert row.outcome == "not shown"
    assert result.verdict().endswith(f" So many queries can show margins of {row.detectable:.2g} or more (80% power).")


def test_worse_is_another_verdict_than_not_shown() -> None:
    result = make_gate(loss=0.3)
    assert result.rows[0].outcome == "worse"
    assert "it is shown to lose more than 0.0200 nDCG@10 (p < .001)." in result.verdict()
    assert result.reasons() == ["notes (test): worse"]


def test_what_is_not_tested_is_no_pass_and_says_why() -> None:
    result = make_gate(queries=30)
    assert result.verdict().startswith("Not passed: nothing is tested, because the baseline finds something for ")
    assert "at least " in result.verdict()
    assert " A margin of 0.02 takes about " in result.verdict()


def test_a_sample_is_said_in_the_verdict() -> None:
    whole = {"whole_documents": 5000, "whole_queries": 900, "limited": True}
    assert "sample" not in make_gate().verdict()
    for loss, queries in ((0.0, 400), (0.3, 400), (0.0, 30)):
        result = make_gate(loss, queries, data=whole)
        assert result.verdict().endswith(" This was a sample of the data set, not the whole.")
        assert any(line.startswith("limited to 1,234 of 5,000 documents") for line in result.cautions())


def test_over_several_sets_the_verdict_names_those_that_fail() -> None:
    good = make_gates({"scifact": 0.0, "nfcorpus": 0.0})
    assert good.verdict().startswith("Passed: new is shown to lose less than the margin against full on each of 2 data")
    bad = make_gates({"scifact": 0.0, "nfcorpus": 0.3, "fiqa": 0.4}, failed={"quora": "damaged"})
    assert bad.verdict() == (
        "Not passed: new has to pass on every data set, and is worse on nfcorpus (test) and fiqa (test); not tested on "
        "quora."
    )
    assert [line.partition(":")[0] for line in bad.conclusions()[1:]] == [
        *("scifact (test), passed", "nfcorpus (test), worse", "fiqa (test), worse")
    ]
    assert "quora failed and is left out: damaged" in bad.cautions()
    assert bad.emphasized() == [1, 2]


@pytest.mark.parametrize("width", [80, 110, 200])
def test_the_table_fits_and_keeps_what_decides(width: int) -> None:
    text = text_of(make_gates({"scifact": 0.0, "a-longer-name": 0.3}), width)
    header = next(line for line in text.splitlines() if "data set" in line)
    assert len(header) <= width
    for title in ("baseline", "candidate", "Δ", "p", "outcome"):
        assert title in header.split()
    assert "a-longer-name (test)" in text
    assert "new in place of full" in text


def test_all_settings_are_in_the_notes() -> None:
    notes = "\n".join(make_gates({"scifact": 0.0, "nfcorpus": 0.0}).notes())
    for words in ("data: scifact (test)", "data: nfcorpus (test)", "intersection-union", "Owen 1988", "80%"):
        assert words in notes


def test_json_says_whether_it_passed_and_is_read_back(tmp_path: Path) -> None:
    for result in (make_gate(), make_gate(queries=1), make_gates({"scifact": 0.0, "nfcorpus": 0.3})):
        payload = json.loads(result.to_json())
        assert (payload["kind"], payload["passed"]) == ("gate", result.is_passed)
        file = tmp_path / "gate.json"
        file.write_text(result.to_json(), encoding="utf-8")
        assert read_result(file) == result
        assert read_result(file).verdict() == payload["verdict"]


def test_csv_and_markdown_have_a_row_per_data_set() -> None:
    result = make_gates({"scifact": 0.0, "nfcorpus": 0.3})
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert [(row["dataset"], row["outcome"]) for row in rows] == [("scifact", "passed"), ("nfcorpus", "worse")]
    assert {"delta_ci95_low", "p_value", "p_worse", "detectable", "needed", "margin"} <= set(rows[0])
    lines = result.to_markdown().splitlines()
    assert lines[0].startswith("| data set | queries | baseline |")
    assert [line.split("|")[1].strip() for line in lines[:4]] == [
        *("data set", "---", "scifact (test)", "nfcorpus (test)")
    ]


def test_the_names_of_columns_are_those_of_the_table() -> None:
    assert tuple(column.name for column in make_gate().columns()) == column_names("gate")


def test_the_picture_has_every_difference_and_margin() -> None:
    result = make_gates({"scifact": 0.0, "nfcorpus": 0.3})
    axes = plot(result).axes[0]
    drawn = [list(map(float, line.get_xdata())) for line in axes.lines]
    for row in result.rows:
        assert [row.delta] in drawn
        assert list(row.delta_ci95 or ()) in drawn
        assert [-row.margin] * 2 in drawn
    assert "not passed" in plot(result).get_suptitle()


def test_the_report_has_a_section_of_it() -> None:
    for result in (make_gate(), make_gate(queries=1), make_gates({"scifact": 0.0, "nfcorpus": 0.3})):
        page = render_report([(Path("gate.json"), result)])
        assert result.candidate in page
        assert ("not passed" if not result.is_passed else "passed") in page


def test_marks_of_a_row_stand_in_its_note() -> None:
    result = make_gate(transductive=True, labels="train")
    note = next(column for column in result.columns() if column.name == "note")
    assert note.cell(result.rows[0]) == "transductive, labels train"
    assert any(line.startswith("transductive: new was fitted on the documents of notes") for line in result.warnings())
    unmarked = replace(result.rows[0], transductive=False, labels="none")
    assert note.cell(unmarked) == "–"
