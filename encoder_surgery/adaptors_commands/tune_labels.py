"""`adaptors tune` on labelled rows."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from encoder_surgery.adaptors_commands.tune_options import LabelFlags, TrainFlags
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.training_output import is_fast, show_epochs, training_section
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.finetuning.encoder import TrainableEncoder
    from adaptors.finetuning.options import Goal, TuneOptions
    from adaptors.finetuning.saved import Tuned
    from adaptors.finetuning.tune import Round
    from adaptors.rows.load import TuningData

__all__ = ["read_options", "tune_and_save"]

_KINDS = {"margin": float, "dims": None, "guide": str, "mini_batch": int, "weight": float}


def read_options(training: TrainFlags, labels: LabelFlags) -> "TuneOptions":
    """Return how to tune.

    Raises:
        CallError: A value is malformed.
    """
    from adaptors.finetuning.options import Schedule, TuneOptions
    from adaptors.finetuning.parameters import Scope
    from adaptors.rows.hard_negatives import MineOptions

    batch, rate, tokens, seed = training.batch or 32, training.rate, training.tokens, training.seed
    return TuneOptions(
        _read_goal(labels),
        Scope(labels.lora, labels.top, labels.decay, labels.tower),
        Schedule(labels.epochs, batch, rate, labels.warm_up, tokens, seed, is_fast()),
        labels.rounds,
        MineOptions(labels.negatives, *_read_ranks(labels.ranks), labels.negatives_margin, seed),
        cross_encoder=labels.cross_encoder,
        hold_out=labels.hold_out,
        checkpoints=training.checkpoints,
        log=training.log,
        report_to=labels.report_to,
    )


def _read_goal(labels: LabelFlags) -> "Goal":
    from adaptors.finetuning.loss_spec import LossOptions
    from adaptors.finetuning.options import Goal

    values: dict[str, Any] = {}
    for setting in labels.set or []:
        name, found, text = setting.partition("=")
        if name not in _KINDS or not found or name in values:
            raise CallError(f"--set '{setting}': expected NAME=VALUE, each once, of {', '.join(_KINDS)}")
        values[name] = _read_value(name, text)
    around = tuple(labels.around.split(",")) if labels.around else ()
    return Goal(labels.loss, around, LossOptions(labels.temperature, **values))


def _read_ranks(text: str) -> tuple[int, int]:
    """Return how many ranks to skip, and the last one."""
    first, _, last = text.partition("-")
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise CallError(f"--ranks '{text}': expected the first and the last rank, as 11-50")
    return int(first) - 1, int(last)


def _read_value(name: str, text: str) -> Any:
    kind = _KINDS[name]
    try:
        return kind(text) if kind else tuple(int(part) for part in text.split("/"))
    except ValueError as error:
        expected = "whole numbers as 256/128" if kind is None else f"a value of type {kind.__name__}"
        raise CallError(f"--set {name}={text}: expected {expected}") from error


def tune_and_save(training: TrainFlags, labels: LabelFlags) -> None:
    """Tune a model, save it, check it in a fresh process, and print the folder."""
    from adaptors.finetuning.encoder import open_trainable
    from adaptors.finetuning.evaluator import RowSample
    from adaptors.finetuning.lora import check_peft
    from adaptors.finetuning.saved import trained_files
    from adaptors.finetuning.tune import tune
    from adaptors.rows.hard_negatives import candidate_texts
    from adaptors.rows.load import load_tuning_data
    from adaptors.training.distributed import is_first

    options = read_options(training, labels)
    source = _check_source(training.dataset or [])
    training.check_files()
    if options.scope.lora is not None:
        check_peft()
    with TemporaryDirectory() as scratch:
        with working(training.checkpoints) as report:
            say(f"loading {source} and {training.model}")
            data = load_tuning_data(source)
            for defect in data.defects:
                say(f"{source}: {defect}")
            encoder = open_trainable(training.model, Path(scratch))
            trained_files(encoder, encoder.folder)  # what cannot be saved is not trained
            tuning = replace(_open_guide(options), progress=report)
            look = RowSample(encoder.model, data.rows)
            before = look() if training.similarity_map else None
            rounds = tune(encoder, data, candidate_texts(data), options=tuning)
        if not is_first():
            return
        training.draw(before, look, sides=("queries", "documents"))
        _report(rounds)
        training.save(_describe(encoder, source, data, options=options, rounds=rounds))


def _check_source(sources: Sequence[str]) -> str:
    if len(sources) != 1:
        raise CallError(
            "nothing says what to learn: pass one --dataset, a BEIR data set or images with captions, with split "
            "train,\nor a JSONL or CSV file of rows; or --heal, which teaches a cut encoder the full model's vectors"
        )
    return sources[0]


def _open_guide(options: "TuneOptions") -> "TuneOptions":
    from adaptors.finetuning.encoder import open_trainable

    settings = options.goal.settings
    if settings.guide is None:
        return options
    with TemporaryDirectory() as scratch:
        guide = open_trainable(settings.guide, Path(scratch)).model
    return replace(options, goal=replace(options.goal, settings=replace(settings, guide=guide)))


def _report(rounds: Sequence["Round"]) -> None:
    for number, one in enumerate(rounds, start=1):
        for note in one.notes:
            say(note)
        say(f"round {number}: {one.rows:,} rows" if len(rounds) > 1 else f"{one.rows:,} rows")
        show_epochs(one.epochs)
        if not one.epochs:
            say(
                "nothing was held out: whether the encoder is better than it began is not known; the last epoch is kept"
            )


def _describe(
    encoder: "TrainableEncoder", source: str, data: "TuningData", *, options: "TuneOptions", rounds: Sequence["Round"]
) -> "Tuned":
    from adaptors.finetuning.card import describe_tuning, trained_on
    from adaptors.finetuning.saved import Tuned
    from adaptors.training.epochs import describe_choice

    words = describe_tuning(data, options, rounds)
    sections = "".join(training_section(one.epochs) for one in rounds)
    facts = {"loss": options.goal.loss, "rows": [one.rows for one in rounds]}
    chosen = [describe_choice(one.epochs) for one in rounds if one.epochs]
    return Tuned(
        encoder, trained_on(source, data), Path(encoder.name).name, words + sections, {**facts, "kept": chosen}
    )
