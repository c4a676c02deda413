"""End a training that no longer gets better."""

from typing import Any

from transformers.trainer_callback import EarlyStoppingCallback

__all__ = ["Patience"]


class Patience(EarlyStoppingCallback):
    """Ends a training after some epochs in a row without a better one; the beginning is one to be better than."""

    def on_evaluate(  # type: ignore[override]
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **options: Any
    ) -> None:
        """Count the epochs."""
        super().on_evaluate(args, state, control, metrics, **options)  # type: ignore[no-untyped-call]
        if state.global_step == 0:
            # The trainer itself looks for the best among the epochs after it.
            state.best_metric = metrics[args.metric_for_best_model]
