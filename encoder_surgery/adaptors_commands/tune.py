"""The command `adaptors tune`."""

from collections.abc import Collection

import typer

from encoder_surgery.adaptors_commands import tune_options as tuning
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly, leave_to_first, shared
from encoder_surgery.shell.options import open_store
from encoder_surgery.shell.training_output import Target, is_fast
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
    out: tuning.OutFolder,
    model: tuning.Student = "minilm",
    dataset: tuning.Data = None,
    batch: tuning.Batch = None,
    tokens: tuning.Tokens = None,
    rate: tuning.Rate = None,
    seed: tuning.TrainSeed = 0,
    checkpoints: tuning.Checkpoints = None,
    log: tuning.Log = None,
    picture: tuning.Picture = None,
    force: option.Force = False,
    heal: tuning.Heal = False,
    teacher: tuning.Teacher = "minilm",
    steps: tuning.Steps = 1000,
    minutes: tuning.Minutes = None,
    loss: tuning.Loss = "infonce",
    around: tuning.Around = None,
    temperature: tuning.Temperature = None,
    set: tuning.Set = None,
    epochs: tuning.Epochs = 3,
    warm_up: tuning.WarmUp = 0.1,
    lora: tuning.Lora = None,
    top: tuning.Top = None,
    tower: tuning.OnlyTower = None,
    decay: tuning.Decay = 1.0,
    rounds: tuning.Rounds = 0,
    negatives: tuning.Negatives = 5,
    ranks: tuning.Ranks = "11-50",
    negatives_margin: tuning.Spare = 0.05,
    cross_encoder: tuning.CrossScores = None,
    hold_out: tuning.HoldOut = 0.1,
    report_to: tuning.ReportTo = "none",
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    debug: option.Debug = False,
) -> None:
    """Train an encoder itself, on labelled rows, or with --heal on the full model's vectors of unlabelled text.

    Prints the new folder, which loads like any other. Held-out queries choose the epoch; no test judgement is looked
    at. With --heal the full model's vectors are read from the store and never computed twice.
    """
    target = Target(out, force, picture)
    if heal:
        _refuse(context, _FOR_LABELS, "with")
        leave_to_first()
        from adaptors.healing.heal import HealOptions
        from encoder_surgery.adaptors_commands.tune_heal import HealRequest, heal_and_save

        healing = HealOptions(steps, batch or 16, tokens, rate or 3e-4, seed, is_fast(), checkpoints, log=log)
        request = HealRequest(model, teacher, tuple(dataset or ["docstrings"]), minutes, open_store(store, no_store))
        heal_and_save(request, healing, target)
        return
    _refuse(context, _FOR_HEALING, "without")
    from encoder_surgery.adaptors_commands.tune_labels import read_options, tune_and_save

    tune_and_save(model, dataset or [], read_options(context.params), target=target)


def _refuse(context: typer.Context, names: Collection[str], how: str) -> None:
    """Refuse options that were given and would do nothing."""
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        option = given[0].replace("_", "-")
        raise CallError(f"--{option} does nothing {how} --heal: leave it out")
