"""The command `probe models`."""

from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import Debug, TableOrJson
from encoder_surgery.shell.output import check_choice, console, print_json

__all__ = ["models"]


@friendly
def models(format: TableOrJson = "table", debug: Debug = False) -> None:
    """List the aliases: hub id, pooling, prompts, longest input, and which are on this machine now."""
    check_choice("--format", format, ("table", "json"))
    from probe.models.listing import list_models, model_notes, models_table
    from probe.results.console import print_whole

    found = list_models()
    if format == "json":
        print_json([vars(model) for model in found])
        return
    print_whole(models_table(found), console())
    for line in model_notes(found):
        console().print(line, markup=False)
