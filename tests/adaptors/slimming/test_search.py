"""The search: who goes on, how the time is divided, and that nothing finished is done twice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from adaptors.candidates.candidate import Candidate
from adaptors.slimming import search as search_module
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.listing import afford
from adaptors.slimming.search import Search, TimeLimit
from adaptors.slimming.work import WorkFolder

CANDIDATES = tuple(Candidate(blocks) for blocks in (0, 2, 3, 4, 5))
REFERENCE = np.random.default_rng(0).uniform(0.4, 0.8, 200)
# Mean difference to the full model after the first round.
LOSSES = {0: 0.2, 2: 0.1, 3: 0.01, 4: 0.008, 5: 0.002}


@pytest.fixture
def work(tmp_path: Path) -> WorkFolder:
    return WorkFolder.open(tmp_path / "work", {"seed": 0})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int, float]]]:
    """Replace the trainings; yields (blocks, round, seconds) of each."""
    done: list[tuple[int, int, float]] = []

    def train(self: Search, candidate: Candidate, number: int, *, before: Any, folder: Path, seconds: float) -> Any:
        folder.mkdir(parents=True)
        done.append((candidate.blocks, number, round(seconds, 3)))
        agreement = {"cosine": 0.9, "neighbours": 0.5}
        part = {"steps": 10, "seconds": seconds, "before": agreement, "after": agreement}
        scores = (REFERENCE - LOSSES[candidate.blocks]).tolist()
        return {"trained": part if candidate.blocks else None, "scores": scores, "seconds": seconds}

    monkeypatch.setattr(search_module.Search, "_train", train)
    return done


def make(work: WorkFolder, goal: SlimGoal) -> Search:
    judge: Any = SimpleNamespace(reference=REFERENCE)
    nothing: Any = None
    return Search(
        lesson=nothing,
        judge=judge,
        vocabulary=nothing,
        work=work,
        goal=goal,
        queries=300,
        basis=None,
        make_static=nothing,
    )


def still(seconds: float) -> TimeLimit:
    return TimeLimit(seconds, 0.0, lambda: 0.0, 0.0)


Trained = list[tuple[int, int, float]]


def test_the_cheapest_that_is_expected_to_pass_gets_the_full_training(work: WorkFolder, trained: Trained) -> None:
    best, attempts = make(work, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    assert best.candidate == Candidate(3)
    assert [blocks for blocks, number, _ in trained if number == 1] == [0, 2, 3, 4, 5]
    assert [blocks for blocks, number, _ in trained if number == 2] == [3, 4]
    assert [blocks for blocks, number, _ in trained if number == 3] == [3]
    assert [one.candidate for one in attempts] == list(CANDIDATES)
    assert best.steps == 30
    assert best.folder.is_dir()


def test_the_time_goes_mostly_to_the_last_round(work: WorkFolder, trained: Trained) -> None:
    make(work, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    seconds = {number: {found for _, one, found in trained if one == number} for number in (1, 2, 3)}
    assert seconds[1] == {25 / 4}  # the static model needs none
    assert seconds[2] == {20 / 2}
    assert seconds[3] == {100.0}  # all that the clock has left, and this one stands still


def test_a_static_model_that_is_good_enough_ends_the_search(
    work: WorkFolder, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOSSES, 0, 0.001)
    best, _ = make(work, SlimGoal(keep=0.95)).run(CANDIDATES, still(100))
    assert best.candidate == Candidate(0)
    assert {number for _, number, _ in trained} == {1}


def test_a_static_model_that_fails_does_not_end_the_search(
    work: WorkFolder, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    for blocks, loss in {0: 0.1, 2: 0.9, 3: 0.8, 4: 0.7, 5: 0.2}.items():
        monkeypatch.setitem(LOSSES, blocks, loss)
    best, _ = make(work, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    assert [blocks for blocks, number, _ in trained if number == 2] == [5]
    assert best.candidate in (Candidate(0), Candidate(5))


def test_without_a_demand_on_quality_the_best_is_trained(work: WorkFolder, trained: Trained) -> None:
    best, _ = make(work, SlimGoal(max_mb=40)).run(CANDIDATES, still(100))
    assert best.candidate == Candidate(5)


def test_one_candidate_gets_all_the_time(work: WorkFolder, trained: Trained) -> None:
    best, _ = make(work, SlimGoal(max_mb=40)).run(CANDIDATES[2:3], still(100))
    assert trained == [(3, 1, 100.0)]
    assert best.candidate == Candidate(3)


def test_an_interrupted_search_repeats_nothing(
    work: WorkFolder, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = search_module.Search._train
    calls = [0]

    def fail_at_third(*args: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return train(*args, **named)

    monkeypatch.setattr(search_module.Search, "_train", fail_at_third)
    with pytest.raises(KeyboardInterrupt):
        make(work, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    monkeypatch.setattr(search_module.Search, "_train", train)
    again = WorkFolder.open(work.folder, {"seed": 0})
    best, _ = make(again, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    assert best.candidate == Candidate(3)
    assert len(trained) == len(set(trained)) == 8


def test_a_search_with_other_settings_starts_anew(work: WorkFolder, trained: Trained) -> None:
    make(work, SlimGoal(keep=0.98)).run(CANDIDATES, still(100))
    other = WorkFolder.open(work.folder, {"seed": 1})
    assert other.read("3-blocks/round-1.json") is None


def test_the_time_of_a_training_is_the_same_when_it_is_resumed(work: WorkFolder) -> None:
    search = make(work, SlimGoal(keep=0.98))
    assert search._allot(Candidate(3), 1, 0.7) == 0.7
    assert search._allot(Candidate(3), 1, 0.2) == 0.7
    assert search._allot(Candidate(3), 2, 0.2) == 0.2


def test_time_spent_before_an_interruption_counts() -> None:
    clock = iter([100.0, 130.0, 500.0])
    limit = TimeLimit.start(2, 60.0, lambda: next(clock))
    assert limit.left() == 30.0
    assert replace(limit).left() == 0.0


def test_on_a_slow_machine_fewer_cuts_are_tried_and_the_choice_is_recorded(work: WorkFolder, trained: Trained) -> None:
    search = make(work, SlimGoal(keep=0.98))
    # A quarter of 800 s for first trainings that need 1,200 texts of 0.05 s each: three of four cuts.
    tried = search.choose_affordable(CANDIDATES, still(800), lambda: 0.05)
    assert tried == tuple(one for one in CANDIDATES if one.blocks != 2)
    assert search.choose_affordable(CANDIDATES, still(1), lambda: 9.9) == tried


@pytest.mark.parametrize(("per_text", "blocks"), [(0.001, [0, 2, 3, 4, 5]), (0.1, [0, 4, 5]), (9.0, [0, 5])])
def test_a_static_model_and_the_deepest_cut_are_always_tried(per_text: float, blocks: list[int]) -> None:
    assert [one.blocks for one in afford(CANDIDATES, 240.0, per_text=per_text)] == blocks
