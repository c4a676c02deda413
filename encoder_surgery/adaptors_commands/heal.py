"""The command `adaptors heal`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from encoder_surgery.adaptors_commands.training_flags import Longest, OutFolder, TrainingOutput
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.engine import ThreadsFlag
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.options import NoBias, Seed, StoreFlags, check_rate
from encoder_surgery.shell.output import say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import name_folder

if TYPE_CHECKING:
    from adaptors.healing.trainer import HealOptions
    from adaptors.training.pace import Budget

__all__ = ["heal"]

_TEXTS = "Texts to train on: a data set, or a text, Markdown, JSONL or CSV file; repeatable. Default: docstrings."


@dataclass(frozen=True)
class HealFlags:
    """How a cut encoder is healed."""

    panel: ClassVar[str] = "Training"

    lr: Annotated[float, flag("Peak learning rate.", callback=check_rate)] = 3e-4
    batch_size: Annotated[int, flag("Whole texts of average length per batch; more if they are short.", min=2)] = 8
    max_tokens: Longest = None
    no_bias: NoBias = False
    seed: Seed = 0


@friendly
@refuses(Idle(("steps",), lambda values: values["minutes"] is not None, "with --minutes"))
def heal(
    cut: Annotated[str, typer.Argument(help="Folder from `surgery cut` or `surgery keep`.", metavar="CUT")],
    dataset: Annotated[list[str] | None, flag(_TEXTS, "--dataset", "-d")] = None,
    teacher: Annotated[str | None, flag("Full model; default: the original of the cut.")] = None,
    steps: Annotated[int, flag("Training steps.", min=1)] = 2000,
    minutes: Annotated[float | None, flag("Time limit instead of --steps, with loading and saving.", min=0)] = None,
    out: OutFolder = None,
    *,
    training: HealFlags,
    output: TrainingOutput,
    store: StoreFlags,
    threads: ThreadsFlag,
) -> None:
    """Train a cut encoder to reproduce the full model's vectors, without labels, and save it; prints the folder.

    The teacher's vectors are cached, so healing again on the same texts does not compute them again.
    """
    from adaptors.training.pace import Budget

    budget = None if minutes is None else Budget(minutes)
    from adaptors.healing.heal import heal as heal_model

    folder = out or Path(f"{name_folder(cut)}-healed")
    output.check(folder, cut)
    options = _read_options(training, output, steps=steps, budget=budget)
    with working(output.checkpoint_dir) as report:
        options = replace(options, progress=report)
        result = heal_model(cut, dataset or ["docstrings"], teacher=teacher, store=store.open(), options=options)
    for line in result.describe():
        say(line)
    output.write(result, folder, f"{result.teacher} {cut}")


def _read_options(training: HealFlags, output: TrainingOutput, *, steps: int, budget: "Budget | None") -> "HealOptions":
    from adaptors.healing.trainer import HealOptions
    from adaptors.training.trainer import is_fast

    return HealOptions(
        steps=steps,
        batch_size=training.batch_size,
        max_tokens=training.max_tokens,
        lr=training.lr,
        seed=training.seed,
        bfloat16=is_fast(),
        checkpoint_dir=output.checkpoint_dir,
        log=output.log,
        budget=budget,
        sample=output.plot is not None,
        bias=not training.no_bias,
    )
