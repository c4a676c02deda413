"""The command `surgery inspect`."""

from dataclasses import asdict

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import FormatFlag, as_json

__all__ = ["inspect"]


@friendly
def inspect(
    model: option.Model = "minilm", device: option.Device = "auto", *, trust: option.TrustFlag, output: FormatFlag
) -> None:
    """Show a model's layers, parameters and time per block, and the savings of each cut."""
    from probe.models.loading import load_model
    from surgery.inspection import inspect_model, inspection_lines, inspection_table

    found = inspect_model(load_model(model, trust.load_options(device=device, dtype="float32")))
    output.show(as_json(asdict(found)), lambda: [inspection_table(found), *inspection_lines(found)])
