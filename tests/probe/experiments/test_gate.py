"""A gate: what is refused, what several data sets ask for, and whole runs on tiny models."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_cases import board_of, draw_scores
from tiny_data import write_beir
from tiny_models import WORDS

import adaptors
import probe
from probe import GateGoal, LoadOptions, RunOptions
from probe.errors import CallError, DataError, ProbeError
from probe.experiments.gate import gate_datasets, judge_board, resolve_gate
from probe.metrics.non_inferiority import NOT_TESTED, PASSED, judge
from probe.results.gate import GateResult

GOAL = GateGoal(0.05)
RUN = RunOptions(load=LoadOptions(dtype="float32", device="cpu"))


def scores(loss: float = 0.0, queries: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    candidates, baselines = draw_scores("close", 1, queries, loss=loss, seed=seed)
    return candidates[0], baselines[0]


def judge_with(**more: Any) -> GateResult:
    return judge_board(board_of(*scores(), **more), GOAL)


def test_the_row_is_that_of_the_scores_whichever_is_better() -> None:
    for candidate, baseline in (scores(0.2), scores()[::-1]):
        result = judge_board(board_of(candidate, baseline), GOAL, seed=3)
        (row,) = result.rows
        (expected,) = judge(candidate[None], baseline[None], GOAL, seed=3)
        assert (row.outcome, row.p_value, row.p_worse) == (expected.outcome, expected.p_value, expected.p_worse)
        assert (row.detectable, row.needed, row.margin) == (expected.detectable, expected.needed, expected.margin)
        assert (row.candidate, row.baseline) == (pytest.approx(candidate.mean()), pytest.approx(baseline.mean()))
        assert row.delta == pytest.approx((candidate - baseline).mean())
        assert row.delta_ci95 is not None
        assert row.delta_ci95[0] < row.delta < row.delta_ci95[1]
        assert row.queries == 300
        assert (result.candidate, result.baseline) == ("new", "full")


def test_a_candidate_as_good_as_the_baseline_passes() -> None:
    result = judge_with()
    assert result.is_passed
    assert result.rows[0].outcome == PASSED


def test_a_collapsed_candidate_does_not_pass_whatever_it_scores() -> None:
    result = judge_with(collapsed=True)
    assert not result.is_passed
    assert result.rows[0].reason == "all documents have the same vector or scores for the candidate new"


@pytest.mark.parametrize(
    ("labels", "seen", "split", "passes"),
    [
        ("none", True, "test", True),
        ("train", True, "test", True),
        ("test", True, "test", False),
        ("train+test", True, "test", False),
        ("dev", True, "dev/small", False),
        # A split of that name, but of another data set.
        ("test", False, "test", True),
    ],
)
def test_a_candidate_that_learned_these_labels_does_not_pass(labels: str, seen: bool, split: str, passes: bool) -> None:
    result = judge_with(labels=labels, transductive=seen, data={"split": split})
    assert result.is_passed is passes
    if not passes:
        assert result.rows[0].outcome == NOT_TESTED
        assert result.rows[0].reason == f"the candidate was trained on relevance labels of these queries ({labels})"


def test_labels_of_a_file_are_a_remark() -> None:
    assert judge_with(labels="pairs.jsonl").settings["remarks"] == [
        "The candidate was trained on relevance labels of pairs.jsonl: see that these queries are not in it."
    ]


def test_too_few_queries_do_not_pass_though_all_scores_are_equal() -> None:
    baseline = np.full(40, 0.7)
    few = judge_board(board_of(baseline, baseline), GateGoal(0.01))
    assert not few.is_passed
    assert few.rows[0].reason == "the baseline finds something for 40 queries, at least 209 are needed"
    assert judge_board(board_of(baseline, baseline), GateGoal(0.06)).is_passed


def test_a_leaderboard_without_the_scores_of_queries_is_refused() -> None:
    board = board_of(*scores())
    for wrong in (replace(board, query_scores=None), replace(board, rows=board.rows[:1])):
        with pytest.raises(CallError, match="expected a leaderboard of two encoders"):
            judge_board(wrong, GOAL)


def over(losses: dict[str, float], **more: Any) -> GateResult:
    """Return the gate over data sets on which the candidate loses so much."""
    boards = {
        name: board_of(*scores(loss, seed=number), name=name) for number, (name, loss) in enumerate(losses.items())
    }
    data: Any = dict.fromkeys(losses)
    return gate_datasets(data, lambda name, _: boards[name], GOAL, **more)


def test_every_data_set_has_to_pass() -> None:
    good = over({"scifact": 0.0, "nfcorpus": 0.0})
    assert good.is_passed
    assert [row.dataset for row in good.rows] == ["scifact", "nfcorpus"]
    one_bad = over({"scifact": 0.0, "nfcorpus": 0.3})
    assert not one_bad.is_passed
    # A mean would hide it.
    gains = over({"scifact": -0.0, "nfcorpus": 0.3, "fiqa": 0.0})
    assert [row.outcome for row in gains.rows] == [PASSED, "worse", PASSED]
    assert not gains.is_passed


def test_a_candidate_that_is_bad_on_one_of_several_sets_passes_no_more_often_than_on_that_one() -> None:
    passed = 0
    for seed in range(60):
        bad = scores(0.05, seed=2 * seed)
        boards = {"bad": board_of(*bad, name="bad"), "good": board_of(*scores(0.0, seed=2 * seed + 1), name="good")}
        data: Any = dict.fromkeys(boards)
        passed += gate_datasets(data, lambda name, _, boards=boards: boards[name], GOAL).is_passed
    assert passed <= 10


def test_a_data_set_that_failed_was_not_tested() -> None:
    result = over({"scifact": 0.0}, failed={"nfcorpus": "the file is damaged"})
    assert result.rows[0].outcome == PASSED
    assert not result.is_passed
    assert result.reasons() == ["nfcorpus: not tested"]


def test_a_data_set_that_fails_in_the_run_is_left_out_only_on_request() -> None:
    def rank(name: str, _: Any) -> Any:
        if name == "fiqa":
            raise DataError("damaged")
        return board_of(*scores(), name=name)

    data: Any = dict.fromkeys(["scifact", "fiqa"])
    assert not gate_datasets(data, rank, GOAL, failed={}).is_passed
    with pytest.raises(ProbeError, match="fiqa: damaged"):
        gate_datasets(data, rank, GOAL)


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a data set of 60 queries, each of which repeats its document."""
    texts = {f"d{n}": " ".join(WORDS[4 + int(digit)] for digit in f"{n:03d}") for n in range(60)}
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(60)}
    folder = tmp_path_factory.mktemp("many") / "many"
    return str(write_beir(folder, texts, {f"q{n}": texts[f"d{n}"] for n in range(60)}, qrels))


def test_a_gate_on_a_tiny_model_has_the_scores_of_its_leaderboard(bert: str, many: str) -> None:
    goal = GateGoal(keep=0.5)
    result = probe.gate(f"{bert}@2:mean", many, baseline=bert, goal=goal, options=RUN)
    board = probe.rank([bert, f"{bert}@2:mean"], many, options=RUN)
    by_name = {row.encoder: row for row in board.rows}
    (row,) = result.rows
    assert row.candidate == by_name[result.candidate].scores["ndcg@10"]
    assert row.baseline == by_name[result.baseline].scores["ndcg@10"]
    assert row.delta == pytest.approx(by_name[result.candidate].delta)
    assert result.settings["keep"] == 0.5
    assert result.settings["models"] == board.settings["models"]


def test_a_copy_under_another_name_is_measured_and_passes(bert: str, many: str) -> None:
    result = probe.gate({"copy": bert}, many, baseline=bert, goal=GateGoal(keep=0.5), options=RUN)
    (row,) = result.rows
    assert (row.delta, row.outcome) == (0.0, PASSED)
    assert "Both score the same on every query." in result.verdict()


def test_the_same_encoder_is_no_candidate(bert: str, many: str) -> None:
    for candidate in (bert, f"{bert}@last"):
        with pytest.raises(CallError, match="candidate and baseline are the same encoder"):
            probe.gate(candidate, many, baseline=bert, options=RUN)
    with pytest.raises(CallError, match="candidate and baseline are the same encoder"):
        probe.gate(bert, many, baseline=bert, documents=bert, options=RUN)


def test_one_candidate_is_tested_against_one_baseline(bert: str, many: str) -> None:
    with pytest.raises(CallError, match="expected one candidate and one baseline, found"):
        probe.gate(f"{bert}@all:mean", many, baseline=bert, options=RUN)
    with pytest.raises(CallError, match="expected one"):
        probe.gate(f"{bert}@1,2", many, baseline=bert, documents=bert, options=RUN)


def test_a_goal_of_another_type_is_refused(bert: str) -> None:
    wrong: Any = 0.01
    with pytest.raises(CallError, match="expected a GateGoal"):
        probe.gate(bert, "docstrings", baseline=bert, goal=wrong)


def test_queries_of_one_encoder_in_the_index_of_another(bert: str, many: str) -> None:
    pair = resolve_gate(f"{bert}@1:mean", f"{bert}@2:mean", f"{bert}@3:mean", options=RUN)
    assert pair.candidate == f"{bert}@1:mean > {bert}@3:mean"
    board = pair.rank(probe.load_dataset(many), RUN)
    # The encoder of the queries encodes no documents by itself.
    assert {row.encoder for row in board.rows} == {f"{bert}@2:mean", pair.candidate}
    result = probe.gate(
        f"{bert}@1:mean", many, baseline=f"{bert}@2:mean", documents=f"{bert}@3:mean", goal=GateGoal(0.5), options=RUN
    )
    assert result.rows[0].candidate == next(row for row in board.rows if row.delta is not None).scores["ndcg@10"]


@pytest.mark.usefixtures("quick_checks")
def test_saved_folders_are_candidates_of_adaptors(bert: str, many: str, tmp_path: Path) -> None:
    folder = adaptors.fit("pca", f"{bert}@3:mean", many, dims=8, options=RUN).save(tmp_path / "half")
    result = adaptors.gate(str(folder), many, baseline=f"{bert}@3:mean", goal=GateGoal(keep=0.5), options=RUN)
    assert result.rows[0].transductive
    assert any("transductive" in line for line in result.cautions())
    assert result.is_passed
