"""The command `surgery slim`."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_datasets
from encoder_surgery.shell.datasets import DATASET, SampleFlags, say_sample
from encoder_surgery.shell.engine import ThreadsFlag
from encoder_surgery.shell.output import ResultFlags, check_file, command_line, say, write_text
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.save_model import name_folder, refuse_for_tower
from probe.errors import ProbeError

if TYPE_CHECKING:
    from adaptors.fitting.data import FitTexts
    from adaptors.slimming.goal import SlimGoal
    from probe.experiments.options import RunOptions

__all__ = ["slim"]

_KEEP = "Share of the full model's score to keep, shown by a test. Default without any goal: 0.9."
_LABELS = "Split on whose relevance labels a linear map on top may be trained; half of its queries judge."
_OUT = "Output folder; default: named after the model."


@dataclass(frozen=True)
class GoalFlags:
    """The goal of the search."""

    panel: ClassVar[str] = "Goal"

    keep: Annotated[float | None, flag(_KEEP)] = None
    max_ms: Annotated[float | None, flag("Milliseconds per query at batch size 1, at most.")] = None
    max_mb: Annotated[float | None, flag("Megabytes of weights, at most; may drop tokens.")] = None
    dims: Annotated[int | None, flag("Dimension of the vectors; default: the full model's.", min=1)] = None
    weights_dtype: option.WeightsDtype = None
    no_bias: option.NoBias = False
    minutes: Annotated[float, flag("Time of the search; the final test and saving come after it.")] = 4.0

    def goal(self) -> "SlimGoal":
        """Return the goal."""
        from adaptors.slimming.goal import SlimGoal

        return SlimGoal(self.keep, self.max_ms, self.max_mb).resolve()


@dataclass(frozen=True)
class SlimDataFlags(SampleFlags):
    """The texts to train on and the queries to test with."""

    panel: ClassVar[str] = "Data"

    dataset: Annotated[str, flag(DATASET, "--dataset", "-d", panel=MAIN_PANEL, autocompletion=complete_datasets)] = (
        "docstrings"
    )
    split: option.Split = None
    labels: Annotated[Literal["none", "train", "dev"], flag(_LABELS)] = "none"
    metric: option.MetricName = "ndcg@10"
    seed: option.Seed = 0

    def load(self) -> "FitTexts":
        """Return the data set, and its training or development split if it has one."""
        from adaptors.fitting.data import select_fit_data
        from probe.sources.loading import load_dataset

        corpus = load_dataset(self.dataset, self.split, self.size)
        say_sample(corpus)
        return select_fit_data(self.dataset, corpus, self.labels, limit=self.size)


@friendly
def slim(
    model: option.Model = "minilm",
    *,
    goal: GoalFlags,
    data: SlimDataFlags,
    out: Annotated[Path | None, flag(_OUT, "--out", "-o", panel=MAIN_PANEL)] = None,
    report: Annotated[Path | None, flag("Page with the search as a table and a picture (.html).")] = None,
    store: option.StoreFlags,
    threads: ThreadsFlag,
    output: ResultFlags,
) -> None:
    """Find, train and test a smaller model that meets a goal, and save it; the exit code is 1 if none is shown to.

    With --force, the best model is saved in any case. An interrupted search continues when the command is run again.
    """
    from adaptors.slimming.options import SlimOptions
    from adaptors.slimming.slim import slim as slim_model
    from adaptors.slimming.slim import work_folder
    from surgery.saving.save import check_out

    refuse_for_tower(model, {"slim": True})
    output.check("slim")
    check_file("--report", report, (".html", ".htm"), force=output.force)
    folder = out or Path(f"{name_folder(model)}-slim")
    check_out(folder, output.force)
    wanted = goal.goal()
    options = SlimOptions(
        minutes=goal.minutes,
        dims=goal.dims,
        weights_dtype=goal.weights_dtype,
        force=output.force,
        bias=not goal.no_bias,
    )
    say(f"searching for a smaller {model}: {wanted}; {goal.minutes:g} minutes")
    run = _read_options(data, store)
    with working(steps=work_folder(folder)) as progress:
        texts = data.load()
        result = slim_model(model, texts, wanted, out=folder, options=options, run=replace(run, progress=progress))
    output.emit(result)
    if report is not None:
        from probe.report.page import render_report

        write_text(render_report([(Path(result.kind), result)]), report)
    if result.folder:
        beside = shlex.join(["probe", "rank", model, result.folder])
        say(f"saved {result.folder}; compare it on other data: {beside} -d D")
    if texts.train is not None and not texts.labels:
        split = texts.train.split
        say(f"the relevance labels of {split} were not trained on: --labels {split} does, and may give a better model")
    if not result.is_met:
        hint = "" if result.folder else "; it is not saved: --force saves it, without a new search"
        raise ProbeError(f"the goal is not shown to be met: {'; '.join(result.settings['unmet'])}{hint}")


def _read_options(data: SlimDataFlags, store: option.StoreFlags) -> "RunOptions":
    from probe.experiments.options import RunOptions

    return RunOptions(metric=data.metric, seed=data.seed, command=command_line(), store=store.open())
