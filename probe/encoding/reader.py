"""Reader of a model at many hookpoints in one pass over the texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from probe.data.images import refuse_image_files
from probe.encoding.token_states import Rows, TokenRows, VectorRows, unit_tokens
from probe.errors import ModelError
from probe.layers.capture import Capture
from probe.layers.device_queue import HostQueue, queue_of
from probe.layers.hookpoint import OWN, TOKENS, LayerPooling
from probe.layers.pooling import POOLINGS, Pooling
from probe.metrics.vectors import Embeddings
from probe.models.device import token_budget as default_budget
from probe.models.info import ModelProfile
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.own_vectors import TailModules
from probe.models.tokenization import Batch, Features, Role, as_role, pad_features, plan_batches, preprocess

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["LayerReader", "LayerStates", "PreparedTexts", "default_prompt", "group_by_layer"]


@dataclass(frozen=True)
class LayerStates:
    """Pooled states of texts.

    Attributes:
        vectors: Float32 `(N, D)` by layer and pooling; tokens as packed by `pack_tokens`.
        seconds: Time from the start of the forward to each layer, summed over the batches.
        truncated: Number of texts longer than the maximum length.
    """

    vectors: dict[LayerPooling, Embeddings]
    seconds: dict[int, float]
    truncated: int


@dataclass(frozen=True)
class PreparedTexts:
    """Texts ready to run: tokenized, sorted by length, in batches.

    Attributes:
        batches: Longest texts first.
        count: Number of texts.
        truncated: Number of texts longer than the maximum length.
        task: `query` or `document`.
    """

    batches: tuple[Batch, ...]
    count: int
    truncated: int
    task: str


class LayerReader:
    """Reads a model at any of its layers; each text passes through the model once."""

    def __init__(
        self,
        model: "ModelProfile | str | Path | SentenceTransformer",
        token_budget: int | None = None,
        load: Callable[[], LoadedModel] | None = None,
    ) -> None:
        """Create a reader.

        Args:
            model: The model or its profile; or an alias, a hub id, a folder or a `SentenceTransformer`.
            token_budget: Maximum tokens per batch, padding included; default: chosen for model and device.
            load: Loads the model on first use; not needed for a loaded one.
        """
        self.model: ModelProfile = model if isinstance(model, ModelProfile) else load_model(model)
        self.token_budget = token_budget or default_budget(self.model.width, self.model.device)
        self._load = load
        self._running: tuple[dict[str, Any], str] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model in memory, loaded on first use."""
        if isinstance(self.model, LoadedModel):
            return self.model
        if self._load is None:
            raise ValueError(f"the reader of {self.model.source.name} has neither the loaded model nor a loader")
        return self._load()

    def at(self, layer_pooling: LayerPooling) -> LayerPooling:
        """Return the layer and pooling that is read for a hookpoint: here its own."""
        return layer_pooling

    def pooling_at(self, layer_pooling: LayerPooling) -> Pooling:
        """Return the pooling function at a layer and pooling."""
        if layer_pooling[1] == OWN:
            return self._embed
        return unit_tokens if layer_pooling[1] == TOKENS else POOLINGS[layer_pooling[1]]

    def _embed(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the model's own vectors of the current batch."""
        if self._running is None:
            raise RuntimeError("own vectors are available only while a batch runs")
        features, task = self._running
        return self._tail.embed(hidden, features, task)

    @cached_property
    def _tail(self) -> TailModules:
        return TailModules(self.loaded.pipeline)

    def rows_at(self, layer_pooling: LayerPooling, count: int) -> Rows:
        """Return a collector of the states of `count` texts at a layer and pooling."""
        if layer_pooling[1] == TOKENS:
            return TokenRows(count, self.model.width)
        return VectorRows(np.zeros(self.model.width_of(layer_pooling[1]), np.float32), count)

    @property
    def plain_role(self) -> Role:
        """Role of texts that are neither queries nor documents: with the model's default prompt, if any."""
        return Role("document", default_prompt(self.loaded.pipeline))

    @property
    def known_tokens(self) -> int:
        """Size of the model's vocabulary."""
        embeddings: Any = self.loaded.module.get_input_embeddings()  # type: ignore[operator]
        return len(embeddings.weight)

    def check_tokens(self, largest: int) -> None:
        """Raise if the largest token id is outside the model's vocabulary.

        Raises:
            ModelError: If it is.
        """
        if largest >= self.known_tokens:
            raise ModelError(
                f"the tokenizer of '{self.model.source.name}' gives token id {largest}, but the model's vocabulary has "
                f"{self.known_tokens} entries: use the matching tokenizer"
            )

    def prepare(self, texts: Sequence[str], role: Role | str) -> PreparedTexts:
        """Tokenize N texts and plan their batches; can run in parallel with the model.

        Args:
            texts: The texts.
            role: Role of the texts; a string is a document prompt.

        Raises:
            CallError: If one of the texts is an image.
            ModelError: If a token id is outside the model's vocabulary.
        """
        role = as_role(role)
        features = self._preprocess(texts, role)
        pad_id = self._pad_id
        plan = plan_batches(features.lengths, self.token_budget, batching=self.model.batching)
        batches = tuple(pad_features(rows, features, pad_id) for rows in plan)
        return PreparedTexts(batches, len(texts), features.truncated, role.task)

    def batch(self, texts: Sequence[str], role: Role) -> Batch:
        """Tokenize N texts as one batch, in order, as `prepare` does for many."""
        return pad_features(list(range(len(texts))), self._preprocess(texts, role), self._pad_id)

    @property
    def _pad_id(self) -> int:
        return int(self.loaded.tokenizer.pad_token_id or 0)

    def _preprocess(self, texts: Sequence[str], role: Role) -> Features:
        refuse_image_files(texts, self.model.source.name)
        features = preprocess(self.loaded.pipeline, texts, role)
        self.check_tokens(
            max((int(row["input_ids"].max()) for row in features.rows if len(row["input_ids"])), default=0)
        )
        return features

    def run(
        self,
        texts: PreparedTexts,
        layer_poolings: Sequence[LayerPooling],
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> LayerStates:
        """Embed prepared texts at all requested layers and poolings.

        Args:
            texts: The result of `prepare`.
            layer_poolings: Layers and poolings to read.
            on_batch: Called after every batch with its number of texts.

        Returns:
            The states in the order of the texts; zeros for texts without tokens.

        Raises:
            ModelError: If a state is not finite.
        """
        rows = {key: self.rows_at(key, texts.count) for key in layer_poolings}
        queue = queue_of(self.model.device)
        with self.capture(layer_poolings) as capture:
            for batch, fetch in queue.delay(self._run_batches(capture, texts, queue)):
                for key, state in fetch().items():
                    rows[key].take(batch, state)
                on_batch(len(batch.rows))
        vectors = {key: gathered.join() for key, gathered in rows.items()}
        _refuse_infinite(vectors, self.model.source.name)
        return LayerStates(vectors, capture.seconds, texts.truncated)

    def _run_batches(
        self, capture: Capture, texts: PreparedTexts, queue: HostQueue
    ) -> Iterator[tuple[Batch, Callable[[], dict[LayerPooling, Tensor]]]]:
        """Yield every batch as soon as the device has its work, with a function that waits for its states."""
        for batch in self.open_batches(texts.batches):
            with torch.inference_mode():
                states = self.run_batch(capture, batch.inputs(self.model.device), texts.task)
                fetch = queue.fetch(states)
            yield batch, fetch

    def open_batches(self, batches: Sequence[Batch]) -> Iterable[Batch]:
        """Return batches in memory."""
        return batches

    def capture(self, layer_poolings: Sequence[LayerPooling]) -> Capture:
        """Return a capture of the model at layers and poolings, for any number of batches."""
        model = self.loaded
        forward = None if model.pipeline is None else model.pipeline[0]
        wanted = group_by_layer(layer_poolings)
        return Capture(model.module, model.stack, wanted, pooling_at=self.pooling_at, forward=forward)

    def run_batch(self, capture: Capture, inputs: dict[str, Any], task: str) -> dict[LayerPooling, Tensor]:
        """Return the states `(B, D)` of a batch, given inputs on the model's device."""
        self._running = (inputs, task)
        try:
            return capture.run(inputs)
        finally:
            self._running = None

    def read(
        self,
        texts: Sequence[str],
        role: Role | str,
        layer_poolings: Sequence[LayerPooling],
        *,
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> LayerStates:
        """Embed texts at all requested layers and poolings: `prepare` and `run` in one call."""
        return self.run(self.prepare(texts, role), layer_poolings, on_batch)


def default_prompt(pipeline: Any) -> str:
    """Return the default prompt of sentence-transformers' `encode`; empty for towers."""
    name = None if pipeline is None else pipeline.default_prompt_name
    return "" if name is None else pipeline.prompts.get(name) or ""


def group_by_layer(layer_poolings: Sequence[LayerPooling]) -> dict[int, list[str]]:
    """Return the requested poolings by layer, as `Capture` expects them."""
    return {layer: [p for k, p in layer_poolings if k == layer] for layer in sorted({k for k, _ in layer_poolings})}


def _refuse_infinite(vectors: dict[LayerPooling, Embeddings], name: str) -> None:
    for (layer, pooling), states in vectors.items():
        if not np.isfinite(states).all():
            raise ModelError(f"the values of {name}@{layer}:{pooling} are not finite: try --dtype float32")
