"""Planning of a sweep: count its FLOPs, measure its speed, estimate its store entry."""

from collections.abc import Sequence
from datetime import UTC, datetime

from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.layers.hookpoint import LayerPooling
from probe.layers.operations import attention_width, count_flops
from probe.models.loaded import LoadedModel
from probe.models.tower_loading import LoadedTower
from probe.scale.plan import Plan, PlannedModel, PlanRequest, PlanRow, SearchCost, SweepCost, Workload
from probe.scale.rate import Rate, measure_rate
from probe.store.forecast import forecast_store

__all__ = ["plan_sweep"]

_TERA = 10**12
_FLOAT32 = 4


def plan_sweep(reader: LayerReader, request: PlanRequest, command: str) -> Plan:
    """Plan a sweep over texts that need not exist yet; the model is loaded for its shapes and to measure its speed.

    Raises:
        CallError: If a layer is out of range, a pooling is unknown or unsupported, or the model reads images.
    """
    if reader.model.tower == "image":
        raise CallError(f"'{reader.model.source.name}' reads images, but plans are for texts: use the text tower")
    model = reader.loaded
    layer_poolings = [point.layer_pooling for point in select_hookpoints(model, request.layers, request.poolings)]
    work = _workload(request, model)
    once = model.parts.steps if isinstance(model, LoadedTower) else ()
    flops = count_flops(model.module, model.stack, work.tokens_per_text, once=once)
    rate = _rate(reader, request, work.tokens_per_text, layer_poolings=layer_poolings, flops=flops)
    layers = sorted({layer for layer, _ in layer_poolings})
    rows = tuple(_row(layer, model.parameters[layer], flops[layer], work=work, rate=rate) for layer in layers)
    store = forecast_store(layer_poolings, work.texts, model.width)
    return Plan(
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model=_planned_model(reader),
        work=work,
        rate=rate,
        sweep=SweepCost(rows[-1].flops, rows[-1].seconds, sum(row.seconds for row in rows)),
        store=store,
        search=SearchCost(
            bytes_stored=store.bytes_per_hookpoint,
            bytes_float32=_FLOAT32 * work.texts * model.width,
            flops=2 * work.texts * model.width,
        ),
        rows=rows,
    )


def _workload(request: PlanRequest, model: LoadedModel) -> Workload:
    asked = request.tokens_per_text
    # Some towers pad every text to the maximum length.
    fills = isinstance(model, LoadedTower) and model.texts is not None and model.texts.fills
    tokens = model.max_tokens if fills else min(asked or model.max_tokens, model.max_tokens)
    return Workload(request.texts, asked, tokens, request.texts * tokens)


def _rate(
    reader: LayerReader,
    request: PlanRequest,
    tokens: int,
    *,
    layer_poolings: Sequence[LayerPooling],
    flops: Sequence[int],
) -> Rate:
    """Return the given speed, or measure that of the full model, independent of the planned layers."""
    if request.teraflops is not None:
        return Rate(request.teraflops * _TERA, "given")
    last = (reader.model.depth, layer_poolings[-1][1])
    return measure_rate(reader, tokens, list({*layer_poolings, last}), flops_per_text=tokens * flops[-1])


def _row(layer: int, parameters: int, per_token: int, *, work: Workload, rate: Rate) -> PlanRow:
    per_text = work.tokens_per_text * per_token
    flops = work.texts * per_text
    return PlanRow(layer, parameters, per_token, per_text, flops, flops / rate.flops_per_second)


def _planned_model(reader: LayerReader) -> PlannedModel:
    model = reader.loaded
    return PlannedModel(
        name=model.source.name,
        hub_id=model.source.hub_id,
        layers=model.depth,
        width=model.width,
        attention_width=attention_width(model.module),
        max_tokens=model.max_tokens,
        dtype=str(model.dtype).removeprefix("torch."),
        device=model.device.type,
    )
