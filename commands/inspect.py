"""The command `surgery inspect`."""

from dataclasses import asdict

from commands import options as option
from commands.app import friendly
from commands.output import check_choice, console, print_json

__all__ = ["inspect"]


@friendly
def inspect(
    model: option.Model = "minilm",
    device: option.Device = "auto",
    trust_remote_code: option.Trust = False,
    format: option.TableOrJson = "table",
    debug: option.Debug = False,
) -> None:
    """Show a model's layers, parameters and time per block, and what each cut would save."""
    check_choice("--format", format, ("table", "json"))
    from probe.loading import load_model
    from probe.options import LoadOptions
    from surgery.inspection import inspect_model
    from surgery.inspection_table import inspection_lines, inspection_table

    options = LoadOptions(device=device, dtype="float32", trust_remote_code=trust_remote_code)
    found = inspect_model(load_model(model, options))
    if format == "json":
        print_json(asdict(found))
        return
    from probe.console import print_whole

    print_whole(inspection_table(found), console())
    for line in inspection_lines(found):
        console().print(line, markup=False, soft_wrap=True)
