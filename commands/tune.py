"""The command `adaptors tune`."""

from collections.abc import Collection

import typer

from commands import tune_options as options
from commands.app import friendly, leave_to_first, shared
from commands.options import Debug, Force, NoStore, StoreFolder, open_store
from commands.training_output import Target, is_fast
from probe.errors import CallError

__all__ = ["tune"]

_FOR_HEALING: tuple[str, ...] = ("teacher", "steps", "minutes", "store", "no_store")
_FOR_LABELS = (
    *("loss", "around", "temperature", "set", "epochs", "warm_up", "lora", "top", "tower", "decay", "rounds"),
    *("negatives", "ranks", "negatives_margin", "cross_encoder", "hold_out", "report_to"),
)


@friendly
@shared
def tune(
    context: typer.Context,
    out: options.OutFolder,
    model: options.Student = "minilm",
    dataset: options.Data = None,
    batch: options.Batch = None,
    tokens: options.Tokens = None,
    rate: options.Rate = None,
    seed: options.TrainSeed = 0,
    checkpoints: options.Checkpoints = None,
    log: options.Log = None,
    picture: options.Picture = None,
    force: Force = False,
    heal: options.Heal = False,
    teacher: options.Teacher = "minilm",
    steps: options.Steps = 1000,
    minutes: options.Minutes = None,
    loss: options.Loss = "infonce",
    around: options.Around = None,
    temperature: options.Temperature = None,
    set: options.Set = None,
    epochs: options.Epochs = 3,
    warm_up: options.WarmUp = 0.1,
    lora: options.Lora = None,
    top: options.Top = None,
    tower: options.OnlyTower = None,
    decay: options.Decay = 1.0,
    rounds: options.Rounds = 0,
    negatives: options.Negatives = 5,
    ranks: options.Ranks = "11-50",
    negatives_margin: options.Spare = 0.05,
    cross_encoder: options.CrossScores = None,
    hold_out: options.HoldOut = 0.1,
    report_to: options.ReportTo = "none",
    store: StoreFolder = None,
    no_store: NoStore = False,
    debug: Debug = False,
) -> None:
    """Train an encoder itself, on labelled rows, or with --heal on the full model's vectors of unlabelled text.

    Prints the new folder, which loads like any other. Held-out queries choose the epoch; no test judgement is looked
    at. With --heal the full model's vectors are read from the store and never computed twice.
    """
    target = Target(out, force, picture)
    if heal:
        _refuse(context, _FOR_LABELS, "with")
        leave_to_first()
        from adaptors.healing import HealOptions
        from commands.tune_heal import HealRequest, heal_and_save

        healing = HealOptions(steps, batch or 16, tokens, rate or 3e-4, seed, is_fast(), checkpoints, log=log)
        request = HealRequest(model, teacher, tuple(dataset or ["docstrings"]), minutes, open_store(store, no_store))
        heal_and_save(request, healing, target)
        return
    _refuse(context, _FOR_HEALING, "without")
    from commands.tune_labels import read_options, tune_and_save

    tune_and_save(model, dataset or [], read_options(context.params), target)


def _refuse(context: typer.Context, names: Collection[str], how: str) -> None:
    """Refuse options that were given and would do nothing."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        option = given[0].replace("_", "-")
        raise CallError(f"--{option} does nothing {how} --heal: leave it out")
