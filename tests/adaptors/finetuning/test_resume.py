"""Nothing is lost: a tuning that was interrupted anywhere ends byte by byte as one that was not."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_tuning import QUICK, Interrupted, make_pairs, open_tiny, rows_of, spy_steps, weights
from torch import Tensor

from adaptors.finetuning import rounds as tuning
from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.evaluator import HeldOutRows
from adaptors.finetuning.options import Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.finetuning.rounds import Round, train_rounds
from adaptors.rows.hard_negatives import MineOptions
from adaptors.training.checkpoints import load_finished_round

# Four epochs of five steps, out of six, logged at every second and at the last; some queries have two positives.
DATA = rows_of(*make_pairs(16).rows, *(replace(row, positive=f"{row.query} wood") for row in make_pairs(3).rows))  # type: ignore[call-arg]
EVERY = 5
OPTIONS = replace(QUICK, schedule=Schedule(6, 3, 1e-3), hold_out=0.25)
MINED = replace(OPTIONS, rounds=2, mining=MineOptions(1, 0, 20, -5))


@pytest.fixture(autouse=True)
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What held-out queries are told to score, epoch by epoch: a bad one, the best one, two bad ones."""
    told = [0.5, 0.4, 0.6, 0.3, 0.2, 0.1, 0.1]

    def ask(evaluator: HeldOutRows, model: Any, steps: int, **named: Any) -> dict[str, float]:
        score = told[steps // EVERY]
        return {"ndcg@10": score, "ndcg@10_32": score}

    monkeypatch.setattr(HeldOutRows, "__call__", ask)
    return told


@pytest.fixture(autouse=True, scope="module")
def seldom() -> Iterator[None]:
    """Log at every second step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adaptors.finetuning.trainer._LOGS_PER_EPOCH", 2)
        yield


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One loss per training step that is made."""
    return spy_steps(monkeypatch)


@pytest.fixture(scope="module")
def fused(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from surgery.fusing.folder import save
    from surgery.fusing.model import fuse

    specs = [f"{tiny_folder('bert')}@1:mean", f"{tiny_folder('mpnet')}@2:cls"]
    return save(fuse(specs), tmp_path_factory.mktemp("fused") / "both")


def run(folder: Path, options: TuneOptions, data: Any = DATA) -> tuple[dict[str, Tensor], tuple[Round, ...]]:
    is_fused = (folder / "fused.json").is_file()
    student = open_trainable(str(folder), Path()) if is_fused else open_tiny(folder)
    rounds = train_rounds(student, data, [f"snow {i} wood" for i in range(9)], options=options)
    return weights(student), rounds


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(
    tiny_folder: Callable[[str], Path], fused: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Return, by what is trained, the folder, the options, and what an undisturbed run with a log gives."""
    ways = {
        "whole": (tiny_folder("bert"), OPTIONS),
        "lora": (tiny_folder("mpnet"), replace(OPTIONS, scope=Scope(lora=2))),
        "fused": (fused, OPTIONS),
        "mined": (tiny_folder("bert"), MINED),
    }
    root = tmp_path_factory.mktemp("undisturbed")

    @cache
    def undisturb(way: str) -> Any:
        folder, options = ways[way]
        return folder, options, run(folder, replace(options, log=root / way)), lines(root / way)

    return undisturb


# The first epoch is worse than the beginning, the second the best: then the third and the fourth are waited for.
@pytest.mark.parametrize(
    ("way", "after"),
    [
        ("whole", 2),
        ("whole", 5),
        ("whole", 7),
        ("whole", 15),
        ("whole", 18),
        ("lora", 7),
        ("fused", 12),
    ],
)
def test_an_interrupted_tuning_ends_as_an_undisturbed_one(
    way: str, after: int, undisturbed: Callable[[str], Any], tmp_path: Path, steps: list[float]
) -> None:
    folder, options, (expected, (whole,)), log = undisturbed(way)
    assert [epoch.number for epoch in whole.epochs] == [0, 1, 2, 3, 4]
    kept = replace(options, checkpoint_dir=tmp_path / "kept", log=tmp_path / "log.jsonl")
    steps.clear()
    with pytest.raises(KeyboardInterrupt):
        run(folder, replace(kept, progress=Interrupted(after)))
    assert len(steps) == after
    found, (one,) = run(folder, kept)
    # At the end of a step, its epoch is not kept yet.
    assert len(steps) == after + 4 * EVERY - (after - 1) // EVERY * EVERY
    assert same(found, expected)
    assert one == whole
    assert lines(kept.log) == log
    steps.clear()
    again, (finished,) = run(folder, kept)
    assert (len(steps), finished) == (0, whole)
    assert same(again, expected)
    assert lines(kept.log) == log


@pytest.mark.parametrize("after", [EVERY * 4 - 1, EVERY * 4 + 7])
def test_rounds_that_are_done_are_not_done_again(
    after: int, undisturbed: Callable[[str], Any], tmp_path: Path, steps: list[float]
) -> None:
    folder, options, (expected, whole), log = undisturbed("mined")
    assert [len(one.epochs) for one in whole] == [5, 5]
    kept = replace(options, checkpoint_dir=tmp_path / "kept", log=tmp_path / "log.jsonl")
    with pytest.raises(KeyboardInterrupt):
        run(folder, replace(kept, progress=Interrupted(after)))
    steps.clear()
    found, rounds = run(folder, kept)
    assert len(steps) == 2 * 4 * EVERY - (after - 1) // EVERY * EVERY
    assert same(found, expected)
    assert rounds == whole
    assert lines(kept.log) == log


def test_an_interruption_between_two_rounds_is_taken_up_at_the_second(
    undisturbed: Callable[[str], Any], tmp_path: Path, steps: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, options, (expected, whole), log = undisturbed("mined")
    kept = replace(options, checkpoint_dir=tmp_path / "kept", log=tmp_path / "log.jsonl")
    mine, asked = tuning.mine_negatives, []

    def stop(*args: Any, **named: Any) -> Any:
        asked.append(len(steps))
        if len(asked) == 2:
            raise KeyboardInterrupt
        return mine(*args, **named)

    monkeypatch.setattr(tuning, "mine_negatives", stop)
    with pytest.raises(KeyboardInterrupt):
        run(folder, kept)
    found, rounds = run(folder, kept)
    assert asked == [0, 20, 20, 20]
    assert len(steps) == 40
    assert (same(found, expected), rounds, lines(kept.log)) == (True, whole, log)


def test_rounds_of_other_numbers_of_rows_have_a_log_of_every_step_once(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, counts = tuning.mine_negatives, iter([13, 4, 9])

    def fewer(*args: Any, **named: Any) -> Any:
        mined = mine(*args, **named)
        return replace(mined, rows=mined.rows[: next(counts)])

    monkeypatch.setattr(tuning, "mine_negatives", fewer)
    options = replace(MINED, rounds=3, hold_out=0.0, schedule=Schedule(1, 3, 1e-3), log=tmp_path / "log.jsonl")
    _, rounds = run(tiny_folder("bert"), options)
    assert [one.rows for one in rounds] == [13, 4, 9]
    found = [line["step"] for line in lines(options.log)]  # type: ignore[arg-type]
    assert found == [2, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("spoil", ["finished.json", "finished.safetensors"])
def test_a_finished_round_that_is_damaged_is_done_again_from_its_last_epoch(
    spoil: str, undisturbed: Callable[[str], Any], tmp_path: Path, steps: list[float]
) -> None:
    folder, options, (expected, whole), _ = undisturbed("whole")
    kept = replace(options, checkpoint_dir=tmp_path)
    run(folder, kept)
    (tmp_path / "round-1" / spoil).write_bytes(b"{")
    shutil.rmtree(tmp_path / "round-1" / "checkpoint-20")
    steps.clear()
    found, rounds = run(folder, kept)
    assert (len(steps), same(found, expected), rounds) == (10, True, whole)
    assert load_finished_round(tmp_path / "round-1") is not None
