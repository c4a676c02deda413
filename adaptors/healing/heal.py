"""Heal a cut encoder, from names of encoder and texts to a result that can be saved."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from adaptors.encoders.description import TrainedOn
from adaptors.finetuning.encoder import Trainable, TrainableEncoder, open_trainable
from adaptors.finetuning.saved import TrainingResult, Tuned, trained_files
from adaptors.healing.held_out import Agreement
from adaptors.healing.lens import add_lens, has_biased_lens, has_lens, has_seen, refit_lens
from adaptors.healing.sample import HealSample
from adaptors.healing.start import HealStart, choose_start, scored_rows
from adaptors.healing.teacher import find_teacher
from adaptors.healing.texts import HealData, HealTexts, gather_heal_texts, load_heal_texts
from adaptors.healing.trainer import HealedState, HealOptions, train_student
from adaptors.training.pace import Budget
from adaptors.training.trainer import is_fast
from probe.encoding.chunk_states import Progress
from probe.encoding.opening import open_reader
from probe.errors import CallError, did_you_mean
from probe.models.info import ModelProfile
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.store.store import Store
from surgery.saving.save import check_out

__all__ = ["HealResult", "count_span_characters", "heal"]

_log = logging.getLogger(__name__)

# Loading the saved folder in a fresh process takes about as long as loading the student here; writing comes before.
_SAVING, _WRITING = 1.5, 2.0
# Characters of spans: per whole text of a batch; per minute, times parameters of the teacher's blocks (MiniLM encodes
# them in about a twelfth of the time on two cores); the most.
_CHARACTERS_PER_TEXT, _CHARACTERS_PER_MINUTE, _MOST_CHARACTERS = 400, 200_000 * 10_600_000, 3_000_000
# Fewer texts than this do not determine a lens at all, so all of them are used.
_FEWEST = 8


@dataclass(frozen=True, kw_only=True)
class HealResult(TrainingResult):
    """A healed encoder.

    Attributes:
        teacher: The full model.
        state: The saved state, and its agreement with the teacher.
    """

    sides: ClassVar[tuple[str, str]] = ("student", "teacher")

    teacher: str
    state: HealedState

    @property
    def before(self) -> Agreement:
        """Agreement with the teacher on held-out texts, before the training."""
        return self.state.before

    @property
    def after(self) -> Agreement:
        """Agreement of the saved state."""
        return self.state.after

    def describe(self) -> list[str]:
        """Return sentences on the agreement with the teacher before and after."""
        state = self.state
        lines = [
            f"On {state.held_out} held-out texts, against the teacher's vectors: {state.before} before, {state.after} "
            f"after {state.kept} of {state.steps} steps."
        ]
        if state.kept != state.steps:
            lines.append(f"After the last step: {state.last}.")
        return [*lines, *(f"{note[0].upper()}{note[1:]}." for note in state.notes)]


def heal(
    cut: Trainable,
    data: HealData = "docstrings",
    *,
    teacher: str | Path | None = None,
    out: str | Path | None = None,
    force: bool = False,
    store: Store | None = None,
    options: HealOptions | None = None,
    **settings: Any,
) -> HealResult:
    """Train a cut encoder to reproduce the full model's vectors, without labels.

    The result is the state closest to the teacher on held-out texts, which may be the start.

    Args:
        cut: A cut encoder, with or without a lens: its folder, or the result of `cut` or `keep`, which is not changed.
        data: One or several files or data sets with the texts; or texts as `{"mine": texts}`.
        teacher: The full model; default: the original of the cut, as recorded in its folder.
        out: Output folder; None to save nothing.
        force: Overwrite the folder of an earlier save.
        store: Store of the full model's vectors, if any.
        options: Options of the training.
        settings: Single options instead of `options`: `steps=200`, `lr=1e-4`; `minutes` instead of `steps`.

    Returns:
        The encoder, and its agreement with the teacher before and after.

    Raises:
        CallError: The cut, the texts or an option is invalid, or the folder exists.
        ModelError: The cut and its teacher have different dimensions.
        TrainingError: The loss is not finite, or the time is over before the first step.
    """
    chosen = _choose_options(options, settings)
    if out is not None:
        check_out(Path(out), force)
    student = _open_student(cut, bias=chosen.bias)
    source = find_teacher(student, None if teacher is None else str(teacher))
    if chosen.budget is not None:
        chosen.budget.reserve = _SAVING * chosen.budget.spent() + _WRITING
        chosen = replace(chosen, progress=_checking(chosen.progress, chosen.budget))
    given = load_heal_texts(data)
    _log.info("healing %s with teacher %s on %s", student.name, source, ", ".join(one.corpus.name for one in given))
    reader = open_reader(source, None, store)
    characters = count_span_characters(chosen, reader.model) if chosen.spans else 0
    texts = gather_heal_texts(
        reader, given, store, progress=chosen.progress, span_characters=characters, seed=chosen.seed
    )
    result = _train(source, student, texts, options=chosen)
    if out is not None:
        result.save(out, force=force)
    return result


def _choose_options(options: HealOptions | None, settings: dict[str, Any]) -> HealOptions:
    if options is not None and settings:
        raise CallError(f"options and {next(iter(settings))} exclude each other: give only one of them")
    if options is not None:
        return options
    known = [*(one.name for one in fields(HealOptions) if one.name != "budget"), "minutes"]
    for name in settings:
        if name not in known:
            raise CallError(f"unknown option '{name}': {did_you_mean(name, known)}")
    if {"minutes", "steps"} <= settings.keys():
        raise CallError("steps and minutes exclude each other: give only one of them")
    minutes = settings.pop("minutes", None)
    budget = None if minutes is None else Budget(minutes)
    return HealOptions(**{"bfloat16": is_fast(), **settings}, budget=budget)


def count_span_characters(options: HealOptions, teacher: ModelProfile) -> int:
    """Return how many characters of spans the training will use, and the teacher can encode in time.

    It depends on settings alone and on no stopwatch, so an interrupted training is resumed with the same spans.
    """
    if options.budget is None:
        wanted = float(_CHARACTERS_PER_TEXT * options.batch_size * options.steps)
    else:
        wanted = options.budget.minutes * _CHARACTERS_PER_MINUTE / (12 * teacher.depth * teacher.width**2)
    return int(min(wanted, _MOST_CHARACTERS))


def _open_student(cut: Trainable, *, bias: bool) -> TrainableEncoder:
    student = open_trainable(cut)
    if student.is_paired:
        raise CallError(
            f"'{student.name}' is a two-tower model, and healing is for text encoders: choose a cut of a text encoder"
        )
    trained_files(student, student.folder)  # fails before the training if the result could not be saved
    if not bias and has_lens(student.folder) and has_biased_lens(student):
        raise CallError(
            f"'{student.name}' has an adaptor with a bias: leave out --no-bias, or heal the cut without an adaptor"
        )
    return student


def _train(teacher: str, cut: TrainableEncoder, texts: HealTexts, *, options: HealOptions) -> HealResult:
    student, start = _begin(teacher, cut, texts, options=options)
    look = HealSample(student.model, texts, options.seed) if options.sample else None
    before = [look()] if look else []
    state = train_student(student, texts, options)
    samples = (*before, look()) if look else ()
    described = Tuned(student, TrainedOn("healed", texts.seen), Path(cut.name).name, "")
    result = HealResult(tuned=described, samples=samples, teacher=teacher, state=state)
    return _with_words(result, f"{start} {_describe(result, texts, options)}")


def _checking(report: Progress, budget: Budget) -> Callable[[str, int, int], None]:
    """Return a progress that stops the preparation if the time is over."""

    def check_and_report(step: str, done: int, total: int) -> None:
        """Check the time, except during the training, which stops by itself."""
        if not step.startswith("training"):
            budget.check()
        report(step, done, total)

    return check_and_report


def _begin(
    teacher: str, cut: TrainableEncoder, texts: HealTexts, *, options: HealOptions
) -> tuple[TrainableEncoder, str]:
    """Add a lens to a cut without one, and initialize the student; return it, and a sentence on the start."""
    train, _ = texts.hold_out(options.seed)
    student, found = _put_lens(cut, train, options)
    stack = load_model(teacher, LoadOptions(dtype="float32", device="cpu")).stack
    budget = options.budget
    if budget is not None:
        budget.check()
    has_time = (lambda: True) if budget is None else (lambda: not budget.is_half_over())
    tried = choose_start(
        student,
        stack,
        train,
        tokens=options.max_tokens,
        seed=options.seed,
        has_time=has_time,
        progress=options.progress,
    )
    words = _describe_start(teacher, tried, found)
    _log.info(words.replace("`", "'"))
    return student, words


def _put_lens(cut: TrainableEncoder, texts: HealTexts, options: HealOptions) -> tuple[TrainableEncoder, str]:
    """Return a cut with a lens that has not seen the texts on which the starts are compared, and a name for it."""
    found, scored = "the cut with its lens", {texts.texts[row] for row in scored_rows(texts, options.seed)}
    unseen = texts.pick([row for row, text in enumerate(texts.texts) if text not in scored])
    fit_texts = unseen if len(unseen.distinct_rows()) >= _FEWEST else texts
    settings: dict[str, Any] = {"tokens": options.max_tokens, "seed": options.seed, "progress": options.progress}
    if not has_lens(cut.folder):
        form = found if options.bias else f"{found} without a bias"
        return add_lens(cut, fit_texts, bias=options.bias, **settings), f"{form}, fitted here,"
    if has_seen(cut.folder, texts):
        refit_lens(cut, fit_texts, **settings)
        return cut, f"{found}, fitted here again,"
    return cut, found


def _with_words(result: HealResult, words: str) -> HealResult:
    """Return a result with the model card section and the saved facts."""
    return replace(result, tuned=replace(result.tuned, words=f"## Healed\n\n{words}", facts=_facts(result)))


def _describe_start(teacher: str, tried: Sequence[HealStart], found: str) -> str:
    start, first = min(tried, key=lambda one: one.distance), tried[0]
    if start is first:
        return f"It was initialized as {found.rstrip(',')} (mean 1 - cos to `{teacher}`: {first.distance:.3f})."
    count = first.own_blocks - start.own_blocks
    blocks = f"{count} blocks" if count > 1 else "block"
    return (
        f"Its last {blocks} {'were' if count > 1 else 'was'} initialized from the last {blocks} of `{teacher}` (mean "
        f"1 - cos to its vectors: {start.distance:.3f}; "
        f"{found.rstrip(',')}: {first.distance:.3f})."
    )


def _describe(result: HealResult, texts: HealTexts, options: HealOptions) -> str:
    names = ", ".join(name for name, _ in texts.seen)
    longest = f" of at most {options.max_tokens} tokens" if options.max_tokens else ""
    count = len(texts.texts) - result.state.held_out
    spans = texts.hold_out(options.seed)[0].spans
    also = f" and {len(spans.texts):,} short spans of them" if spans else ""
    return (
        f"All weights were then trained to reproduce the vectors of `{result.teacher}` on {count:,} texts of {names}"
        f"{also}, without labels: {result.state.steps:,} batches of the tokens of {options.batch_size} "
        f"whole texts{longest}, peak learning rate {options.lr:g}, seed {options.seed}. {' '.join(result.describe())}"
    )


def _facts(result: HealResult) -> dict[str, Any]:
    state = result.state
    facts = {"teacher": result.teacher, "steps": state.steps, "kept": state.kept, "held_out_texts": state.held_out}
    return {**facts, "before": asdict(state.before), "after": asdict(state.after)}
