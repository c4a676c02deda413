"""A candidate as a model: the cut with its nearest start, and its training in parts."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from adaptors.candidates.candidate import Candidate
from adaptors.encoders.description import TrainedOn
from adaptors.finetuning.encoder import TrainableEncoder, open_trainable
from adaptors.finetuning.saved import Tuned, save_tuned
from adaptors.healing.held_out import Agreement
from adaptors.healing.lens import add_lens
from adaptors.healing.start import choose_start
from adaptors.healing.texts import HealTexts
from adaptors.healing.trainer import HealedState, HealOptions, train_student
from adaptors.training.pace import Budget
from adaptors.training.trainer import is_fast
from probe.encoding.chunk_states import Progress
from probe.encoding.reader import LayerReader
from probe.models.loaded import LoadedModel
from surgery.cutting.cut import cut

__all__ = ["Lesson", "Trained", "begin", "save_start", "train"]

# Texts that the lens of a start is fitted to, and whole ones that starts are compared on.
_LENS_TEXTS, _START_TEXTS = 1536, 512


@dataclass(frozen=True)
class Lesson:
    """Everything that the trainings of a search share.

    Attributes:
        full: The full model's reader, in its own compute dtype.
        exact: The full model in float32, of which candidates are cut.
        texts: Texts with the full model's vectors.
        seed: Random seed.
        progress: Called at every step.
        bias: Whether lenses have a bias.
    """

    full: LayerReader
    exact: LoadedModel
    texts: HealTexts
    seed: int
    progress: Progress
    bias: bool = True


@dataclass(frozen=True)
class Trained:
    """The outcome of a part of a candidate's training.

    Attributes:
        steps: Number of training steps.
        seconds: Time it took.
        before: Agreement with the full model on held-out texts, before this part.
        after: Agreement of the saved state.
    """

    steps: int
    seconds: float
    before: Agreement
    after: Agreement

    @classmethod
    def read(cls, values: dict[str, Any]) -> "Trained":
        """Return the outcome from its record."""
        return cls(values["steps"], values["seconds"], Agreement(**values["before"]), Agreement(**values["after"]))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def begin(
    candidate: Candidate, lesson: Lesson, source: Path | None, *, has_time: Callable[[], bool]
) -> TrainableEncoder:
    """Return a candidate before its training: the cut with a lens, or with the full model's last blocks.

    Args:
        candidate: The candidate, with at least one block.
        lesson: What its training shares with others.
        source: Folder of the full model with a smaller vocabulary, if the candidate has one.
        has_time: Returns whether another start may be tried.
    """
    student = open_trainable(cut(lesson.exact if source is None else source, candidate.blocks))
    train, _ = lesson.texts.hold_out(lesson.seed)
    seed, report = lesson.seed, lesson.progress
    scored, fitted = _draw(train, seed)
    # Cached copies of weights would outlive the blocks that are replaced.
    with torch.autocast("cpu", torch.bfloat16, enabled=is_fast(), cache_enabled=False):
        student = add_lens(student, fitted, tokens=None, seed=seed, bias=lesson.bias, progress=report)
        choose_start(student, lesson.exact.stack, scored, tokens=None, seed=seed, has_time=has_time, progress=report)
    return student


def _draw(texts: HealTexts, seed: int) -> tuple[HealTexts, HealTexts]:
    """Return whole texts on which starts are compared, and others that the lens is fitted to.

    The latter are spans where there are some: a short text costs a fraction of a whole one.
    """
    rows = np.random.default_rng(seed).permutation(texts.distinct_rows()).tolist()
    count = min(_START_TEXTS, len(rows) // 3) or len(rows)
    others = texts.pick(rows[count:] or rows).with_spans()
    spans = range(len(others.texts) - 1, -1, -1)
    return texts.pick(rows[:count]), others.pick(spans[:_LENS_TEXTS])


def save_start(student: TrainableEncoder, lesson: Lesson, folder: Path) -> None:
    """Write a candidate before its training."""
    save_tuned(Tuned(student, TrainedOn("healed", lesson.texts.seen), "start", ""), folder, True, check=_unchecked)


def _unchecked(folder: Path) -> None:
    """Accept a folder: the vectors of the final one are checked."""


def train(
    student: TrainableEncoder, lesson: Lesson, *, part: int, minutes: float, checkpoints: Path, out: Path, title: str
) -> Trained:
    """Train a candidate for some minutes and write it as a folder.

    Args:
        student: The candidate, changed in place.
        lesson: What its training shares with others.
        part: Number of its earlier trainings.
        minutes: Time limit.
        checkpoints: Folder of checkpoints, from which an interrupted training continues.
        out: Output folder.
        title: Heading of its model card.
    """
    began = time.monotonic()
    options = HealOptions(
        seed=lesson.seed,
        part=part,
        bfloat16=is_fast(),
        checkpoint_dir=checkpoints,
        progress=lesson.progress,
        budget=Budget(minutes),
    )
    state = train_student(student, lesson.texts, options)
    trained = Trained(state.steps, time.monotonic() - began, state.before, state.after)
    tuned = Tuned(student, TrainedOn("healed", lesson.texts.seen), title, "", _facts(lesson, state))
    save_tuned(tuned, out, True, check=_unchecked)
    return trained


def _facts(lesson: Lesson, state: HealedState) -> dict[str, Any]:
    facts = {"teacher": lesson.full.model.source.name, "steps": state.steps, "kept": state.kept}
    return {**facts, "held_out_texts": state.held_out, "before": asdict(state.before), "after": asdict(state.after)}
