"""Schedule of a training limited by steps or by time: progress, learning rate, evaluations, end."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers.trainer_callback import TrainerCallback

from probe.errors import TrainingError

__all__ = ["Budget", "Pace", "has_run_out"]

_PARTS = 10
# With a time limit: training between two evaluations, as a multiple of what an evaluation takes.
_LEAST_TRAINING = 4.0
_SPENT, _ENDED = "seconds_spent", "time_is_over"


@dataclass
class Budget:
    """A time limit for everything from setup to saving.

    Attributes:
        minutes: The limit.
        clock: Returns the current time in seconds.
        reserve: Seconds reserved for the work after training.
        began: Start time.
    """

    minutes: float
    clock: Callable[[], float] = time.monotonic
    reserve: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        """Start the clock."""
        self.began = self.clock()

    def left(self) -> float:
        """Return the seconds left for training."""
        return 60 * self.minutes - self.reserve - self.spent()

    def spent(self) -> float:
        """Return the elapsed seconds."""
        return self.clock() - self.began

    def is_half_over(self) -> bool:
        """Return whether half of the time has passed; the rest is for training."""
        return self.spent() > 30 * self.minutes

    def check(self) -> None:
        """Check that there is time left for training.

        Raises:
            TrainingError: There is none.
        """
        if self.left() <= 0:
            raise TrainingError(
                f"--minutes {self.minutes:g} ran out before the first step: setup took {self.spent():.0f} s and saving "
                f"needs {self.reserve:.0f} s; pass a larger --minutes, or --steps instead"
            )


class Pace(TrainerCallback):
    """Evaluate and save a training ten times along the way, and end it in time.

    With a time limit there are fewer evaluations where they take long, lest they take the time of the training. The
    time an interrupted training took is in its log, and counts when it is resumed.
    """

    def __init__(self, steps: int, budget: Budget | None, evaluation: Callable[[], float]) -> None:
        """Plan a training.

        Args:
            steps: Number of steps, unless there is a budget.
            budget: Time limit, if any.
            evaluation: Returns the seconds an evaluation takes.
        """
        self._steps, self._budget, self._evaluation = steps, budget, evaluation
        self._before = self._began = self._whole = 0.0
        # End of the last step or pause; end of the last pause; longest step; longest pause for evaluation and saving.
        self._last = self._resumed = self._step = self._stop = 0.0
        self._part, self._ends = 0, False

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Restore the elapsed time of a resumed training."""
        if self._budget is not None:
            self._before = _read_spent(state.log_history)
            self._began = self._last = self._resumed = self._budget.clock()
            self._whole = max(0.0, self._budget.left())
        self._part = int(_PARTS * self.share(state.global_step))

    def share(self, step: int) -> float:
        """Return the completed share of the training after some steps, from 0 to 1."""
        if self._budget is None:
            return min(1.0, step / self._steps)
        return min(1.0, self._spent() / self._whole) if self._whole > 0 else 1.0

    def rate_factor(self, warm_up: float, step: int) -> float:
        """Return the learning-rate factor: linear warm-up over a share of the training, then linear decay to 0."""
        share = self.share(step)
        return share / warm_up if share < warm_up else (1 - share) / (1 - warm_up)

    def expected_steps(self, step: int) -> int:
        """Return the expected number of steps, given the completed ones."""
        return self._steps if self._budget is None else max(step + 1, round(step / max(self.share(step), 1e-9)))

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Evaluate, save and stop when it is time to."""
        self._ends = state.global_step >= state.max_steps
        if self._budget is not None:
            now = self._budget.clock()
            self._step, self._last = max(self._step, now - self._last), now
            # One more step and the final evaluation must fit.
            self._ends |= self._spent() + self._step + self._pause() >= self._whole
        part = int(_PARTS * self.share(state.global_step))
        if self._ends or (part > self._part and self._is_worth_a_pause()):
            self._part = part
            control.should_evaluate = control.should_save = True
        control.should_log |= self._ends
        control.should_training_stop |= self._ends

    def on_evaluate(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Record the elapsed time, which is saved with the checkpoint."""
        if self._budget is not None:
            state.log_history.append({"step": state.global_step, _SPENT: self._spent(), _ENDED: self._ends})
            if not state.global_step:
                self._last = self._resumed = self._budget.clock()

    def on_save(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Record how long evaluation and saving took."""
        if self._budget is not None:
            now = self._budget.clock()
            self._stop, self._last, self._resumed = max(self._stop, now - self._last), now, now

    def _pause(self) -> float:
        """Return the seconds that an evaluation takes, saving included once one was saved."""
        return max(self._stop, self._evaluation())

    def _is_worth_a_pause(self) -> bool:
        """Return whether there is enough training before an evaluation and, until the last one, after it."""
        if self._budget is None:
            return True
        pause = self._pause()
        least = _LEAST_TRAINING * pause
        return self._last - self._resumed >= least and self._spent() + least + 2 * pause <= self._whole

    def _spent(self) -> float:
        return self._before + (self._budget.clock() - self._began if self._budget else 0.0)


def has_run_out(state: Mapping[str, Any]) -> bool:
    """Return whether a training ended by its time limit, given the trainer state in a checkpoint."""
    return any(entry.get(_ENDED) for entry in state["log_history"])


def _read_spent(log: Sequence[Mapping[str, Any]]) -> float:
    """Return the elapsed seconds recorded in a trainer's log."""
    return next((entry[_SPENT] for entry in reversed(log) if _SPENT in entry), 0.0)
