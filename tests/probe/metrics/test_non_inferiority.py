"""Whether a candidate is good enough: known answers, what is refused, and the rates in simulated cases."""

from itertools import product

import numpy as np
import pytest
from gate_cases import MEAN, SHAPES, draw_scores
from scipy import optimize, stats

from probe.errors import CallError
from probe.metrics.non_inferiority import (
    FEWEST_QUERIES,
    NOT_SHOWN,
    NOT_TESTED,
    PASSED,
    WORSE,
    GateGoal,
    Judgement,
    _count_freedom,
    count_fewest,
    judge,
    likelihood_p_values,
    non_inferiority_p_values,
)
from probe.metrics.significance import RESAMPLES, flip_signs

CASES = 200
ALPHA = 0.05
# Queries, and a margin for which they are enough.
SIZES = ((50, 0.06), (150, 0.03), (300, 0.02))

each_size = pytest.mark.parametrize(("queries", "margin"), SIZES)
each_shape = pytest.mark.parametrize("shape", SHAPES)


def judge_one(differences: list[float] | np.ndarray, goal: GateGoal, full: float = 0.5) -> Judgement:
    row = np.asarray(differences, dtype=float)[None]
    return judge(np.full_like(row, full) + row, np.full_like(row, full), goal, seed=0)[0]


def bounds(rate: float, cases: int = CASES) -> tuple[int, int]:
    """Return between which counts 99.9 % of all experiments are."""
    low, high = stats.binom.interval(0.999, cases, rate)
    return int(low), int(high)


def count(shape: str, queries: int, *, margin: float, loss: float, cases: int = CASES) -> dict[str, int]:
    """Return how often each outcome comes of cases with a true loss."""
    candidates, baselines = draw_scores(shape, cases, queries, loss=loss)
    outcomes = [one.outcome for one in judge(candidates, baselines, GateGoal(margin), seed=0)]
    return {outcome: outcomes.count(outcome) for outcome in (PASSED, NOT_SHOWN, WORSE, NOT_TESTED)}


@each_shape
@each_size
def test_a_loss_of_the_margin_passes_no_more_often_than_the_error_rate(shape: str, queries: int, margin: float) -> None:
    found = count(shape, queries, margin=margin, loss=margin)
    print(f"\nloss of the margin, {shape}, {queries} queries: {found}", end="")  # noqa: T201
    assert found[PASSED] <= bounds(ALPHA)[1]
    assert found[WORSE] <= bounds(ALPHA)[1]


@each_shape
@each_size
def test_a_loss_of_twice_the_margin_practically_never_passes(shape: str, queries: int, margin: float) -> None:
    found = count(shape, queries, margin=margin, loss=2 * margin)
    print(f"\nloss of twice the margin, {shape}, {queries} queries: {found}", end="")  # noqa: T201
    assert found[PASSED] <= 2


@pytest.mark.parametrize("shape", ["swapped", "close", "graded"])
@each_size
def test_without_a_loss_four_of_five_pass_at_the_margin_that_is_said_to_be_shown(
    shape: str, queries: int, margin: float
) -> None:
    candidates, baselines = draw_scores(shape, CASES, queries, loss=0.0)
    told = [one.detectable for one in judge(candidates, baselines, GateGoal(margin), seed=0)]
    shown = float(np.median([one for one in told if one is not None]))
    found = count(shape, queries, margin=shown, loss=0.0)
    print(f"\nno loss, {shape}, {queries} queries, margin {shown:.4f}: {found}", end="")  # noqa: T201
    assert found[PASSED] >= bounds(0.7)[0]
    assert found[WORSE] == 0


def test_the_error_rate_is_the_one_that_is_asked_for() -> None:
    candidates, baselines = draw_scores("graded", 1000, 300, loss=0.02)
    for alpha in (0.01, 0.1):
        judged = judge(candidates, baselines, GateGoal(0.02, alpha=alpha), seed=0)
        found = sum(one.outcome == PASSED for one in judged)
        low, high = bounds(alpha, 1000)
        assert low / 3 <= found <= high


def test_a_share_is_kept_by_the_ratio_of_the_means() -> None:
    rng = np.random.default_rng(0)
    baselines = rng.beta(1.2, 1.0, (1000, 200))
    candidates = 0.8 * baselines + rng.normal(0, 0.05, baselines.shape)
    found = sum(one.outcome == PASSED for one in judge(candidates, baselines, GateGoal(keep=0.8), seed=0))
    low, high = bounds(ALPHA, 1000)
    assert low <= found <= high
    (judged,) = judge(candidates[:1], baselines[:1], GateGoal(keep=0.8), seed=0)
    assert judged.margin == pytest.approx(0.2 * baselines[0].mean())


@pytest.mark.parametrize(("queries", "margin"), [(100, 0.05), (300, 0.02), (1000, 0.01)])
def test_whole_losses_among_equal_scores_pass_no_sooner_than_by_the_exact_binomial_test(
    queries: int, margin: float
) -> None:
    passed = []
    for lost in range(9):
        differences = np.zeros(queries)
        differences[:lost] = -0.5
        passed.append(judge_one(differences, GateGoal(margin)).outcome == PASSED)
        assert stats.binomtest(lost, queries, margin / 0.5, alternative="less").pvalue < ALPHA or not passed[-1]
    # Nor much later: what is left between them is the price of not knowing the size of a loss.
    exact = [stats.binomtest(n, queries, margin / 0.5, alternative="less").pvalue < ALPHA for n in range(9)]
    assert passed == sorted(passed, reverse=True)
    assert sum(exact) - sum(passed) <= 1


def test_a_small_loss_on_one_query_among_equal_scores_passes() -> None:
    differences = np.zeros(300)
    differences[0] = -0.1
    assert judge_one(differences, GateGoal(0.02)).outcome == PASSED
    differences[0] = 0.1
    assert judge_one(differences, GateGoal(0.02)).outcome == PASSED


def test_equal_scores_pass_if_the_queries_would_have_shown_a_loss() -> None:
    goal = GateGoal(0.01)
    fewest = count_fewest(0.01 / 0.5, ALPHA)
    enough, few = (judge_one(np.zeros(number), goal) for number in (fewest, fewest - 1))
    assert enough.outcome == PASSED
    assert enough.p_value == 1 / (RESAMPLES + 1)
    assert (few.outcome, few.p_value) == (NOT_TESTED, 1 / (RESAMPLES + 1))
    assert few.reason == f"the baseline finds something for {fewest - 1} queries, at least {fewest} are needed"
    assert few.needed == fewest
    # What so few queries can show is a little more.
    assert few.detectable == pytest.approx(0.01, rel=0.02)
    assert few.detectable > 0.01


def test_queries_without_an_answer_of_the_baseline_do_not_count() -> None:
    baselines = np.concatenate([np.full(100, 0.5), np.zeros(900)])[None]
    (judged,) = judge(baselines, baselines, GateGoal(0.001), seed=0)
    assert judged.outcome == NOT_TESTED
    assert judged.reason.startswith("the baseline finds something for 100 queries, at least ")
    assert judged.needed is not None
    assert judged.needed > 1000


def test_nothing_is_tested_without_queries_or_answers() -> None:
    for queries, words in {
        0: "the baseline finds something for 0 queries, at least 30 are needed",
        1: "the baseline finds something for 1 query, at least 30 are needed",
    }.items():
        judged = judge_one(np.zeros(queries), GateGoal(0.5))
        assert (judged.outcome, judged.reason, judged.p_value) == (NOT_TESTED, words, None)
    assert judge_one(np.zeros(FEWEST_QUERIES - 1), GateGoal(0.49)).outcome == NOT_TESTED
    assert judge_one(np.zeros(FEWEST_QUERIES), GateGoal(0.49)).outcome == PASSED
    nothing = judge_one(np.full(300, 0.2), GateGoal(0.05), full=0.0)
    assert (nothing.outcome, nothing.reason) == (
        NOT_TESTED,
        "the baseline finds nothing, so that there is nothing to lose",
    )


@pytest.mark.parametrize(
    ("share", "alpha", "fewest"),
    [(0.02, 0.05, 149), (0.01, 0.05, 299), (0.02, 0.01, 228), (0.5, 0.05, 30), (1.0, 0.05, 30), (1.4, 0.05, 30)],
)
def test_the_fewest_queries_follow_from_margin_and_error_rate(share: float, alpha: float, fewest: int) -> None:
    assert count_fewest(share, alpha) == fewest
    if fewest > FEWEST_QUERIES:
        assert (1 - share) ** fewest <= alpha < (1 - share) ** (fewest - 1)


def test_the_p_value_is_never_below_that_of_the_randomisation_test() -> None:
    for shape, (queries, margin) in product(SHAPES, SIZES[:2]):
        candidates, baselines = draw_scores(shape, 20, queries, loss=margin / 2)
        judged = judge(candidates, baselines, GateGoal(margin), seed=4)
        for one, candidate, baseline in zip(judged, candidates, baselines, strict=True):
            (alone,) = flip_signs((candidate - baseline + margin)[None], np.positive, 4)
            assert one.p_value is not None
            assert one.p_value >= alone


def test_a_single_query_shows_nothing_by_either_test() -> None:
    scores, baseline = np.array([[0.5]]), np.array([0.5])
    assert non_inferiority_p_values(scores, baseline, 0.1, seed=0)[0] > 0.4
    # Student's distribution has no values without a degree of freedom.
    assert np.isfinite(likelihood_p_values(scores - baseline + 0.1, _count_freedom(scores, baseline))).all()


def brute_ratio(values: np.ndarray) -> float:
    """Return twice the logarithm of the empirical likelihood ratio of a mean of 0, by a general optimizer."""
    found = optimize.minimize(
        lambda logs: -logs.sum() - len(logs) * np.log(len(logs)),
        np.full(len(values), -np.log(len(values))),
        constraints=[
            {"type": "eq", "fun": lambda logs: np.exp(logs).sum() - 1},
            {"type": "eq", "fun": lambda logs: np.exp(logs) @ values},
        ],
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-12},
    )
    return 2 * float(found.fun)


def test_the_likelihood_ratio_is_that_of_the_likeliest_weights() -> None:
    rng = np.random.default_rng(0)
    for values in (rng.normal(0.3, 1, 12), rng.normal(-0.2, 1, 15), np.array([-1.0, 0.1, 0.1, 0.1, 0.1, 0.4])):
        root = np.sign(values.mean()) * brute_ratio(values) ** 0.5
        (found,) = likelihood_p_values(values[None], np.array([7]))
        assert found == pytest.approx(stats.t.sf(root, 7), rel=1e-4)


def test_of_equal_losses_it_is_the_ratio_of_binomial_likelihoods() -> None:
    for lost, share in ((2, 0.04), (5, 0.04), (20, 0.04)):
        values = np.full(300, 0.5 * share)
        values[:lost] -= 0.5
        seen = lost / 300
        ratio = 600 * (seen * np.log(seen / share) + (1 - seen) * np.log((1 - seen) / (1 - share)))
        root = np.sign(share - seen) * ratio**0.5
        assert likelihood_p_values(values[None], np.array([9])) == [pytest.approx(stats.t.sf(root, 9), rel=1e-6)]


def test_rare_large_losses_make_it_less_certain_than_students_test() -> None:
    values = np.concatenate([np.full(57, 0.02), np.full(3, -0.2)])
    student = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert likelihood_p_values(values[None], np.array([59]))[0] > student
    assert likelihood_p_values(values[None], np.array([3]))[0] > likelihood_p_values(values[None], np.array([59]))[0]


def test_both_sides_are_one_test() -> None:
    values = np.random.default_rng(1).normal(0.05, 1, (20, 40))
    freedom = np.full(20, 39)
    both = zip(likelihood_p_values(values, freedom), likelihood_p_values(-values, freedom), strict=True)
    assert [one + other for one, other in both] == pytest.approx([1.0] * 20, abs=1e-9)


def test_values_on_one_side_are_certain() -> None:
    values = np.array([[0.1] * 5, [0.0, 0.0, 0.0, 0.0, 0.2], [0.0] * 5, [-0.1] * 5, [0.0, 0.0, 0.0, 0.0, -0.2]])
    assert likelihood_p_values(values, np.full(5, 4)) == [0.0, 0.0, 0.5, 1.0, 1.0]


def test_a_candidate_that_loses_more_is_shown_to_be_worse() -> None:
    rng = np.random.default_rng(0)
    judged = judge_one(rng.normal(-0.1, 0.05, 300), GateGoal(0.02))
    assert judged.outcome == WORSE
    assert judged.p_worse is not None
    assert judged.p_worse < 0.001


def test_what_is_needed_grows_with_the_square_of_the_margin() -> None:
    rng = np.random.default_rng(0)
    differences = rng.normal(0, 0.1, 400)
    wide, narrow = (judge_one(differences, GateGoal(margin)) for margin in (0.02, 0.005))
    assert wide.detectable == narrow.detectable == pytest.approx(2.4865 * differences.std(ddof=1) / 20, rel=1e-2)
    assert narrow.needed == pytest.approx(16 * (wide.needed or 0), rel=0.02)
    assert narrow.outcome == NOT_SHOWN


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"margin": 0.0}, "--margin 0: expected a difference above 0 and below 1, such as 0.01"),
        ({"margin": 1.0}, "--margin 1: expected"),
        ({"margin": float("nan")}, "--margin nan: expected"),
        ({"keep": 1.0}, "--keep 1: expected a share above 0 and below 1, such as 0.98"),
        ({"margin": 0.01, "keep": 0.9}, "--margin and --keep are two ways to say it: give one"),
        ({"alpha": 0.0}, "--alpha 0 is out of range: expected at least 0.001, at most 0.2"),
        ({"alpha": 0.5}, "--alpha 0.5 is out of range"),
    ],
)
def test_a_goal_that_cannot_be_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(CallError) as raised:
        GateGoal(**values)
    assert str(raised.value).startswith(words)


def test_a_goal_says_what_is_allowed() -> None:
    assert [str(GateGoal()), str(GateGoal(0.005)), str(GateGoal(keep=0.985))] == [
        *("lose less than 0.01", "lose less than 0.005", "keep 98.5% of the baseline's score")
    ]
    assert GateGoal().allow(np.array([0.0, 1.0])).tolist() == [0.01, 0.01]
    assert GateGoal(keep=0.75).allow(np.array([0.0, 1.0])).tolist() == [0.0, 0.25]


def test_the_mean_of_the_simulated_scores_is_known() -> None:
    candidates, baselines = draw_scores("swapped", 400, 500, loss=0.05)
    assert baselines.mean() == pytest.approx(MEAN, abs=0.003)
    assert (baselines - candidates).mean() == pytest.approx(0.05, abs=0.003)
