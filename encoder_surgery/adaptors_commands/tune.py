"""The command `adaptors tune`."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from encoder_surgery.adaptors_commands.training_flags import OutFolder
from encoder_surgery.adaptors_commands.tune_flags import (
    LossFlags,
    NegativeFlags,
    RowFlags,
    ScheduleFlags,
    TuneOutput,
    WeightFlags,
    is_unused,
    read_options,
)
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly, shared
from encoder_surgery.shell.engine import ThreadsFlag
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import say, show_epochs
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import name_folder

if TYPE_CHECKING:
    from adaptors.finetuning.tune import TuneResult

__all__ = ["tune"]

Rows = Annotated[
    str, flag("JSONL or CSV file of training rows; or a data set, or a folder of captioned images.", "--dataset", "-d")
]
_SETTINGS = ("margin", "temperature", "symmetric", "mini_batch", "guide")
_MINING = ("num_negatives", "range_min", "range_max", "relative_margin")


@friendly
@shared
@refuses(
    *(Idle((name,), partial(is_unused, name), "with --loss {loss}") for name in _SETTINGS),
    Idle(("dims",), partial(is_unused, "dims"), "without --wrap matryoshka"),
    Idle(("weight",), partial(is_unused, "weight"), "without a regularizer such as --wrap collapse-guard"),
    Idle(_MINING, lambda values: not values["rounds"], "without --rounds"),
)
def tune(
    dataset: Rows,
    model: option.Model = "minilm",
    out: OutFolder = None,
    loss: Annotated[str, flag("Loss by name or class, see `adaptors losses`.")] = "infonce",
    epochs: Annotated[int, flag("Maximum epochs.", min=1)] = 3,
    *,
    rows: RowFlags,
    settings: LossFlags,
    schedule: ScheduleFlags,
    weights: WeightFlags,
    negatives: NegativeFlags,
    output: TuneOutput,
    threads: ThreadsFlag,
) -> None:
    """Fine-tune an encoder on labelled rows and save it; prints the folder.

    Held-out queries choose the epoch; no relevance label of a test split is read. The folder is a standard model.
    """
    from adaptors.finetuning.tune import tune as tune_model
    from adaptors.training.distributed import is_first

    options = read_options(
        loss=loss,
        epochs=epochs,
        **rows.values(),
        **settings.values(),
        **asdict(schedule),
        **asdict(weights),
        **asdict(negatives),
        checkpoint_dir=output.checkpoint_dir,
        log=output.log,
        report_to=output.report_to,
        sample=output.plot is not None,
    )
    folder = out or Path(f"{name_folder(model)}-tuned")
    output.check(folder, model)
    with working(output.checkpoint_dir) as report:
        result = tune_model(model, dataset, options=replace(options, progress=report))
    if not is_first():
        return
    _report(result)
    output.write(result, folder, model)


def _report(result: "TuneResult") -> None:
    rounds = result.rounds
    for number, one in enumerate(rounds, start=1):
        for note in one.notes:
            say(note)
        say(f"round {number}: {one.rows:,} rows" if len(rounds) > 1 else f"{one.rows:,} rows")
        show_epochs(one.epochs)
        if not one.epochs:
            say("no rows were held out: the last epoch is saved, without a comparison to the start")
