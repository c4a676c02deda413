"""A pair of encoders as a folder: sentence-transformers' Router, with the modules of both in subfolders."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from probe.data.training_record import Learned, join_learned, read_fitted, write_learned
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.paired import PairedEncoder
from probe.io.model_files import SavedModule, file_set, read_modules, weight_files
from probe.metrics.vectors import Embeddings, unit
from probe.models.published_config import read_model_config
from surgery.cutting.cut import cut
from surgery.pairing.agreement import Agreement, measure_agreement
from surgery.pairing.card import write_pair_card
from surgery.saving.files import PROVENANCE, write_json, write_modules
from surgery.saving.fresh_process import compare, embed_here, embed_in_fresh_process, embed_samples
from surgery.saving.heads import OutputHead
from surgery.saving.model import scales, write_single
from surgery.saving.origin import inherit, join_origins, read_origin
from surgery.saving.save import save_folder
from surgery.saving.weights import VectorChange, check_dtype, store_weights

__all__ = ["check_pair_folder", "read_agreement", "save_pair"]

# As sentence-transformers names it; the route of `encode` is that of documents, as in `Router.for_query_document`.
_ROUTER_CONFIG = "router_config.json"
_PARAMETERS = {"default_route": "document", "allow_empty_key": True}
_AGREEMENT = "agreement"
# Files beside a first module that describe the whole folder.
_OF_FOLDER = {"modules.json", "config_sentence_transformers.json", _ROUTER_CONFIG, "adaptor.json"}
_HALF_TOLERANCE = 5e-2


@dataclass(frozen=True)
class _Part:
    """One side, as a folder of its own.

    Attributes:
        folder: The folder.
        origin: Its origin, as plain values.
        learned: What its weights and its adaptor were trained on.
    """

    folder: Path
    origin: dict[str, Any]
    learned: Learned


def save_pair(
    pair: PairedEncoder,
    out: Path,
    *,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
    scores: str = "",
    weights_dtype: str | None = None,
) -> Path:
    """Save a pair as a folder that plain sentence-transformers loads.

    Args:
        pair: The result of `pair`.
        out: Folder to create; it is written completely or not at all.
        force: Replace a folder written by an earlier save.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Default:
            load the folder in this process and compare its vectors with the encoders'.
        scores: Retrieval scores for the model card, in Markdown.
        weights_dtype: Store the weights of both in `float32`, `float16` or `bfloat16`; default: as the originals' files
            do. They are loaded in float32 all the same.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the dtype is unknown.
        ModelError: The files cannot be written, or give different vectors, or float16 cannot hold the weights.
    """
    check_dtype(weights_dtype)

    def write(folder: Path) -> None:
        """Write the folder, with its weights in the dtype, and its card with their sizes."""
        _write(pair, folder)
        store_weights(folder, weights_dtype)
        write_pair_card(pair, folder, read_agreement(folder), scores=scores)

    return save_folder(out, write, force, check=check or partial(check_pair_folder, pair=pair))


def _write(pair: PairedEncoder, folder: Path) -> None:
    """Write a pair without its card into an empty folder."""
    write_modules(folder, ["Router"])
    with TemporaryDirectory(prefix="encoder-surgery-") as scratch:
        sides = {"query": pair.queries, "document": pair.documents}
        parts = {side: _write_part(encoder, Path(scratch, side)) for side, encoder in sides.items()}
        structure = {side: _copy_modules(part.folder, folder, side) for side, part in parts.items()}
        types = {name: kind for modules in structure.values() for name, kind in modules.items()}
        names = {side: list(modules) for side, modules in structure.items()}
        write_json(folder / _ROUTER_CONFIG, {"types": types, "structure": names, "parameters": _PARAMETERS})
        write_json(folder / "config_sentence_transformers.json", _settings(pair, parts))
    agreement = measure_agreement(pair)
    origins = {side: part.origin for side, part in parts.items()}
    facts = {"paired": origins, **join_origins(list(origins.values())), _AGREEMENT: vars(agreement)}
    write_json(folder / PROVENANCE, facts)
    write_learned(join_learned(part.learned for part in parts.values()), folder)


def _write_part(encoder: HookpointEncoder, folder: Path) -> _Part:
    """Write one side as a model of its own; one without layers is already a folder."""
    model, (layer, pooling) = encoder.reader.model, encoder.layer_pooling
    learned = join_learned([model.learned, read_fitted(model.source.folder)])
    # Of a folder that is used whole, what it was made of says more than its own name.
    known = read_origin(model.source.folder).facts if layer == model.depth else {}
    if not model.depth:
        name = model.source.hub_id or str(model.source.folder.resolve())
        origin = {"from": name, "revision": model.source.revision, **known, **inherit(model.source)}
        return _Part(model.source.folder, origin, learned)
    folder.mkdir()
    write_single(cut(encoder.reader.loaded, layer), folder, OutputHead(pooling))
    return _Part(folder, {**read_origin(folder).facts, **known, **inherit(model.source)}, learned)


def _copy_modules(source: Path, folder: Path, side: str) -> dict[str, str]:
    """Copy the modules of a folder into a router; return their classes by the names of their new subfolders."""
    made = {}
    for number, module in enumerate(read_modules(source)):
        name = f"{side}_{number}_{module.name}"
        (folder / name).mkdir()
        for path in _files_of(module, source):
            shutil.copyfile(path, folder / name / path.name)
        made[name] = module.type
    return made


def _files_of(module: SavedModule, source: Path) -> list[Path]:
    read = [path for path in file_set(source) if path.parent == module.folder and path.name not in _OF_FOLDER]
    return [*read, *(path for path in weight_files(source, [module]) if path.parent == module.folder)]


def _settings(pair: PairedEncoder, parts: Mapping[str, _Part]) -> dict[str, Any]:
    """Return sentence-transformers' settings of the whole model."""
    prompts = {
        "query": pair.queries.reader.model.query_prompt,
        "document": pair.documents.reader.model.document_prompt,
    }
    # Both sides have the same dimension, so what truncates one leaves the other as it is.
    shorter = {read_model_config(part.folder).truncate_dim for part in parts.values()} - {None}
    settings = {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": pair.similarity_fn_name}
    return {**settings, **({"truncate_dim": pair.documents.width} if shorter else {})}


def read_agreement(folder: Path) -> Agreement:
    """Return how many sample texts found themselves when a pair was saved."""
    return Agreement(**read_origin(folder).facts[_AGREEMENT])


def check_pair_folder(folder: Path, pair: PairedEncoder, *, fresh: bool = False) -> VectorChange:
    """Load a saved folder with plain sentence-transformers and compare its vectors with the encoders', side by side.

    Args:
        folder: The saved folder.
        pair: The saved pair.
        fresh: Whether to load it in a separate process.

    Returns:
        How far the vectors differ.

    Raises:
        ModelError: The folder cannot be loaded, or gives different vectors.
    """
    found = embed_in_fresh_process(folder, False) if fresh else embed_here(folder, False)
    expected = _expected(pair)
    exact = all(reader.model.dtype == torch.float32 for reader in pair.readers)
    for theirs, ours in zip(np.split(expected, 2), np.split(found, 2), strict=True):
        compare(theirs, ours, *(() if exact else (_HALF_TOLERANCE,)), folder=folder)
    return VectorChange.between(expected, found)


def _expected(pair: PairedEncoder) -> Embeddings:
    """Return the vectors of the sample texts `(2 N, D)`; a bare pooling is saved with the original's normalization."""
    halves = np.split(embed_samples(pair), 2)
    sides = (pair.queries, pair.documents)
    return np.concatenate([unit(half) if _scales(side) else half for half, side in zip(halves, sides, strict=True)])


def _scales(encoder: HookpointEncoder) -> bool:
    folder = encoder.reader.model.source.folder
    return folder.is_dir() and scales(read_model_config(folder), encoder.layer_pooling[1])
