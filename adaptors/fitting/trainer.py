"""Train a network on stored states, with sentence-transformers' trainer."""

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
from adaptors.fitting.data import FitData
from adaptors.fitting.evaluator import HeldOutQueries
from adaptors.fitting.options import TrainOptions
from adaptors.modules.base import Adaptor
from adaptors.modules.st_module import AdaptorModule, read_weights
from adaptors.training.callbacks import CollapseMonitor, check_tracking
from adaptors.training.checkpoints import check_fingerprint
from adaptors.training.epochs import Epoch, best_epoch, read_epochs
from adaptors.training.trainer import PlainTrainer
from probe.layers.random_states import kept_random_states
from probe.models.hashes import hash_tensors

__all__ = ["EPOCH_STEPS", "TrainingTask", "fingerprint", "train"]

# An epoch is this many batches, whatever the size of the corpus: every data set gets the same schedule.
EPOCH_STEPS = 30
_PATIENCE = 3


@dataclass(frozen=True)
class TrainingTask:
    """A loss, and the batches that it is to be minimised on.

    Attributes:
        loss: Makes the loss, given the model that is trained.
        train: Batches to learn from.
        held_out: Batches whose loss is watched.
        collator: Looks the states up.
        evaluator: Scores held-out queries; where there is none, the loss on held-out texts chooses the epoch.
        fingerprint: Values that a resumed training must have in common with the interrupted one.
    """

    loss: Callable[[nn.Module], nn.Module]
    train: BatchSchedule
    held_out: BatchSchedule
    collator: StateCollator
    evaluator: HeldOutQueries | None
    fingerprint: Mapping[str, Any]


class _Trainer(PlainTrainer):
    """The trainer, whose checkpoints hold the network alone."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        self.model.save_pretrained(str(output_dir or self.args.output_dir), create_model_card=False)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        module: Any = self.model[0]
        read_weights(module.adaptor, Path(resume_from_checkpoint) / "0_AdaptorModule")


def train(network: Adaptor, task: TrainingTask, options: TrainOptions) -> tuple[Epoch, ...]:
    """Train a network in place; it ends as the best epoch left it.

    The best epoch is that of the greatest nDCG@10 on held-out queries where labels are used, else that of the least
    loss on held-out texts; it may be the beginning. Three epochs without a better one end the training.

    Args:
        network: The network.
        task: Loss and batches.
        options: Steps, learning rate, seed, checkpoints.

    Returns:
        Losses and scores of every epoch; the first entry is the network as it began.

    Raises:
        CallError: The folder of checkpoints belongs to another training.
        TrainingError: The vectors collapsed, or the loss is not a number.
    """
    check_tracking(options.report_to)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with tempfile.TemporaryDirectory() as scratch, kept_random_states():
        folder = options.checkpoint_dir or Path(scratch)
        check_fingerprint(folder, task.fingerprint)
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
        epochs = read_epochs(trainer.state.log_history, min(EPOCH_STEPS, options.steps))
    if best_epoch(epochs) == 0:
        # The trainer compares the epochs that it saved, and saves none before the first step.
        network.load_state_dict(start)
    network.cpu().eval()
    return epochs


def fingerprint(network: Adaptor, data: FitData, options: TrainOptions, *, dims: Sequence[int] = ()) -> dict[str, Any]:
    """Return plain values that a resumed training must have in common with the interrupted one.

    Args:
        network: The network before the training.
        data: What it is fitted to.
        options: Of the training.
        dims: Dimensions whose scores choose the epoch.
    """
    return {
        "weights": hash_tensors(network.state_dict()),
        "dims": list(dims),
        "kind": network.kind,
        **network.settings(),
        "labels": data.labels,
        "data": [hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in (data.texts, data.targets, data.pairs)],
        **{name: getattr(options, name) for name in ("loss", "steps", "lr", "seed")},
    }


def _arguments(folder: Path, task: TrainingTask, options: TrainOptions) -> SentenceTransformerTrainingArguments:
    by_score, every = task.evaluator is not None, min(EPOCH_STEPS, options.steps)
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        max_steps=options.steps // every * every,
        learning_rate=options.lr,
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
        # What early stopping has counted so far.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=f"eval_{task.evaluator.primary_metric}" if task.evaluator else "eval_loss",
        greater_is_better=by_score,
        report_to=options.report_to,
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _sample(task: TrainingTask) -> torch.Tensor:
    """Return the states of the first batch that is held out, each row once; of one to train on where that is one row.

    Anchors are drawn with repetition, and one row over and over looks like a network that collapsed.
    """
    held_out, train = (dict.fromkeys(next(iter(batches.values()))[0]) for batches in (task.held_out, task.train))
    rows = held_out if len(held_out) > 1 else held_out | train
    return task.collator([{"text": list(rows)}])["text_sentence_embedding"]
