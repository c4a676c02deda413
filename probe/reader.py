"""Read an encoder at many hookpoints in one pass over the texts."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch

from probe.batches import pad_batch, plan_batches, tokenise
from probe.capture import Capture
from probe.encoder import Embeddings
from probe.errors import CallError, ModelError
from probe.hookpoint import Hookpoint, Place, check_pooling, parse_layers
from probe.loading import LoadedModel

__all__ = ["HookpointEncoder", "LayerReader", "LayerStates", "select_hookpoints"]

TOKEN_BUDGET = 4096


@dataclass(frozen=True)
class LayerStates:
    """Pooled states of some texts.

    Attributes:
        vectors: Float32 `(N, D)` per place.
        seconds: Time from the start of the forward to each layer, summed over the batches.
        truncated: Number of texts longer than the model takes.
    """

    vectors: dict[Place, Embeddings]
    seconds: dict[int, float]
    truncated: int


class LayerReader:
    """Reads a loaded model at any of its layers, each text passing through it once."""

    def __init__(self, model: LoadedModel, token_budget: int = TOKEN_BUDGET) -> None:
        """Wrap a loaded model.

        Args:
            model: The model.
            token_budget: Most tokens of one batch, padding included.
        """
        self.model = model
        self._token_budget = token_budget

    def read(
        self,
        texts: Sequence[str],
        prompt: str,
        places: Sequence[Place],
        on_batch: Callable[[int], None] = lambda done: None,
    ) -> LayerStates:
        """Embed texts at every wanted place.

        Args:
            texts: N texts, without the prompt.
            prompt: Put before every text.
            places: Layers and poolings to read.
            on_batch: Called after every batch with its number of texts.

        Returns:
            The states in the order of `texts`; zeros for a text without a single token.

        Raises:
            ModelError: A state is not finite.
        """
        tokens = tokenise(self.model.tokenizer, [prompt + text for text in texts], self.model.max_tokens)
        vectors = {place: np.zeros((len(texts), self.width), np.float32) for place in places}
        with Capture(self.model.module, self.model.stack, _group_by_layer(places)) as capture:
            for batch in plan_batches([len(ids) for ids in tokens.ids], self._token_budget):
                self._read_batch(capture, [tokens.ids[i] for i in batch], batch, vectors)
                on_batch(len(batch))
        _refuse_infinite(vectors, self.model.source.name)
        return LayerStates(vectors, capture.seconds, tokens.truncated)

    def _read_batch(
        self,
        capture: Capture,
        ids: list[list[int]],
        rows: list[int],
        vectors: dict[Place, Embeddings],
    ) -> None:
        pad_id = self.model.tokenizer.pad_token_id or 0
        self._check_ids(max(map(max, ids)))
        with torch.inference_mode(), self._precision():
            states = capture.run(pad_batch(ids, pad_id, self.model.device))
        for key, state in states.items():
            vectors[key][rows] = state.cpu().numpy()

    def _check_ids(self, largest: int) -> None:
        known: int = self.model.module.get_input_embeddings().num_embeddings  # type: ignore[operator]
        if largest >= known:
            raise ModelError(
                f"the tokenizer of '{self.model.source.name}' gives the token {largest}, but the model knows {known} "
                "only: they do not belong together"
            )

    def _precision(self) -> AbstractContextManager[object]:
        if self.model.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.model.device.type, dtype=self.model.dtype)

    @property
    def width(self) -> int:
        """Dimension of the states."""
        config = self.model.module.config
        return int(config.get_text_config().hidden_size)  # type: ignore[union-attr, operator]


def _group_by_layer(places: Sequence[Place]) -> dict[int, list[str]]:
    return {layer: [p for k, p in places if k == layer] for layer in sorted({k for k, _ in places})}


def _refuse_infinite(vectors: dict[Place, Embeddings], name: str) -> None:
    for (layer, pooling), states in vectors.items():
        if not np.isfinite(states).all():
            raise ModelError(f"{name}@{layer}:{pooling} gave values that are not finite: try --dtype float32")


def select_hookpoints(model: LoadedModel, layers: str, poolings: Sequence[str] = ("own",)) -> tuple[Hookpoint, ...]:
    """Expand layers and poolings into hookpoints with both written out.

    Args:
        model: The model to read.
        layers: `all`, `last`, `0-6` or `1,3,5`.
        poolings: Names of poolings; `own` is the model's.

    Returns:
        One hookpoint per pooling and layer.

    Raises:
        CallError: A layer is out of range, a pooling unknown, or the model's own is none of ours.
    """
    numbers = parse_layers(layers, model.stack.depth)
    names = dict.fromkeys(own_pooling(model) if name == "own" else check_pooling(name) for name in poolings)
    return tuple(Hookpoint(model.source.name, layer, name) for name in names for layer in numbers)


def own_pooling(model: LoadedModel) -> str:
    """Return the pooling the model was trained with.

    Args:
        model: A loaded model.

    Returns:
        The pooling's name.

    Raises:
        CallError: It is none of ours.
    """
    if model.pooling is None:
        name = model.source.name
        raise CallError(f"'{name}': {model.notes[0]}; name one, as --pooling mean or in the spec {name}:mean")
    return model.pooling


class HookpointEncoder:
    """One hookpoint of a model as an encoder; the blocks above its layer are never run."""

    def __init__(self, reader: LayerReader, layer: int, pooling: str) -> None:
        """Read `reader`'s model after `layer`.

        Args:
            reader: The model's reader.
            layer: 0 to the model's depth.
            pooling: One of the poolings.
        """
        self._reader = reader
        self._place = (layer, pooling)

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries with the model's query prompt; returns float32 `(N, D)`."""
        return self._encode(texts, self._reader.model.query_prompt)

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents with the model's document prompt; returns float32 `(N, D)`."""
        return self._encode(texts, self._reader.model.document_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> Embeddings:
        return self._reader.read(texts, prompt, [self._place]).vectors[self._place]
