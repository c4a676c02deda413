"""The command `probe plan`."""

from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import check_choice, command_line, emit_json, say

__all__ = ["plan"]

Texts = Annotated[int, typer.Option("--texts", help="How many texts.")]
Tokens = Annotated[int | None, typer.Option(help="Their mean length; the model's longest input when left out.")]
RateOption = Annotated[
    float | None, typer.Option("--rate", help="TFLOP/s that the device reaches; measured here when left out.")
]


@friendly
def plan(
    texts: Texts,
    model: option.Model = "minilm",
    tokens_per_text: Tokens = None,
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    rate: RateOption = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    trust_remote_code: option.Trust = False,
    format: option.TableOrJson = "table",
    debug: option.Debug = False,
) -> None:
    """Say what a sweep over many texts would cost, before it runs: operations, time, bytes; layer by layer.

    No text is read. The rate is measured here in about a second, or given with --rate for another machine.
    """
    check_choice("--format", format, ("table", "json"))
    from probe.encoding.opening import open_reader
    from probe.models.options import LoadOptions
    from probe.planning.plan import PlanRequest
    from probe.planning.planner import plan_sweep
    from probe.planning.table import print_plan

    request = PlanRequest(texts, tokens_per_text, layers, pooling.split(","), rate)
    say(f"loading {model}")
    reader = open_reader(model, LoadOptions(dtype=dtype, device=device, trust_remote_code=trust_remote_code))
    emit_json(plan_sweep(reader, request, command_line()), format, None, draw=print_plan)
