"""The command `probe plan`."""

from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import FormatFlag, command_line, say

__all__ = ["plan"]


@friendly
@refuses(
    Idle(
        ("dtype", "device", "threads"),
        lambda values: values["tflops"] is not None,
        "with --tflops: nothing is measured",
    )
)
def plan(
    model: option.Model = "minilm",
    *,
    texts: Annotated[int, flag("Number of texts.")],
    tokens_per_text: Annotated[int | None, flag("Mean length in tokens; default: the model's maximum.")] = None,
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    tflops: Annotated[float | None, flag("TFLOP/s of the device; default: measured here.")] = None,
    loading: option.DeviceFlags,
    output: FormatFlag,
) -> None:
    """Estimate the cost of a sweep over many texts, layer by layer: FLOPs, time, bytes.

    No text is read. The speed is measured here in about a second, or given with --tflops for another machine.
    """
    from probe.encoding.opening import open_reader
    from probe.scale.plan import PlanRequest
    from probe.scale.plan_table import plan_lines, plan_table
    from probe.scale.planner import plan_sweep

    request = PlanRequest(texts, tokens_per_text, layers, pooling.split(","), tflops)
    say(f"loading {model}")
    planned = plan_sweep(open_reader(model, loading.load_options()), request, command_line())
    output.show(planned.to_json(), lambda: [plan_table(planned), *plan_lines(planned)])
