"""`adaptors tune --heal`: teach a cut encoder the vectors of the full model."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from encoder_surgery.adaptors_commands.tune_options import HealFlags, TrainFlags
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.training_output import is_fast

if TYPE_CHECKING:
    from adaptors.finetuning.encoder import TrainableEncoder
    from adaptors.healing.heal import HealOptions
    from adaptors.healing.texts import HealTexts
    from probe.store.store import Store

__all__ = ["heal_and_save"]


def heal_and_save(training: TrainFlags, healing: HealFlags, store: "Store | None") -> None:
    """Heal a cut, save it, check it in a fresh process, and print the folder.

    Args:
        training: The cut, the texts that are read, the folder to make.
        healing: The full model, and for how long.
        store: Store of the full model's vectors, if any.
    """
    from adaptors.encoders.description import TrainedOn
    from adaptors.finetuning.encoder import open_trainable
    from adaptors.finetuning.saved import Tuned, check_cut, trained_files
    from adaptors.healing.heal import HealSample, heal
    from adaptors.healing.texts import gather_heal_texts, load_heal_texts
    from probe.encoding.opening import open_reader

    cut, teacher, sources = training.model, healing.teacher, training.dataset or ["docstrings"]
    training.check_files()
    check_cut(Path(cut))
    with TemporaryDirectory() as scratch, working() as report:
        say(f"loading {', '.join(sources)}, {teacher} and {cut}")
        data = load_heal_texts(sources)
        texts = gather_heal_texts(open_reader(teacher, None, store), data, store, progress=report)
        student = open_trainable(cut, Path(scratch))
        trained_files(student, student.folder)  # what cannot be saved is not trained
        options = replace(_read_options(training, healing), progress=report)
        start = _choose_start(teacher, student, texts, options=options)
        options = _count_steps(student, texts, options, minutes=healing.minutes)
        look = HealSample(student.model, texts, options.seed)
        before = look() if training.similarity_map else None
        losses = heal(student, texts, options)
    training.draw(before, look, sides=("student", "teacher"))
    words = f"## Healed\n\n{start} {_words(teacher, texts, options)} {_describe_losses(losses)}"
    training.save(Tuned(student, TrainedOn("healed", texts.seen), training.out.name, words))


def _read_options(training: TrainFlags, healing: HealFlags) -> "HealOptions":
    from adaptors.healing.heal import HealOptions

    batch, rate, seed = training.batch or 16, training.rate or 3e-4, training.seed
    options = HealOptions(healing.steps, batch, training.tokens, rate, seed, is_fast())
    return replace(options, checkpoints=training.checkpoints, log=training.log)


def _choose_start(teacher: str, student: "TrainableEncoder", texts: "HealTexts", *, options: "HealOptions") -> str:
    """Put the student where it is to begin, and return a sentence on where that is."""
    from adaptors.healing.start import choose_start
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions

    stack = load_model(teacher, LoadOptions(dtype="float32", device="cpu")).stack
    tried = choose_start(student, stack, texts, tokens=options.tokens, seed=options.seed)
    start, first = min(tried, key=lambda one: one.distance), tried[0]
    if start is first:
        words = f"It began as the cut with its lens (mean 1 - cos to `{teacher}`: {first.distance:.3f})."
    else:
        blocks = f"{first.own_blocks - start.own_blocks} blocks" if first.own_blocks - start.own_blocks > 1 else "block"
        words = (
            f"Its last {blocks} began as the last of `{teacher}` (mean 1 - cos to its vectors: "
            f"{start.distance:.3f}; the cut with its lens: {first.distance:.3f})."
        )
    say(words.replace("`", "'"))
    return words


def _count_steps(
    student: "TrainableEncoder", texts: "HealTexts", options: "HealOptions", *, minutes: float | None
) -> "HealOptions":
    from adaptors.healing.heal import count_steps

    if minutes is None:
        return options
    steps = count_steps(student, texts, options, minutes=minutes)
    say(f"{minutes:g} minutes are about {steps} steps here: --steps {steps} repeats this training")
    return replace(options, steps=steps)


def _words(teacher: str, texts: "HealTexts", options: "HealOptions") -> str:
    names = ", ".join(name for name, _ in texts.seen)
    cut = f" of at most {options.tokens} tokens" if options.tokens else ""
    return (
        f"Every weight was then taught the vectors of `{teacher}` on {len(texts.texts):,} texts of {names}, without "
        f"labels: {options.steps:,} batches of {options.batch} texts{cut}, learning rate "
        f"{options.rate:g}, seed {options.seed}."
    )


def _describe_losses(losses: tuple[float, ...]) -> str:
    return f"The loss went from {losses[0]:.4f} to {losses[-1]:.4f}." if losses else ""
