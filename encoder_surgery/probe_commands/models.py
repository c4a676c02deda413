"""The command `probe models`."""

from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import FormatFlag, as_json

__all__ = ["models"]


@friendly
def models(output: FormatFlag) -> None:
    """List the aliases: hub id, pooling, prompts, maximum input length, and whether they are cached."""
    from encoder_surgery.probe_commands.known_models import list_models, model_notes, models_table

    found = list_models()
    output.show(as_json([vars(model) for model in found]), lambda: [models_table(found), *model_notes(found)])
