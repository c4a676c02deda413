"""Pair an encoder of queries with one of documents, if a router of sentence-transformers can hold both."""

from pathlib import Path

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.opening import Openable, load_encoder
from probe.encoding.paired import PairedEncoder
from probe.errors import CallError, ModelError
from probe.layers.hookpoint import OWN, TOKENS, split_fusion, split_spec
from probe.models.info import ModelProfile, find_files
from probe.models.options import LoadOptions
from probe.models.published_config import read_model_config
from surgery.cutting.cut import EXACT

__all__ = ["pair"]

_PLAIN = "expected one encoder of plain sentence-transformers modules: a model, a cut, its lens, or a static folder"
_THEIRS = "sentence_transformers."
_ROUTERS = ("Router", "Asym")


def pair(queries: Openable, documents: Openable, options: LoadOptions | None = None) -> PairedEncoder:
    """Make one encoder of two: the first embeds queries, the second documents.

    Args:
        queries: `model[@layer][:pooling]` or a folder; or a model or encoder in memory.
        documents: The same.
        options: How to load models given by name; default: in float32 on the CPU.

    Returns:
        The encoder; `surgery.save` saves it as a router of sentence-transformers. Nothing is trained.

    Raises:
        CallError: One of them is not a single encoder of plain modules, or they do not fit together.
        ModelError: A model cannot be loaded.
    """
    asker, index = (_open(side, options or EXACT) for side in (queries, documents))
    _check_fit(asker, index)
    return PairedEncoder(f"{asker.hookpoint} > {index.hookpoint}", asker, index)


def _open(given: Openable, options: LoadOptions) -> HookpointEncoder:
    """Open one side as it will be saved: with its own modules where it has them, else with a bare pooling."""
    if isinstance(given, str | Path):
        _check_spec(str(given), options)
    found = load_encoder(given, options)
    if isinstance(found, PairedEncoder):
        raise CallError(f"'{found.name}' is two encoders already: {_PLAIN}")
    model, point = found.reader.model, found.hookpoint
    layer, pooling = point.layer_pooling
    if model.tower:
        raise CallError(f"'{point}' is one tower of two, which share a folder: {_PLAIN}")
    if model.depth and layer == 0:
        raise CallError(f"'{point}' is the embeddings only, not an encoder: use a static cut (surgery cut --after 0)")
    kept = pooling == model.pooling and _has_modules(model)
    return HookpointEncoder(found.reader, layer, OWN if kept else pooling)


def _has_modules(model: ModelProfile) -> bool:
    """Return whether a model has modules of its own after its transformer; one in memory is saved with them."""
    return not model.source.folder.is_dir() or bool(read_model_config(model.source.folder).modules)


def _check_spec(spec: str, options: LoadOptions) -> None:
    """Check a spec before any weights are read.

    Raises:
        CallError: It is a fusion, late interaction, a router, or needs classes other than sentence-transformers'.
    """
    if len(split_fusion(spec)) > 1:
        raise CallError(f"'{spec}' is a fusion: {_PLAIN}")
    name, _, pooling = split_spec(spec)
    if pooling == TOKENS:
        raise CallError(f"'{spec}' has one vector per token: {_PLAIN}")
    try:
        files = find_files(name, options)
    except ModelError as error:
        if "adaptors.load_encoder" in str(error):
            raise CallError(f"'{spec}' needs classes of encoder-surgery: {_PLAIN}") from error
        raise
    if files.source.route or any(entry.name in _ROUTERS for entry in files.config.modules):
        raise CallError(f"'{spec}' is {'a route of ' if files.source.route else ''}a router: {_PLAIN}")
    others = [entry.type for entry in files.config.modules if not entry.type.startswith(_THEIRS)]
    if others:
        raise CallError(f"'{spec}' has a module of the class {others[0]}: {_PLAIN}")


def _check_fit(queries: HookpointEncoder, documents: HookpointEncoder) -> None:
    """Check that two encoders can be compared and are not the same.

    Raises:
        CallError: They cannot, or are.
    """
    widths = [encoder.width for encoder in (queries, documents)]
    if widths[0] != widths[1]:
        raise CallError(
            f"'{queries.hookpoint}' has {widths[0]} dimensions and '{documents.hookpoint}' {widths[1]}: expected one "
            "space for both: map one into the other's, as a lens does for a cut of the other (surgery cut --lens)"
        )
    functions = [encoder.similarity_fn_name for encoder in (queries, documents)]
    if functions[0] != functions[1]:
        raise CallError(
            f"'{queries.hookpoint}' is compared by {functions[0]} and '{documents.hookpoint}' by {functions[1]}: "
            "expected one similarity function for both"
        )
    if _identity(queries) == _identity(documents):
        raise CallError(f"both sides are '{documents.hookpoint}': expected two encoders, or use it without a pair")


def _identity(encoder: HookpointEncoder) -> tuple[str, ...]:
    model, (layer, pooling) = encoder.reader.model, encoder.layer_pooling
    return model.state_hashes[layer], pooling, model.head_hash if pooling == OWN else ""
