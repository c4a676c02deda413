"""The guard of kept ratios, on made-up comparisons: nothing is timed here."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import check, kept, run
from benchmarks.inputs import Skipped
from benchmarks.kept import KeptFile, Measured
from benchmarks.timing import Comparison

HERE = {"processor": "A", "capability": "AVX2", "threads": 2, "accelerator": "None"}
ELSEWHERE = {**HERE, "threads": 8}
# Ratios 0.50, 0.52, 0.48 to a peer of equal time.
STEADY = Comparison("speed", {"ours": [0.50, 0.52, 0.48], "peer": [1.0, 1.0, 1.0]}, {})

Give = Callable[..., None]


def times(factor: float, comparison: Comparison = STEADY) -> Comparison:
    """Return a comparison in which ours takes a multiple of the time."""
    return replace(comparison, amounts={**comparison.amounts, "ours": [factor * x for x in comparison.amounts["ours"]]})


def is_worse(before: Comparison, now: Comparison) -> bool:
    (verdict,) = check.judge(before, now)
    return verdict.is_worse


def test_a_ratio_is_worse_beyond_the_rounds_of_both() -> None:
    (verdict,) = check.judge(STEADY, times(1.1))
    assert verdict.spread == pytest.approx(0.04 + 0.044)
    assert not verdict.is_worse
    assert is_worse(STEADY, times(1.3))
    assert not is_worse(STEADY, times(0.5))
    assert str(next(check.judge(STEADY, times(2)))).startswith("WORSE    speed: ours / peer: kept 0.500, now 1.000, ")


def test_rounds_are_compared_with_rounds_of_the_same_moment() -> None:
    busy = Comparison("speed", {"ours": [0.5, 1.0, 2.0], "peer": [1.0, 2.0, 4.0]}, {})
    assert busy.ranges() == {"ours": 0.0}
    uneven = Comparison("speed", {"ours": [0.5, 1.0], "peer": [2.0]}, {})
    assert uneven.ranges() == {"ours": 0.25}


@pytest.mark.parametrize(("rounds", "passing", "failing"), [(3, 1.04, 1.06), (1, 1.09, 1.11)])
def test_the_floor_is_wider_for_a_single_round(rounds: int, passing: float, failing: float) -> None:
    exact = Comparison("speed", {"ours": [0.5] * rounds, "peer": [1.0] * rounds}, {})
    assert not is_worse(exact, times(passing, exact))
    assert is_worse(exact, times(failing, exact))


def test_rounds_too_far_apart_to_tell_are_no_success() -> None:
    (verdict,) = check.judge(replace(STEADY, amounts={"ours": [0.3, 0.5, 0.7], "peer": [1.0] * 3}), STEADY)
    assert str(verdict).startswith("NOISY    speed")


def test_where_more_is_better_less_is_worse() -> None:
    score = replace(STEADY, more_is_better=True)
    assert is_worse(score, times(0.7, score))
    assert not is_worse(score, times(1.5, score))


def test_what_others_take_is_not_guarded() -> None:
    others = replace(STEADY, peers=("ours",))
    assert list(check.judge(others, times(9, others))) == []


@pytest.fixture
def file(tmp_path: Path) -> KeptFile:
    return KeptFile(tmp_path / "results.json")


@pytest.fixture
def give(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Return a function that sets what the benchmarks give by name; an exception is raised."""
    monkeypatch.setattr(kept, "dataset_name", lambda: "data/a.zip")

    def set_results(**results: Comparison | Exception) -> None:
        def benchmark(result: Comparison | Exception) -> Iterator[Comparison]:
            if isinstance(result, Exception):
                raise result
            yield result

        monkeypatch.setattr(
            run, "BENCHMARKS", {name: lambda r=result: benchmark(r) for name, result in results.items()}
        )

    return set_results


def keep(file: KeptFile, **comparisons: Comparison) -> None:
    for name, comparison in comparisons.items():
        file.replace(HERE, name, [Measured(name, comparison, "a", kept.torch.__version__, "then")])


def test_a_regression_fails_with_a_line_per_ratio(
    file: KeptFile, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(file, fast=STEADY, slow=replace(STEADY, name="other"))
    give(fast=times(1.01), slow=replace(times(2), name="other"))
    assert check.check(["fast"], file, HERE)
    assert not check.check(["fast", "slow"], file, HERE)
    lines = [line for line in capsys.readouterr().out.splitlines() if "kept" in line]
    assert [line.split(":")[0] for line in lines] == ["ok       speed", "ok       speed", "WORSE    other"]


def test_nothing_kept_for_this_kind_of_machine_is_said_and_fails(
    file: KeptFile, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    give(fast=AssertionError("it must not run"))
    keep(file, fast=STEADY)
    assert not check.check(["fast"], file, ELSEWHERE)
    out = capsys.readouterr().out
    assert "NOT KEPT fast: not run, as nothing is kept for this kind of machine (A, AVX2, 8 threads" in out
    assert "to keep it: make bench ONLY=fast" in out


def test_a_skipped_benchmark_is_named_and_one_alone_is_no_success(
    file: KeptFile, give: Give, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(file, fast=STEADY, large=STEADY)
    give(fast=STEADY, large=Skipped("no folder"))
    assert check.check(["fast", "large"], file, HERE)
    assert "SKIPPED  large: no folder" in capsys.readouterr().out
    assert not check.check(["large"], file, HERE)
    assert "nothing was compared" in capsys.readouterr().out


def test_what_cannot_be_compared_fails(file: KeptFile, give: Give, capsys: pytest.CaptureFixture[str]) -> None:
    two = Comparison("speed", {"ours": [1.0], "mine": [1.0], "peer": [1.0]}, {})
    renamed = replace(STEADY, name="renamed")
    for now, words in ((renamed, ["NOT KEPT renamed", "MISSING  speed"]), (two, ["NOT KEPT speed: mine is in one of"])):
        keep(file, fast=STEADY)
        give(fast=now)
        assert not check.check(["fast"], file, HERE)
        out = capsys.readouterr().out
        assert [word for word in words if word not in out] == []


def test_ratios_of_other_texts_are_not_compared(file: KeptFile, give: Give, capsys: pytest.CaptureFixture[str]) -> None:
    file.replace(HERE, "fast", [Measured("fast", STEADY, "b", "1", "then")])
    give(fast=STEADY)
    assert not check.check(["fast"], file, HERE)
    assert "kept with the texts of b, now a" in capsys.readouterr().out


def test_a_measurement_replaces_only_its_benchmark_on_its_kind_of_machine(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    keep(KeptFile(path), fast=STEADY, slow=STEADY)
    KeptFile(path).replace(ELSEWHERE, "fast", [Measured("fast", times(3), "a", "1", "then")])
    keep(KeptFile(path), fast=times(2))
    found = {
        (kind["threads"], one.benchmark): one.comparison
        for kind in (HERE, ELSEWHERE)
        for one in KeptFile(path).of(kind)
    }
    assert found == {(2, "slow"): STEADY, (2, "fast"): times(2), (8, "fast"): times(3)}


def test_a_file_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps({"machine": {}, "results": []}))
    with pytest.raises(ValueError, match="has another form"):
        KeptFile(tmp_path / "old.json")


def test_the_kept_results_are_readable_and_of_known_benchmarks() -> None:
    path = Path(run.__file__).parent / "results.json"
    machines = json.loads(path.read_text())["machines"]
    results = [one for machine in machines for one in KeptFile(path).of(machine["kind"])]
    assert results
    assert {one.benchmark for one in results} <= run.BENCHMARKS.keys()


@pytest.mark.parametrize("program", [run, check])
def test_an_unknown_benchmark_is_refused(
    program: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--only", "top-k,none"])
    with pytest.raises(SystemExit) as left:
        program.main()  # type: ignore[attr-defined]
    assert left.value.code == 2
    assert "unknown benchmark 'none': expected some of start-up, top-k" in capsys.readouterr().err
