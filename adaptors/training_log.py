"""Tell how a training goes: in its progress line, and in a file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers.trainer_callback import TrainerCallback

from adaptors.log_file import add_facts, check_log, drop_after
from adaptors.training_facts import TrainingFacts, measure
from adaptors.undisturbed import undisturbed
from adaptors.watching import check_loss
from probe.errors import TrainingError
from probe.states import Progress, silent

__all__ = ["Look", "TrainingLog"]

# Gives both sides of a fixed sample, each `(B, D)`, as the model embeds it now.
Look = Callable[[], tuple[Tensor, Tensor]]


class TrainingLog(TrainerCallback):
    """Tells every step, looks at a sample wherever the trainer logs its loss, and stops where that is not a number.

    The training ends with the same weights as without it.
    """

    def __init__(
        self, look: Look, name: str, progress: Progress = silent, file: Path | None = None, done: int = 0
    ) -> None:
        """Prepare a log.

        Args:
            look: Embeds the sample; called in eval mode and without gradients, with dice of its own.
            name: What the progress line calls the training.
            progress: Told about every step.
            file: Where every look is a line of JSON, `TrainingFacts` by name; a training that is taken up again goes
                on with it, and any other begins it anew.
            done: Steps of earlier rounds, whose lines stay.

        Raises:
            CallError: The file holds something else, or there is no folder for it.
        """
        if file is not None:
            check_log(file)
        self._look, self._name, self._progress, self._file = look, name, progress, file
        self._shown, self._done = name, done

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Forget what the file says of steps that are done again."""
        if self._file is not None:
            drop_after(self._file, self._done + state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Tell the step; an epoch's last one is looked at too."""
        self._progress(self._shown, 1, state.max_steps)
        # A training that is taken up again there begins its means anew.
        if args.eval_steps and state.global_step % args.eval_steps == 0:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
        """Tell what the training has come to.

        Raises:
            TrainingError: The loss is not a number, or the vectors are not.
        """
        check_loss(logs, "", state.global_step)
        if logs is None or "loss" not in logs:
            return
        facts = self._collect(options["model"], state, logs)
        if self._file is not None:
            add_facts(self._file, facts)
        self._shown = f"{self._name}: {facts.words()}"
        self._progress(self._shown, 0, state.max_steps)

    def _collect(self, model: nn.Module, state: Any, logs: dict[str, float]) -> TrainingFacts:
        with undisturbed(model):
            left, right = self._look()
        if not (left.isfinite().all() and right.isfinite().all()):
            raise TrainingError(f"the vectors are not numbers after {state.global_step} steps: lower --rate")
        step = self._done + state.global_step
        return TrainingFacts(step, state.epoch, logs["loss"], logs["learning_rate"], *measure(left, right))
