"""The command `adaptors tune`."""

from dataclasses import fields

from encoder_surgery.adaptors_commands.tune_options import HealFlags, LabelFlags, TrainFlags
from encoder_surgery.shell.app import friendly, leave_to_first, shared
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.options import StoreFlags

__all__ = ["tune"]


def _names(*groups: type) -> tuple[str, ...]:
    return tuple(option.name for group in groups for option in fields(group))


@friendly
@shared
@refuses(
    Idle(_names(LabelFlags), lambda values: values["heal"], "with --heal"),
    Idle(_names(HealFlags, StoreFlags), lambda values: not values["heal"], "without --heal"),
    Idle(("steps",), lambda values: values["minutes"] is not None, "with --minutes"),
    Idle(("negatives", "ranks", "negatives_margin"), lambda values: not values["rounds"], "without --rounds"),
)
def tune(training: TrainFlags, healing: HealFlags, labels: LabelFlags, store: StoreFlags) -> None:
    """Train an encoder itself, on labelled rows, or with --heal on the full model's vectors of unlabelled text.

    Prints the new folder, which loads like any other. Held-out queries choose the epoch; no test judgement is looked
    at. With --heal the full model's vectors are read from the store and never computed twice.
    """
    if healing.heal:
        leave_to_first()
        from encoder_surgery.adaptors_commands.tune_heal import heal_and_save

        heal_and_save(training, healing, store.open())
        return
    from encoder_surgery.adaptors_commands.tune_labels import tune_and_save

    tune_and_save(training, labels)
