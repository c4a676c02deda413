"""Heal a cut encoder: train what is left of it to give the full model's vectors, on unlabelled text."""

import copy
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from sentence_transformers.util import batch_to_device
from torch import Tensor

from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.finetuning.parameters import Scope, choose_weights
from adaptors.healing.texts import HealTexts, check_width, draw_batches
from adaptors.losses.distillation import HealLoss
from adaptors.training.checkpoints import check_fingerprint
from adaptors.training.evaluation import evaluation_mode
from adaptors.training.metrics_log import TrainingLog
from adaptors.training.random_states import kept_random_states
from adaptors.training.trainer import OPTIMIZER, EncoderTrainer, encoder_arguments
from probe.data.texts import TextHash
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError
from probe.io.files import digest

__all__ = ["HealOptions", "HealSample", "count_steps", "heal"]

_LOG_STEPS = 50
_WARM_UP = 0.05
_TRIAL = 60
_STEP = "training the cut encoder"
_SAMPLE = 64


class HealSample:
    """At most 64 different texts; called, it embeds them."""

    def __init__(self, model: SentenceTransformer, texts: HealTexts, seed: int) -> None:
        """Draw a sample of training texts, cut at the longest input that the encoder has now.

        Raises:
            CallError: There are not two different texts.
        """
        different = texts.distinct_rows()
        if len(different) < 2:
            raise CallError(f"healing needs at least 2 different texts, found {len(different)}")
        rows = np.random.default_rng(seed).choice(different, min(_SAMPLE, len(different)), False).tolist()
        self._model = model
        self._features = model.preprocess([texts.texts[row] for row in rows])
        self._targets = texts.targets[rows]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the encoder's vectors, as it is now, and its teacher's, each `(B, F)`."""
        features = batch_to_device(dict(self._features), self._model.device)
        with evaluation_mode(self._model):
            vectors: Tensor = self._model(features)["sentence_embedding"]
        return vectors.float().cpu(), self._targets


@dataclass(frozen=True)
class HealOptions:
    """How a cut encoder is healed.

    Attributes:
        steps: Batches.
        batch: Texts in a batch.
        tokens: Longest text while it is trained; the model's own when left out, as its teacher reads it.
        rate: Greatest learning rate; it rises in the first twentieth of the steps and falls to 0 in a line.
        seed: Of everything that is random.
        bfloat16: Whether the products are computed in bfloat16.
        checkpoints: Folder of the checkpoints, from which an interrupted training resumes.
        progress: Called at every step.
        log: File for the metrics of every fiftieth step, a line of JSON each.
    """

    steps: int = 1000
    batch: int = 16
    tokens: int | None = None
    rate: float = 3e-4
    seed: int = 0
    bfloat16: bool = True
    checkpoints: Path | None = None
    progress: Progress = silent
    log: Path | None = None


def heal(encoder: TrainableEncoder, texts: HealTexts, options: HealOptions) -> tuple[float, ...]:
    """Train an encoder in place.

    Args:
        encoder: The cut encoder, its vectors of as many dimensions as the teacher's.
        texts: Training texts with their targets.
        options: Of the training.

    Returns:
        The loss at every fiftieth step.

    Raises:
        ModelError: It has another dimension than its teacher.
        CallError: The folder of checkpoints belongs to another training, the log is no log, or all texts are equal.
        TrainingError: The loss is not a number.
    """
    model = encoder.model
    check_width(model, texts)
    with cut_texts(model, options.tokens), tempfile.TemporaryDirectory() as scratch, kept_random_states():
        collator = _TextCollator(model, texts)
        batches = draw_batches(collator.lengths(), options.batch, options.steps, seed=options.seed)
        folder = options.checkpoints or Path(scratch)
        check_fingerprint(folder, _fingerprint(texts, options))
        choose_weights(encoder, Scope())
        trainer = EncoderTrainer(
            model=model,
            args=_arguments(folder, options),
            train_dataset=Dataset.from_dict({"rows": batches}),
            loss=HealLoss(model),
            data_collator=collator,  # type: ignore[arg-type]
            callbacks=[TrainingLog(_STEP, options.progress, options.log)],
        )
        trainer.sample = HealSample(model, texts, options.seed)
        trainer.run()
    model.cpu().eval()
    return tuple(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)


class _TextCollator:
    """Turns drawn rows into features and their teacher's vectors."""

    def __init__(self, model: SentenceTransformer, texts: HealTexts) -> None:
        self.valid_label_columns: list[str] = []
        self._model = model
        self._texts = texts

    def lengths(self) -> list[int]:
        """Return the tokens of every text."""
        tokenizer: Any = self._model.tokenizer
        cut = {"truncation": True, "max_length": self._model.max_seq_length}
        return [len(ids) for ids in tokenizer(list(self._texts.texts), **cut)["input_ids"]]

    def __call__(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
        """Return one drawn batch."""
        (drawn,) = rows
        numbers = drawn["rows"]
        features = self._model.preprocess([self._texts.texts[number] for number in numbers])
        tensors = {f"text_{name}": value for name, value in features.items() if isinstance(value, Tensor)}
        return {**tensors, "label": self._texts.targets[numbers]}


def _fingerprint(texts: HealTexts, options: HealOptions) -> dict[str, Any]:
    """Return the settings that a resumed training must share with the interrupted one."""
    return {
        "optimizer": OPTIMIZER,
        "texts": TextHash.of((text,) for text in texts.texts),
        "targets": digest({"sum": texts.targets.double().sum().item(), "shape": list(texts.targets.shape)}),
        **{name: getattr(options, name) for name in ("steps", "batch", "tokens", "rate", "seed", "bfloat16")},
    }


def _arguments(folder: Path, options: HealOptions) -> SentenceTransformerTrainingArguments:
    return encoder_arguments(
        folder,
        per_device_train_batch_size=1,
        max_steps=options.steps,
        learning_rate=options.rate,
        warmup_steps=round(_WARM_UP * options.steps),
        seed=options.seed,
        bf16=options.bfloat16,
        logging_steps=_LOG_STEPS,
        save_strategy="steps" if options.checkpoints else "no",
        save_steps=max(1, options.steps // 10),
        report_to="none",
    )


def count_steps(encoder: TrainableEncoder, texts: HealTexts, options: HealOptions, *, minutes: float) -> int:
    """Return how many batches, at least 1, fit into this many minutes, by the time of a trial; it changes no weight."""
    before = copy.deepcopy(encoder.model.state_dict())
    began = time.perf_counter()
    heal(encoder, texts, replace(options, steps=_TRIAL, checkpoints=None, progress=silent, log=None))
    seconds = time.perf_counter() - began
    encoder.model.load_state_dict(before)
    return max(1, round(60 * minutes * _TRIAL / seconds))
