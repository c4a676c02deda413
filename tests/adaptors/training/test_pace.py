"""The schedule of a training with a time limit, by a made-up clock."""

from types import SimpleNamespace

import pytest

from adaptors.training.pace import Budget, Pace


def run(seconds: float, *, step: float, evaluation: float) -> tuple[int, list[int]]:
    """Return the number of steps of a training, and the steps after which it was evaluated."""
    now = [0.0]
    state = SimpleNamespace(global_step=0, max_steps=10**7, log_history=[])
    pace = Pace(0, Budget(seconds / 60, clock=lambda: now[0]), lambda: evaluation)
    pace.on_train_begin(None, state, None)
    now[0] += evaluation
    pace.on_evaluate(None, state, None)
    evaluated: list[int] = []
    while True:
        now[0] += step
        state.global_step += 1
        control = SimpleNamespace(
            should_evaluate=False, should_save=False, should_log=False, should_training_stop=False
        )
        pace.on_step_end(None, state, control)
        if control.should_evaluate:
            now[0] += evaluation
            evaluated.append(state.global_step)
            pace.on_evaluate(None, state, None)
            pace.on_save(None, state, None)
        if control.should_training_stop:
            assert now[0] <= seconds
            return state.global_step, evaluated


def test_evaluations_leave_most_of_a_short_time_to_the_training() -> None:
    steps, evaluated = run(50.0, step=0.7, evaluation=8.0)
    assert (steps, evaluated) == (48, [48])
    steps, evaluated = run(200.0, step=0.7, evaluation=8.0)
    assert steps * 0.7 > 0.7 * 200
    assert len(evaluated) > 1


@pytest.mark.parametrize("evaluation", [0.0, 0.1])
def test_fast_evaluations_are_ten(evaluation: float) -> None:
    steps, evaluated = run(100.0, step=0.5, evaluation=evaluation)
    assert len(evaluated) == 10
    assert evaluated[-1] == steps
