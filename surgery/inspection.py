"""Inspect an encoder before cutting it: blocks, parameters, time, and the savings of each cut."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from probe.encoding.opening import Openable, as_model
from probe.encoding.reader import LayerReader
from probe.encoding.tower_reader import TowerReader
from probe.io.model_files import weight_files
from probe.layers.hookpoint import TOWERS
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.models.tokenization import Role
from probe.models.tower_loading import LoadedTower
from surgery.saving.fresh_process import draw_images
from surgery.saving.weights import stored_dtypes

__all__ = ["SAMPLE_TOKENS", "CutCost", "Inspection", "inspect_model", "inspection_lines", "inspection_table"]

# Long enough to fill a batch, short enough to take seconds.
_COUNT = 32
SAMPLE_TOKENS = 130
_SAMPLE = ("Every block of an encoder reads the states of all tokens and writes new ones. " * 8,) * _COUNT
_ROUNDS = 3


@dataclass(frozen=True)
class CutCost:
    """The cost of a layer's block, and of a model cut after it.

    Attributes:
        layer: Layer number; 0 is the embeddings alone.
        block_parameters: Parameters of the layer's block; at layer 0, all parameters outside the blocks.
        block_time_share: The block's share of the full model's time.
        parameters: Parameters of a model cut here.
        bytes: Their size in bytes, in float32.
        milliseconds: Time per text of about 130 tokens or per image, up to this layer.
        time_share: `milliseconds` as a share of the full model's time.
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
        name: The model as given.
        tower: The tower shown, `image` or `text`, of a two-tower model; None for a single-tower model.
        model_class: Class of the transformer.
        path: Name of the block list inside the model.
        depth: Number of blocks.
        width: Dimension of the states; for a tower, of its embeddings.
        pooling: The model's own pooling.
        max_tokens: Maximum input length in tokens.
        query_prompt: Prompt prefix of queries.
        document_prompt: Prompt prefix of documents.
        norm_policy: How a final norm is applied.
        projection: Modules between a tower's pooled state and its embedding; empty for a single-tower model.
        unread: Modules that no layer needs, such as a pooler.
        embedding_share: Share of the parameters outside the blocks.
        file_bytes: Size of its weight files in bytes; None for a model in memory.
        file_dtypes: Dtypes of the floating-point weights in them.
        cuts: Costs of a cut after each layer, from layer 0.
    """

    name: str
    tower: str | None
    model_class: str
    path: str
    depth: int
    width: int
    pooling: str | None
    max_tokens: int
    query_prompt: str
    document_prompt: str
    norm_policy: str
    projection: tuple[str, ...]
    unread: tuple[str, ...]
    embedding_share: float
    file_bytes: int | None
    file_dtypes: tuple[str, ...]
    cuts: tuple[CutCost, ...]


def inspect_model(model: Openable, options: LoadOptions | None = None) -> Inspection:
    """Inspect a model, or one tower of it; the time per block is measured on a few synthetic texts or images.

    Args:
        model: Its name or folder, or the model in memory.
        options: How to load a model given by name; default: in float32.

    Returns:
        Structure and costs.

    Raises:
        CallError: The name is unknown, or the object is not a model.
        ModelError: The model cannot be loaded.
    """
    return _inspect(as_model(model, options or LoadOptions(dtype="float32")))


def _inspect(model: LoadedModel) -> Inspection:
    times = _measure(model)
    norm = model.stack.final_norm
    files = weight_files(model.source.folder) if model.source.folder.is_dir() else []
    return Inspection(
        name=model.source.name,
        tower=model.tower,
        depth=model.depth,
        width=model.width,
        pooling=model.pooling,
        max_tokens=model.max_tokens,
        query_prompt=model.query_prompt,
        document_prompt=model.document_prompt,
        norm_policy="no final norm" if norm is None else f"{type(norm).__name__}, applied at every depth",
        **_describe_module(model),
        embedding_share=model.parameters[0] / model.parameters[-1],
        file_bytes=sum(path.stat().st_size for path in files) or None,
        file_dtypes=stored_dtypes(files),
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


def _describe_module(model: LoadedModel) -> dict[str, Any]:
    """Return the names of a model's parts; for a tower, as named in the two-tower model."""
    if not isinstance(model, LoadedTower):
        names = {"path": model.stack.path, "projection": (), "unread": model.stack.unread}
        return {"model_class": type(model.module).__name__, **names}
    # The other tower's parameters were freed.
    left = dict(model.module.named_parameters())
    return {
        "model_class": type(model.module.model).__name__,
        "path": model.stack.path.removeprefix("model."),
        "projection": tuple(type(step).__name__ for step in model.parts.steps),
        "unread": tuple(name.removeprefix("model.") for name in model.stack.unread if name in left),
    }


def _measure(model: LoadedModel) -> Sequence[float]:
    """Return the milliseconds per text or image up to each layer, the minimum of several rounds."""
    reader = (TowerReader if model.tower else LayerReader)(model)
    # The pooling of a text model does not matter for its time, and it may have none.
    layer_poolings = [(layer, str(model.pooling) if model.tower else "cls") for layer in range(model.depth + 1)]
    with tempfile.TemporaryDirectory() as scratch:
        sample = islice(cycle(draw_images(Path(scratch))), _COUNT) if model.tower == "image" else _SAMPLE
        prepared = reader.prepare(list(sample), Role("document"))
        rounds = [reader.run(prepared, layer_poolings).seconds for _ in range(_ROUNDS)]
    return [1000 * min(seconds[layer] for seconds in rounds) / _COUNT for layer in range(model.depth + 1)]


def inspection_table(found: Inspection) -> Table:
    """Return a table of the costs and savings of a cut after each layer."""
    table = Table(
        title=found.name, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    per = f"ms/{found.tower or 'text'}"
    for title in ("layer", "block", "its time", "cut here", "MB", "saves MB", per, "saves time"):
        table.add_column(title, justify="right", no_wrap=True)
    full = found.cuts[-1]
    for cost in found.cuts:
        table.add_row(
            str(cost.layer) if cost.layer else "emb",
            f"{cost.block_parameters / 1e6:.1f}M",
            f"{cost.block_time_share:.0%}",
            f"{cost.parameters / 1e6:.1f}M",
            f"{cost.bytes / 1e6:.1f}",
            f"{(full.bytes - cost.bytes) / 1e6:.1f}",
            f"{cost.milliseconds:.2f}",
            f"{1 - cost.time_share:.0%}",
        )
    return table


def inspection_lines(found: Inspection) -> list[str]:
    """Return the lines under the table."""
    return [
        f"{found.model_class}: {found.depth} blocks in {found.path}, {found.width} dimensions, "
        f"{found.embedding_share:.0%} of the parameters in the embeddings",
        f"norm: {found.norm_policy}; modules used by no layer: {', '.join(found.unread) or 'none'}",
        *_tower_lines(found),
        _input_line(found),
        *_file_lines(found),
        "block: parameters of the layer's block, with its share of the full model's time; cut here: parameters of a "
        f"model cut after the layer, with its size and savings; MB in float32; ms per {_unit(found)}, in a batch",
    ]


def _tower_lines(found: Inspection) -> list[str]:
    if found.tower is None:
        return []
    other = next(tower for tower in TOWERS if tower != found.tower)
    return [
        f"projection: {', '.join(found.projection) or 'none'}, applied at every depth; numbers are for the "
        f"{found.tower} tower only: a cut keeps the {other} tower complete"
    ]


def _input_line(found: Inspection) -> str:
    line = f"pooling {found.pooling}, {found.max_tokens} tokens"
    if found.tower == "image":
        return f"{line} per image"
    return f"{line}; prompts: query {found.query_prompt!r}, document {found.document_prompt!r}"


def _file_lines(found: Inspection) -> list[str]:
    if found.file_bytes is None:
        return []
    return [f"weight files: {found.file_bytes / 1e6:.1f} MB in {' and '.join(found.file_dtypes)}"]


def _unit(found: Inspection) -> str:
    return "image" if found.tower == "image" else f"text of about {min(found.max_tokens, SAMPLE_TOKENS)} tokens"
