"""The command `surgery inspect`."""

from dataclasses import asdict

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import check_choice, console, print_json

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
    from probe.models.loading import load_model
    from probe.models.options import LoadOptions
    from surgery.inspection import inspect_model, inspection_lines, inspection_table

    options = LoadOptions(device=device, dtype="float32", trust_remote_code=trust_remote_code)
    found = inspect_model(load_model(model, options))
    if format == "json":
        print_json(asdict(found))
        return
    from probe.results.console import print_whole

    print_whole(inspection_table(found), console())
    for line in inspection_lines(found):
        console().print(line, markup=False, soft_wrap=True)
