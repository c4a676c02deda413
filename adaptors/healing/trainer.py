"""The training of a cut encoder to reproduce the full model's vectors, on unlabelled text."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.finetuning.parameters import Scope, choose_weights
from adaptors.healing.batches import draw_batches
from adaptors.healing.held_out import Agreement, HeldOutTexts
from adaptors.healing.sample import HealSample
from adaptors.healing.texts import HealTexts, check_width
from adaptors.healing.tokens import TokenizedTexts
from adaptors.losses.distillation import HealLoss
from adaptors.training.checkpoints import check_fingerprint, hash_model, hash_texts
from adaptors.training.metrics_log import TrainingLog
from adaptors.training.pace import Budget, Pace, has_run_out
from adaptors.training.trainer import OPTIMIZER, EncoderTrainer, encoder_arguments
from probe.encoding.chunk_states import Progress, silent
from probe.errors import GREATEST_SEED, check_number
from probe.layers.random_states import kept_random_states
from probe.models.hashes import hash_tensors

__all__ = ["HealOptions", "HealedState", "train_student"]

_LOG_STEPS = 50
_WARM_UP = 0.05
_FEW_STEPS = 400
# With a time limit: an unreachable number of steps, over repeated batches.
_ENDLESS, _MOST_BATCHES, _MOST_PASSES = 10**7, 20_000, 20
_STEP, _SAMPLE = "training the cut encoder", 64


@dataclass(frozen=True)
class HealOptions:
    """Options for healing a cut encoder.

    Attributes:
        steps: Training steps, unless there is a budget.
        batch_size: Whole texts of average length per batch; more texts if they are short.
        max_tokens: Maximum input length while training; default: the model's own, as for its teacher.
        lr: Peak learning rate, after a warm-up of 5 % of the steps and followed by a linear decay to 0.
        seed: Random seed.
        bfloat16: Whether matrix products are computed in bfloat16.
        checkpoint_dir: Checkpoint folder; an interrupted training resumes from it.
        progress: Called at every step.
        log: JSONL file for the metrics of every fiftieth step.
        budget: Time limit, instead of a number of steps.
        spans: Whether to train on short spans of the documents, too.
        part: Number of earlier trainings of the same encoder on the same texts, whose batches are not repeated.
        sample: Whether to return a sample's vectors before and after the training, to plot their similarities.
        bias: Whether a lens that is added has a bias. Without one, servers read the folder that have no normalization
            before a linear map.
    """

    steps: int = 2000
    batch_size: int = 8
    max_tokens: int | None = None
    lr: float = 3e-4
    seed: int = 0
    bfloat16: bool = True
    checkpoint_dir: Path | None = None
    progress: Progress = silent
    log: Path | None = None
    budget: Budget | None = None
    spans: bool = True
    part: int = 0
    sample: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        check_number("--steps", self.steps, 1)
        check_number("--batch-size", self.batch_size, 1)
        check_number("--max-tokens", self.max_tokens, 1)
        check_number("--lr", self.lr, above=0)
        check_number("--seed", self.seed, 0, most=GREATEST_SEED)


@dataclass(frozen=True)
class HealedState:
    """The outcome of a healing.

    Attributes:
        steps: Number of training steps.
        kept: Step of the saved state, the closest to the teacher; 0 is the start.
        before: Agreement of the start with the teacher on held-out texts.
        after: Agreement of the saved state.
        last: Agreement after the last step.
        held_out: Number of held-out texts.
        losses: The loss at every fiftieth step, and at the last.
    """

    steps: int
    kept: int
    before: Agreement
    after: Agreement
    last: Agreement
    held_out: int
    losses: tuple[float, ...] = field(repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on too few or too many steps."""
        few = f"{self.steps} steps are few: more steps may improve it" if self.steps < _FEW_STEPS else ""
        kept = ""
        if not self.kept:
            kept = "no step was closer to the teacher than the start, so the start is saved"
        elif self.kept < self.steps:
            kept = f"the state after {self.kept} of {self.steps} steps was the closest to the teacher and is saved"
        return tuple(filter(None, [kept, few]))


def train_student(encoder: TrainableEncoder, texts: HealTexts, options: HealOptions) -> HealedState:
    """Train an encoder in place, to the state closest to its teacher on held-out texts, which may be the start.

    Args:
        encoder: The cut encoder, with the dimension of its teacher.
        texts: Texts with their targets; `texts.hold_out(seed)` chooses the held-out ones.
        options: Options of the training.

    Returns:
        The outcome.

    Raises:
        ModelError: The encoder and its teacher have different dimensions.
        CallError: The checkpoint folder belongs to another training, the log file is not a log, or all texts are equal.
        TrainingError: The loss is not finite, or the time is over before the first step.
    """
    model, budget = encoder.model, options.budget
    check_width(model, texts)
    train, held = texts.hold_out(options.seed)
    judge = HeldOutTexts(held, budget.clock) if budget else HeldOutTexts(held)
    with cut_texts(model, options.max_tokens), tempfile.TemporaryDirectory() as scratch, kept_random_states():
        if budget is not None:
            budget.check()
        folder = options.checkpoint_dir or Path(scratch)
        if options.checkpoint_dir is not None:
            check_fingerprint(folder, _fingerprint(encoder, texts, options))
        choose_weights(encoder, Scope())
        trainer = _make_trainer(encoder, train, judge, folder=folder, options=options)
        start = {name: tensor.clone() for name, tensor in trainer.trained().items()}
        trainer.run()
        result = _read_result(trainer, len(held.texts))
        if not result.kept:
            # The trainer compares only saved states, and does not save before the first step.
            trainer.restore(start)
    model.cpu().eval()
    return result


class _HealTrainer(EncoderTrainer):
    """The trainer; with a time limit, its learning rate depends on the time."""

    pace: Pace
    has_budget = False

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """Return the scheduler of the learning rate."""
        if self.has_budget and self.lr_scheduler is None:
            self.lr_scheduler = LambdaLR(
                optimizer or cast(Optimizer, self.optimizer), partial(self.pace.rate_factor, _WARM_UP)
            )
        return self.lr_scheduler or super().create_scheduler(num_training_steps, optimizer)

    def has_ended(self, state: Mapping[str, Any]) -> bool:
        """Return whether no steps or no time are left."""
        return super().has_ended(state) or has_run_out(state)


def _make_trainer(
    encoder: TrainableEncoder, texts: HealTexts, judge: HeldOutTexts, *, folder: Path, options: HealOptions
) -> _HealTrainer:
    model, budget = encoder.model, options.budget
    every = texts.with_spans()
    collator, spans = _TextCollator(model, every), len(every.texts) - len(texts.texts)
    passes = _MOST_PASSES * math.ceil(len(texts.texts) / options.batch_size)
    steps = options.steps if budget is None else min(_MOST_BATCHES, passes)
    pace = Pace(options.steps, budget, lambda: judge.seconds)
    trainer = _HealTrainer(
        model=model,
        args=_arguments(folder, options),
        train_dataset=Dataset.from_dict(
            {
                "rows": draw_batches(
                    collator.tokens.lengths, options.batch_size, steps, seed=options.seed + options.part, spans=spans
                )
            }
        ),
        loss=HealLoss(model),
        evaluator=judge,
        data_collator=collator,  # type: ignore[arg-type]
        # The time of telling a step is the step's, not that of an evaluation after it.
        callbacks=[TrainingLog(_STEP, options.progress, options.log, total=pace.expected_steps), pace],
    )
    trainer.pace, trainer.has_budget = pace, budget is not None
    trainer.sample = HealSample(model, texts, options.seed)
    return trainer


def _read_result(trainer: _HealTrainer, held_out: int) -> HealedState:
    """Return the outcome of a training from its log."""
    log = trainer.state.log_history
    measured = {int(entry["step"]): entry for entry in log if "eval_cosine" in entry}
    # The first of equal ones.
    kept = max(measured, key=lambda step: measured[step]["eval_cosine"])
    before, after, last = (
        Agreement(measured[step]["eval_cosine"], measured[step]["eval_neighbours"]) for step in (0, kept, max(measured))
    )
    losses = tuple(entry["loss"] for entry in log if "loss" in entry)
    return HealedState(trainer.state.global_step, kept, before, after, last, held_out, losses)


class _TextCollator:
    """Turns drawn rows into features and their teacher's vectors."""

    def __init__(self, model: SentenceTransformer, texts: HealTexts) -> None:
        self.valid_label_columns: list[str] = []
        self.tokens = TokenizedTexts(model, texts.texts)
        self._targets = texts.targets

    def __call__(self, rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Tensor]:
        """Return a drawn batch."""
        (drawn,) = rows
        numbers = drawn["rows"]
        tensors = {f"text_{name}": value for name, value in self.tokens.batch(numbers).items()}
        return {**tensors, "label": self._targets[numbers]}


def _fingerprint(encoder: TrainableEncoder, texts: HealTexts, options: HealOptions) -> dict[str, Any]:
    """Return the values that must be equal for a training to resume from an interrupted one."""
    budget, every = options.budget, texts.with_spans()
    return {
        "optimizer": f"{OPTIMIZER}, fused",
        "batches": "by tokens",
        "student": hash_model(encoder.model),
        "prompts": dict(encoder.prompts),
        "texts": hash_texts(every.texts),
        "teacher": hash_tensors({"targets": every.targets}),
        "length": {"steps": options.steps} if budget is None else {"minutes": budget.minutes},
        **{name: getattr(options, name) for name in ("batch_size", "max_tokens", "lr", "seed", "bfloat16", "part")},
    }


def _arguments(folder: Path, options: HealOptions) -> SentenceTransformerTrainingArguments:
    return encoder_arguments(
        folder,
        optim="adamw_torch_fused",
        per_device_train_batch_size=1,
        max_steps=options.steps if options.budget is None else _ENDLESS,
        learning_rate=options.lr,
        warmup_steps=round(_WARM_UP * options.steps),
        seed=options.seed,
        bf16=options.bfloat16,
        logging_steps=_LOG_STEPS,
        # `Pace` decides when.
        eval_strategy="steps",
        eval_on_start=True,
        eval_steps=_ENDLESS,
        save_strategy="steps",
        save_steps=_ENDLESS,
        save_only_model=options.checkpoint_dir is None,
        load_best_model_at_end=True,
        metric_for_best_model="eval_cosine",
        greater_is_better=True,
        report_to="none",
    )
