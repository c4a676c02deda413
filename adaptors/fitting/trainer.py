"""Train a network on cached states with sentence-transformers' trainer."""

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from torch import nn
from transformers.trainer_callback import EarlyStoppingCallback

from adaptors.fitting.batches import BatchSchedule, StateCollator
from adaptors.fitting.evaluator import HeldOutQueries
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.modules.base import Adaptor
from adaptors.modules.st_module import AdaptorModule, read_weights
from adaptors.training.callbacks import CollapseMonitor, check_tracking
from adaptors.training.checkpoints import check_fingerprint
from adaptors.training.epochs import Epoch, best_epoch, read_epochs
from adaptors.training.trainer import PlainTrainer
from probe.layers.random_states import kept_random_states
from probe.models.hashes import hash_tensors

__all__ = ["EPOCH_STEPS", "TrainingTask", "fingerprint", "train"]

# An epoch is this many batches for every corpus size, so every data set has the same schedule.
EPOCH_STEPS = 30
_PATIENCE = 3


@dataclass(frozen=True)
class TrainingTask:
    """A loss and its batches.

    Attributes:
        loss: Creates the loss for a model.
        train: Training batches.
        held_out: Held-out batches, for the evaluation loss.
        collator: Looks up the states.
        evaluator: Scores held-out queries; without it, the loss on held-out texts chooses the best epoch.
        fingerprint: Returns the values that must be equal to resume an interrupted training; called only if there are
            checkpoints to resume from, because it hashes all states.
    """

    loss: Callable[[nn.Module], nn.Module]
    train: BatchSchedule
    held_out: BatchSchedule
    collator: StateCollator
    evaluator: HeldOutQueries | None
    fingerprint: Callable[[], Mapping[str, Any]]


class _Trainer(PlainTrainer):
    """A trainer whose checkpoints contain the network only."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(str(output_dir or self.args.output_dir), create_model_card=False)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        module: Any = self.model[0]
        read_weights(module.adaptor, Path(resume_from_checkpoint) / "0_AdaptorModule")

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        # Nothing is clipped: the norm of every step is for experiment trackers alone.
        return super()._get_grad_norm(model, grad_norm) if self.args.report_to else None  # type: ignore[no-untyped-call]


def train(network: Adaptor, task: TrainingTask, options: TrainOptions) -> tuple[Epoch, ...]:
    """Train a network in place; it ends with the weights of the best epoch.

    With labels, the best epoch has the highest nDCG@10 on held-out queries, otherwise the lowest loss on held-out
    texts; it may be the start. Early stopping ends the training after three epochs without improvement.

    Args:
        network: The network.
        task: Loss and batches.
        options: Steps, learning rate, seed, checkpoints.

    Returns:
        Losses and scores of every epoch; the first entry is before training.

    Raises:
        CallError: The checkpoint folder belongs to another training.
        TrainingError: The vectors collapsed, or the loss is not finite.
    """
    check_tracking(options.report_to)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with tempfile.TemporaryDirectory() as scratch, kept_random_states():
        folder = options.checkpoint_dir or Path(scratch)
        if options.checkpoint_dir is not None:
            check_fingerprint(folder, task.fingerprint())
        model = SentenceTransformer(modules=[AdaptorModule(network)], device=None)
        trainer = _Trainer(
            model=model,
            args=_arguments(folder, task, options),
            train_dataset=Dataset.from_dict(task.train),
            eval_dataset=Dataset.from_dict(task.held_out),
            loss=task.loss(model),
            evaluator=task.evaluator,
            data_collator=task.collator,  # type: ignore[arg-type]
            callbacks=[EarlyStoppingCallback(_PATIENCE), CollapseMonitor(network, _sample(task), options.progress)],
        )
        trainer.run()
        epochs = read_epochs(trainer.state.log_history, min(EPOCH_STEPS, options.most_steps))
    if best_epoch(epochs) == 0:
        # The trainer has no checkpoint of the start.
        network.load_state_dict(start)
    network.cpu().eval()
    return epochs


def fingerprint(network: Adaptor, data: FitData, options: TrainOptions, *, dims: Sequence[int] = ()) -> dict[str, Any]:
    """Return the plain values that must be equal to resume an interrupted training.

    Args:
        network: The network before training.
        data: The data of the fit.
        options: Training options.
        dims: Dimensions whose scores choose the best epoch.
    """
    return {
        "weights": hash_tensors(network.state_dict()),
        "dims": list(dims),
        "kind": network.kind,
        **network.settings(),
        "labels": data.labels,
        "data": [hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in (data.texts, data.targets, data.pairs)],
        "loss": options.loss,
        "steps": options.most_steps,
        "lr": options.rate,
        "seed": options.seed,
    }


def _arguments(folder: Path, task: TrainingTask, options: TrainOptions) -> SentenceTransformerTrainingArguments:
    by_score, every = task.evaluator is not None, min(EPOCH_STEPS, options.most_steps)
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        max_steps=options.most_steps // every * every,
        learning_rate=options.rate,
        weight_decay=0.0,
        max_grad_norm=0.0,
        seed=options.seed,
        eval_strategy="steps",
        eval_on_start=True,
        eval_steps=every,
        logging_steps=every,
        logging_nan_inf_filter=False,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        # Keeps the early-stopping counter.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=f"eval_{task.evaluator.primary_metric}" if task.evaluator else "eval_loss",
        greater_is_better=by_score,
        report_to=options.report_to,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _sample(task: TrainingTask) -> torch.Tensor:
    """Return the states of the first held-out batch without duplicates, plus a training batch if that is one row.

    Anchors are drawn with repetition, and equal rows would look like collapsed vectors.
    """
    held_out, train = (dict.fromkeys(next(iter(batches.values()))[0]) for batches in (task.held_out, task.train))
    rows = held_out if len(held_out) > 1 else held_out | train
    return task.collator([{"text": list(rows)}])["text_sentence_embedding"]
