"""Training callbacks and checks: early stopping, collapsed vectors, a loss that is not finite."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor
from transformers.trainer_callback import EarlyStoppingCallback, TrainerCallback

from adaptors.modules.base import Adaptor
from adaptors.training.evaluation import evaluation_mode
from probe.encoding.chunk_states import Progress
from probe.errors import CallError, TrainingError
from probe.metrics.geometry import is_collapsed

__all__ = ["CollapseMonitor", "EarlyStopping", "check_loss", "check_tracking"]


class EarlyStopping(EarlyStoppingCallback):
    """Early stopping after several epochs without improvement; the score before training counts as the first."""

    def on_evaluate(  # type: ignore[override]
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **options: Any
    ) -> None:
        """Count the epochs without improvement."""
        super().on_evaluate(args, state, control, metrics, **options)  # type: ignore[no-untyped-call]
        if state.global_step == 0:
            # The trainer itself only considers the epochs after the start.
            state.best_metric = metrics[args.metric_for_best_model]


class CollapseMonitor(TrainerCallback):
    """Report every step, and check for collapsed vectors after every epoch."""

    def __init__(self, network: Adaptor, states: Tensor, progress: Progress) -> None:
        """Monitor a network by its vectors for a sample of states `(B, D)`."""
        self._network = network
        self._states = states
        self._progress = progress

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Report the step."""
        self._progress(f"training {self._network.kind}", 1, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
        """Stop if the loss is not finite."""
        check_loss(logs, f"{self._network.kind}: ", state.global_step)

    def on_evaluate(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Stop if all vectors are equal.

        Raises:
            TrainingError: They are.
        """
        device = next(self._network.parameters()).device
        with evaluation_mode(self._network):
            vectors = self._network(self._states.to(device)).cpu().numpy()
        if is_collapsed(vectors):
            raise TrainingError(
                f"{self._network.kind} collapsed: all vectors are equal after {state.global_step} steps, so every "
                "ranking is a tie; lower --lr, or choose another loss"
            )


def check_loss(logs: Mapping[str, float] | None, prefix: str, step: int) -> None:
    """Check that the loss in a log entry is finite.

    Raises:
        TrainingError: It is not; the message starts with the prefix.
    """
    loss = (logs or {}).get("loss", 0.0)
    if not math.isfinite(loss):
        raise TrainingError(f"{prefix}the loss is {loss} after {step} steps: lower --lr, or choose another loss")


def check_tracking(name: str) -> None:
    """Check that an experiment tracker, by its name in transformers, is installed.

    Raises:
        CallError: It is unknown or not installed.
    """
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    installed = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    if name not in ("none", "all", *installed):
        found = ", ".join(installed) or "none"
        raise CallError(
            f"--report-to {name} is unknown or not installed: install it, or choose another (installed: {found})"
        )
