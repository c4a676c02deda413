"""Late fusion against its definitions, written out as loops."""

import random

import pytest

from probe.errors import CallError
from probe.metrics.run_fusion import RUN_FUSIONS, fuse_runs
from probe.metrics.top_k import Run


def make_runs(seed: int, count: int = 3) -> list[Run]:
    dice = random.Random(seed)
    documents = [f"d{i}" for i in range(30)]
    return [
        {
            f"q{q}": {doc: dice.choice([-0.5, 0.1, 0.25, 0.7, 0.9]) for doc in dice.sample(documents, 12)}
            for q in range(4)
        }
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_reciprocal_rank_fusion_is_its_formula(seed: int) -> None:
    runs = make_runs(seed)
    fused = fuse_runs(runs, "rrf")
    for query in runs[0]:
        for document in {doc for run in runs for doc in run[query]}:
            expected = 0.0
            for run in runs:
                ranked = sorted(run[query].items(), key=lambda item: item[0], reverse=True)
                ranked = sorted(ranked, key=lambda item: item[1], reverse=True)
                names = [name for name, _ in ranked]
                if document in names:
                    expected += 1 / (60 + names.index(document) + 1)
            assert fused[query][document] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_combsum_adds_scaled_scores(seed: int) -> None:
    runs = make_runs(seed)
    fused = fuse_runs(runs, "combsum")
    for query in runs[0]:
        for document in {doc for run in runs for doc in run[query]}:
            expected = 0.0
            for run in runs:
                low, high = min(run[query].values()), max(run[query].values())
                if document in run[query]:
                    expected += (run[query][document] - low) / (high - low)
            assert fused[query][document] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rule", RUN_FUSIONS)
def test_the_best_comes_first_and_the_runs_stay_as_they_are(rule: str) -> None:
    runs = make_runs(7)
    before = [{query: dict(found) for query, found in run.items()} for run in runs]
    fused = fuse_runs(runs, rule)
    assert runs == before
    for found in fused.values():
        assert list(found) == sorted(found, key=lambda doc: (found[doc], doc), reverse=True)


def test_a_run_in_which_all_score_alike_does_not_divide_by_zero() -> None:
    assert fuse_runs([{"q": {"a": 0.5, "b": 0.5}}, {"q": {}}], "combsum") == {"q": {"b": 1.0, "a": 1.0}}


def test_wrong_calls() -> None:
    with pytest.raises(CallError, match="rrf, combsum"):
        fuse_runs([{"q": {}}], "borda")
    for runs in ([], [{"q": {}}, {"p": {}}]):
        with pytest.raises(CallError, match="same queries"):
            fuse_runs(runs)
