"""The command `probe models`."""

from commands.app import friendly
from commands.options import Debug, TableOrJson
from commands.output import check_choice, console, print_json

__all__ = ["models"]


@friendly
def models(format: TableOrJson = "table", debug: Debug = False) -> None:
    """List the aliases: hub id, pooling, prompts, longest input, and which are on this machine now."""
    check_choice("--format", format, ("table", "json"))
    from probe.console import print_whole
    from probe.models_table import list_models, model_notes, models_table

    found = list_models()
    if format == "json":
        print_json([vars(model) for model in found])
        return
    print_whole(models_table(found), console())
    for line in model_notes(found):
        console().print(line, markup=False)
