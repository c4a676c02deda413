"""The command `adaptors tune`."""

from collections.abc import Iterable
from dataclasses import fields

import typer

from encoder_surgery.adaptors_commands.tune_options import HealFlags, LabelFlags, TrainFlags
from encoder_surgery.shell.app import friendly, leave_to_first, shared
from encoder_surgery.shell.options import StoreFlags
from probe.errors import CallError

__all__ = ["tune"]


@friendly
@shared
def tune(
    context: typer.Context, training: TrainFlags, healing: HealFlags, labels: LabelFlags, store: StoreFlags
) -> None:
    """Train an encoder itself, on labelled rows, or with --heal on the full model's vectors of unlabelled text.

    Prints the new folder, which loads like any other. Held-out queries choose the epoch; no test judgement is looked
    at. With --heal the full model's vectors are read from the store and never computed twice.
    """
    if healing.heal:
        _refuse(context, [LabelFlags], "with")
        leave_to_first()
        from encoder_surgery.adaptors_commands.tune_heal import heal_and_save

        heal_and_save(training, healing, store.open())
        return
    _refuse(context, [HealFlags, StoreFlags], "without")
    from encoder_surgery.adaptors_commands.tune_labels import tune_and_save

    tune_and_save(training, labels)


def _refuse(context: typer.Context, groups: Iterable[type], how: str) -> None:
    """Refuse options that were given and would do nothing."""
    for name in (option.name for group in groups for option in fields(group)):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise CallError(f"--{name.replace('_', '-')} does nothing {how} --heal: leave it out")
