"""The command `probe plan`."""

from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import FormatFlag, command_line, say

__all__ = ["plan"]


@friendly
@refuses(Idle(("dtype", "device"), lambda values: values["rate"] is not None, "with --rate, which is not measured"))
def plan(
    texts: Annotated[int, flag("How many texts.")],
    model: option.Model = "minilm",
    tokens_per_text: Annotated[int | None, flag("Their mean length; the model's longest input when left out.")] = None,
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    rate: Annotated[float | None, flag("TFLOP/s that the device reaches; measured here when left out.")] = None,
    *,
    loading: option.DeviceFlags,
    output: FormatFlag,
) -> None:
    """Say what a sweep over many texts would cost, before it runs: operations, time, bytes; layer by layer.

    No text is read. The rate is measured here in about a second, or given with --rate for another machine.
    """
    output.check()
    from probe.encoding.opening import open_reader
    from probe.planning.plan import PlanRequest
    from probe.planning.planner import plan_sweep
    from probe.planning.table import plan_lines, plan_table

    request = PlanRequest(texts, tokens_per_text, layers, pooling.split(","), rate)
    say(f"loading {model}")
    planned = plan_sweep(open_reader(model, loading.load_options()), request, command_line())
    output.show(planned.to_json(), lambda: [plan_table(planned), *plan_lines(planned)])
