"""Cost estimate of a sweep over many texts: FLOPs, time, bytes."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from probe.errors import CallError
from probe.results.result import result_payload
from probe.scale.rate import Rate
from probe.store.forecast import StoreForecast

__all__ = ["Plan", "PlanRequest", "PlanRow", "PlannedModel", "SearchCost", "SweepCost", "Workload"]


@dataclass(frozen=True)
class PlanRequest:
    """Request for a plan.

    Attributes:
        texts: Number of texts.
        tokens_per_text: Mean length, including special tokens and prompt; None = the model's maximum length.
        layers: `all`, `0-6` or `1,3,5`.
        poolings: Names of poolings; `own` is the model's own.
        teraflops: Speed in TFLOP/s; None = measured on this machine.

    Raises:
        CallError: If a number is out of range.
    """

    texts: int
    tokens_per_text: int | None = None
    layers: str = "all"
    poolings: Sequence[str] = ("own",)
    teraflops: float | None = None

    def __post_init__(self) -> None:
        if self.texts < 1:
            raise CallError(f"--texts {self.texts}: expected a number of 1 or more")
        if self.tokens_per_text is not None and self.tokens_per_text < 1:
            raise CallError(f"--tokens-per-text {self.tokens_per_text}: expected a number of 1 or more")
        if self.teraflops is not None and not 0 < self.teraflops < math.inf:
            raise CallError(f"--tflops {self.teraflops:g}: expected TFLOP/s above 0, such as 0.2 for two CPU cores")


@dataclass(frozen=True)
class PlannedModel:
    """Properties of the model that determine its cost.

    Attributes:
        name: As given.
        hub_id: Hub id, None for a folder.
        layers: Number of blocks.
        width: Dimension of the states.
        attention_width: Total width of a block's attention heads.
        max_tokens: Maximum input length in tokens.
        dtype: Dtype of a measured speed.
        device: Device of a measured speed.
    """

    name: str
    hub_id: str | None
    layers: int
    width: int
    attention_width: int
    max_tokens: int
    dtype: str
    device: str


@dataclass(frozen=True)
class Workload:
    """The texts.

    Attributes:
        texts: Number of texts.
        tokens_asked: Requested tokens per text, or None.
        tokens_per_text: Tokens per text after truncation.
        tokens: Total number of tokens.
    """

    texts: int
    tokens_asked: int | None
    tokens_per_text: int
    tokens: int


@dataclass(frozen=True)
class SweepCost:
    """Cost of all planned layers, on one device.

    Attributes:
        flops: FLOPs of one pass up to the deepest layer.
        seconds: Time of that pass.
        seconds_one_by_one: Total time of one pass per layer.
    """

    flops: int
    seconds: float
    seconds_one_by_one: float


@dataclass(frozen=True)
class SearchCost:
    """Cost of an exact search for one query at one hookpoint.

    Attributes:
        bytes_stored: Bytes read from the store.
        bytes_float32: Size of the same vectors in memory, in float32.
        flops: FLOPs of the cosines.
    """

    bytes_stored: int
    bytes_float32: int
    flops: int


@dataclass(frozen=True)
class PlanRow:
    """Cost of one layer alone, as a model cut there.

    Attributes:
        layer: The `hidden_states` index, 0 = the embeddings.
        parameters: Parameters kept by a cut here.
        flops_per_token: FLOPs per token up to this layer.
        flops_per_text: FLOPs per text.
        flops: FLOPs for all texts.
        seconds: Time for all texts, on one device.
    """

    layer: int
    parameters: int
    flops_per_token: int
    flops_per_text: int
    flops: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A plan with a row per layer.

    Attributes:
        command: Command line or call that made it.
        created: Time, in ISO 8601.
        model: The model.
        work: The texts.
        rate: Speed in FLOP/s.
        sweep: Cost of all layers together.
        store: Size of the store entry.
        search: Cost of an exact search.
        rows: One per planned layer, in ascending order.
    """

    command: str
    created: str
    model: PlannedModel
    work: Workload
    rate: Rate
    sweep: SweepCost
    store: StoreForecast
    search: SearchCost
    rows: tuple[PlanRow, ...]

    @property
    def settings(self) -> dict[str, Any]:
        """Everything except the rows, as plain values."""
        return {name: asdict(getattr(self, name)) for name in ("model", "work", "rate", "sweep", "store", "search")}

    def to_json(self) -> str:
        """Return the plan as JSON, with the common head of all results."""
        payload = result_payload("plan", self.command, self.created, settings=self.settings, rows=self.rows)
        return json.dumps(payload, indent=2) + "\n"
