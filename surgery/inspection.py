"""Look at an encoder before cutting it: blocks, parameters, time, and what each cut would save."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.loading import LoadedModel
from probe.reader import LayerReader

__all__ = ["CutCost", "Inspection", "inspect_model"]

# Long enough to fill a batch, short enough to take seconds.
_SAMPLE = ("Every block of an encoder reads the states of all tokens and writes new ones. " * 8,) * 32
_ROUNDS = 3


@dataclass(frozen=True)
class CutCost:
    """What a layer's block costs, and what a model cut after it would be.

    Attributes:
        layer: 0 for the embeddings alone, up to the depth.
        block_parameters: Parameters of the block that makes the layer; at 0, of all that is no block's.
        block_time_share: Its share of the full model's time.
        parameters: Parameters a model cut here keeps.
        bytes: Their bytes in float32.
        milliseconds: Time per text of about 130 tokens, up to this layer.
        time_share: The same as a share of the full model's.
    """

    layer: int
    block_parameters: int
    block_time_share: float
    parameters: int
    bytes: int
    milliseconds: float
    time_share: float


@dataclass(frozen=True)
class Inspection:
    """A model's structure and costs.

    Attributes:
        name: As typed.
        model_class: Class of the transformer.
        path: Name of the block list inside the model.
        depth: Number of blocks.
        width: Dimension of the states.
        pooling: The model's own pooling.
        max_tokens: Longest input in tokens.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        norm_policy: What becomes of a final norm.
        unread: Modules that no layer needs, such as a pooler.
        embedding_share: Share of the parameters that are no block's.
        cuts: What a cut after each layer would be, from layer 0 on.
    """

    name: str
    model_class: str
    path: str
    depth: int
    width: int
    pooling: str | None
    max_tokens: int
    query_prompt: str
    document_prompt: str
    norm_policy: str
    unread: tuple[str, ...]
    embedding_share: float
    cuts: tuple[CutCost, ...]


def inspect_model(model: LoadedModel) -> Inspection:
    """Inspect a model; its time per block is measured on a few synthetic texts.

    Args:
        model: The model.

    Returns:
        Its inspection.
    """
    times = _measure(model)
    norm = model.stack.final_norm
    return Inspection(
        name=model.source.name,
        model_class=type(model.module).__name__,
        path=model.stack.path,
        depth=model.depth,
        width=model.width,
        pooling=model.pooling,
        max_tokens=model.max_tokens,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        norm_policy="no final norm" if norm is None else f"{type(norm).__name__}, applied at every depth",
        unread=model.stack.unread,
        embedding_share=model.parameters[0] / model.parameters[-1],
        cuts=tuple(_cost(layer, model.parameters, times) for layer in range(model.depth + 1)),
    )


def _cost(layer: int, parameters: Sequence[int], times: Sequence[float]) -> CutCost:
    before = (parameters[layer - 1], times[layer - 1]) if layer else (0, 0.0)
    return CutCost(
        layer=layer,
        block_parameters=parameters[layer] - before[0],
        block_time_share=(times[layer] - before[1]) / times[-1],
        parameters=parameters[layer],
        bytes=4 * parameters[layer],
        milliseconds=times[layer],
        time_share=times[layer] / times[-1],
    )


def _measure(model: LoadedModel) -> Sequence[float]:
    """Return the milliseconds per text up to each layer, the least of some rounds."""
    reader, places = LayerReader(model), [(layer, "cls") for layer in range(model.depth + 1)]
    texts = reader.prepare(_SAMPLE, "")
    rounds = [reader.run(texts, places).seconds for _ in range(_ROUNDS)]
    return [1000 * min(seconds[layer] for seconds in rounds) / len(_SAMPLE) for layer in range(model.depth + 1)]
