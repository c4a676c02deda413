"""What a sweep over many texts will cost, on paper: operations, time, bytes."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from probe.errors import CallError
from probe.planning.rate import Rate
from probe.results.result import result_payload
from probe.store.forecast import StoreForecast

__all__ = ["Plan", "PlanRequest", "PlanRow", "PlannedModel", "SearchCost", "SweepCost", "Workload"]


@dataclass(frozen=True)
class PlanRequest:
    """What is to be planned.

    Attributes:
        texts: How many texts.
        tokens_per_text: Their mean length, special tokens and prompt included; None = the model's longest input.
        layers: `all`, `0-6` or `1,3,5`.
        poolings: Names of poolings; `own` is the model's.
        teraflops: Rate to plan with, in 10^12 operations a second; measured here where it is None.

    Raises:
        CallError: A number is out of range.
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
            raise CallError(f"--rate {self.teraflops:g}: expected TFLOP/s above 0, such as 0.2 for two processor cores")


@dataclass(frozen=True)
class PlannedModel:
    """The model, as far as its costs depend on it.

    Attributes:
        name: As typed.
        hub_id: Its id on the hub, None for a folder.
        layers: Number of blocks.
        width: Dimension of the states.
        attention_width: Width of all heads of a block together.
        max_tokens: Longest input in tokens.
        dtype: What a measured rate was measured in.
        device: Where it was measured.
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
        texts: How many.
        tokens_asked: Tokens per text as asked for, None where nothing was.
        tokens_per_text: Tokens per text that the model sees.
        tokens: All of them.
    """

    texts: int
    tokens_asked: int | None
    tokens_per_text: int
    tokens: int


@dataclass(frozen=True)
class SweepCost:
    """All planned layers, on one device.

    Attributes:
        flops: Operations of one pass up to the deepest layer.
        seconds: Their time.
        seconds_one_by_one: Time of a pass for each layer.
    """

    flops: int
    seconds: float
    seconds_one_by_one: float


@dataclass(frozen=True)
class SearchCost:
    """An exact search of one query over one hookpoint.

    Attributes:
        bytes_stored: What is read from the store.
        bytes_float32: What the same vectors take in memory, in float32.
        flops: Operations of the cosines.
    """

    bytes_stored: int
    bytes_float32: int
    flops: int


@dataclass(frozen=True)
class PlanRow:
    """One layer alone, as a model that was cut there.

    Attributes:
        layer: The `hidden_states` index, 0 = the embeddings.
        parameters: Parameters that a model cut here keeps.
        flops_per_token: Operations per token up to here.
        flops_per_text: The same per text.
        flops: The same for all texts.
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
    """A plan: what it is of, what it costs, and a row per layer.

    Attributes:
        command: The command line, or the call, that made it.
        created: When, in ISO 8601.
        model: The model.
        work: The texts.
        rate: Operations per second.
        sweep: All layers together.
        store: What is stored.
        search: An exact search.
        rows: One per planned layer, from the lowest on.
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
        """Everything but the rows, as plain values."""
        return {name: asdict(getattr(self, name)) for name in ("model", "work", "rate", "sweep", "store", "search")}

    def to_json(self) -> str:
        """Return it as JSON, under the head of every result."""
        payload = result_payload("plan", self.command, self.created, settings=self.settings, rows=self.rows)
        return json.dumps(payload, indent=2) + "\n"
