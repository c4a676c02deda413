"""`adaptors tune --heal`: teach a cut encoder the vectors of the full model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from encoder_surgery.adaptors_commands.tune_options import HealFlags, TrainFlags
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.training_output import is_fast
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.finetuning.encoder import TrainableEncoder
    from adaptors.healing.heal import HealOptions, HealResult
    from adaptors.healing.texts import HealTexts
    from adaptors.training.pace import Budget
    from probe.encoding.chunk_states import Progress
    from probe.store.store import Store

__all__ = ["heal_and_save"]

# Opening a saved folder in a fresh process takes about what opening the student took here, and it is written before.
_SAVING, _WRITING = 1.5, 2.0


@dataclass(frozen=True)
class _Beginning:
    """A student where it is to begin, and a sentence on where that is."""

    student: "TrainableEncoder"
    words: str


def heal_and_save(training: TrainFlags, healing: HealFlags, store: "Store | None") -> None:
    """Heal a cut, save it, check it in a fresh process, and print the folder.

    Args:
        training: The cut, the texts that are read, the folder to make.
        healing: The full model, and for how long.
        store: Store of the full model's vectors, if any.
    """
    from adaptors.training.pace import Budget

    budget = None if healing.minutes is None else Budget(healing.minutes)
    from adaptors.encoders.description import TrainedOn
    from adaptors.finetuning.encoder import open_trainable
    from adaptors.finetuning.saved import Tuned, trained_files
    from adaptors.healing.heal import HealSample, heal
    from adaptors.healing.teacher import find_teacher
    from adaptors.healing.texts import gather_heal_texts, load_heal_texts
    from probe.encoding.opening import open_reader

    cut, sources = training.model, training.dataset or ["docstrings"]
    training.check_files()
    with TemporaryDirectory() as scratch, working(training.checkpoints) as bars:
        student = open_trainable(cut, Path(scratch))
        _refuse_towers(student)
        teacher = find_teacher(student, healing.teacher)
        trained_files(student, student.folder)  # what cannot be saved is not trained
        report = bars
        if budget is not None:
            budget.reserve = _SAVING * budget.spent() + _WRITING
            report = _checking(bars, budget)
        say(f"loading {', '.join(sources)} and {teacher}, which {cut} learns from")
        data = load_heal_texts(sources)
        texts = gather_heal_texts(open_reader(teacher, None, store), data, store, progress=report)
        options = replace(_read_options(training, healing), progress=report, budget=budget)
        start = _begin(teacher, student, texts, options=options, scratch=Path(scratch, "lens"))
        student = start.student
        look = HealSample(student.model, texts, options.seed)
        before = look() if training.similarity_map else None
        result = heal(student, texts, options)
        training.draw(before, look, sides=("student", "teacher"))
        told = _describe_result(result)
        for line in told:
            say(line)
        words = f"## Healed\n\n{start.words} {_words(teacher, texts, options, result=result)} {' '.join(told)}"
        facts = {"teacher": teacher, "steps": result.steps, "kept": result.kept, "held_out_texts": result.held_out}
        facts |= {"before": asdict(result.before), "after": asdict(result.after)}
        training.save(Tuned(student, TrainedOn("healed", texts.seen), training.out.name, words, facts))


def _refuse_towers(student: "TrainableEncoder") -> None:
    if student.is_paired:
        raise CallError(
            f"'{student.name}' has two towers, and healing is for encoders of texts: name a cut of a model of one"
        )


def _checking(report: "Progress", budget: "Budget") -> "Callable[[str, int, int], None]":
    """Return a progress that ends the setting up where the time is over."""

    def told(step: str, done: int, total: int) -> None:
        """Check the time, unless it is the training, which ends by itself."""
        if not step.startswith("training"):
            budget.check()
        report(step, done, total)

    return told


def _read_options(training: TrainFlags, healing: HealFlags) -> "HealOptions":
    from adaptors.healing.heal import HealOptions

    batch, rate, seed = training.batch or 16, training.rate or 3e-4, training.seed
    options = HealOptions(healing.steps, batch, training.tokens, rate, seed, is_fast())
    return replace(options, checkpoints=training.checkpoints, log=training.log)


def _begin(
    teacher: str, cut: "TrainableEncoder", texts: "HealTexts", *, options: "HealOptions", scratch: Path
) -> _Beginning:
    """Put a lens on top of a cut that has none, and the student where it is to begin."""
    from adaptors.healing.lens import add_lens, has_lens
    from adaptors.healing.start import choose_start
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions

    train, _ = texts.hold_out(options.seed)
    found = "the cut with its lens"
    student = cut
    if not has_lens(cut.folder):
        scratch.mkdir()
        student, found = (
            add_lens(cut, train, scratch, tokens=options.tokens, seed=options.seed),
            f"{found}, found here,",
        )
    stack = load_model(teacher, LoadOptions(dtype="float32", device="cpu")).stack
    budget = options.budget
    if budget is not None:
        budget.check()
    has_time = (lambda: True) if budget is None else (lambda: not budget.is_half_over())
    tried = choose_start(student, stack, train, tokens=options.tokens, seed=options.seed, has_time=has_time)
    start, first = min(tried, key=lambda one: one.distance), tried[0]
    if start is first:
        words = f"It began as {found.rstrip(',')} (mean 1 - cos to `{teacher}`: {first.distance:.3f})."
    else:
        blocks = f"{first.own_blocks - start.own_blocks} blocks" if first.own_blocks - start.own_blocks > 1 else "block"
        words = (
            f"Its last {blocks} began as the last of `{teacher}` (mean 1 - cos to its vectors: "
            f"{start.distance:.3f}; {found.rstrip(',')}: {first.distance:.3f})."
        )
    say(words.replace("`", "'"))
    return _Beginning(student, words)


def _words(teacher: str, texts: "HealTexts", options: "HealOptions", *, result: "HealResult") -> str:
    names = ", ".join(name for name, _ in texts.seen)
    cut = f" of at most {options.tokens} tokens" if options.tokens else ""
    count = len(texts.texts) - result.held_out
    return (
        f"Every weight was then taught the vectors of `{teacher}` on {count:,} texts of {names}, without "
        f"labels: {result.steps:,} batches of {options.batch} texts{cut}, learning rate "
        f"{options.rate:g}, seed {options.seed}."
    )


def _describe_result(result: "HealResult") -> list[str]:
    """Return sentences on how near to its teacher the encoder was, and is."""
    held = f"On {result.held_out} texts that it did not learn from, against the teacher's vectors:"
    lines = [f"{held} {result.before} before, {result.after} after {result.kept} of {result.steps} steps."]
    if result.kept != result.steps:
        lines.append(f"After the last step it was {result.last}.")
    return [*lines, *(f"{note[0].upper()}{note[1:]}." for note in result.notes)]
