"""A fused model as a folder: each member a complete model, and a file that describes the fusion."""

import re
from collections.abc import Callable
from pathlib import Path

import torch

from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.paired import PairedEncoder
from probe.errors import CallError, ModelError, check_type
from probe.evaluation.fusion import Fusion
from probe.io.saved_json import Description, Part, read_description
from probe.models.options import LoadOptions
from probe.store.store import Store
from surgery.cutting.blocks import CutModel
from surgery.cutting.cut import cut
from surgery.fusing.card import write_fused_card
from surgery.fusing.model import FusedModel, refuse_towers, widths_of
from surgery.pairing.folder import save_pair
from surgery.saving.files import PROVENANCE, provenance, write_json, write_modules
from surgery.saving.fresh_process import check_encoder_here
from surgery.saving.heads import OutputHead
from surgery.saving.origin import join_origins
from surgery.saving.save import save as save_cut
from surgery.saving.save import save_folder, write_model
from surgery.saving.weights import VectorChange, check_dtype, store_weights
from surgery.vocabulary.model import TrimmedModel
from surgery.vocabulary.save import check_trimmed, write_trimmed_model

__all__ = ["FUSED_MODULE", "FUSED_MODULES", "is_fused", "open_fused", "save", "write_fused"]

_DESCRIPTION = "fused.json"
# Prefix of a member's folder name.
_NUMBER = re.compile(r"^[0-9]+_")
# The class that sentence-transformers imports, if this package is installed and the user trusts it.
FUSED_MODULE = "surgery.FusedModule"
# Older folders use the class's former import path.
FUSED_MODULES = (FUSED_MODULE, "surgery.fused_module.FusedModule")


class _Block(Part):
    """One hookpoint of a fused model."""

    member: str
    layer: int
    pooling: str


class _Description(Description):
    """The content of fused.json."""

    method: str
    weights: list[float] | None
    blocks: list[_Block]


def is_fused(folder: str | Path) -> bool:
    """Return whether a folder holds a fused model saved by this package."""
    return (Path(folder) / _DESCRIPTION).is_file()


def save(
    model: CutModel | FusedModel | TrimmedModel | PairedEncoder,
    out: str | Path,
    head: OutputHead | None = None,
    *,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
    scores: str = "",
    weights_dtype: str | None = None,
) -> Path:
    """Save a model as a folder that sentence-transformers loads.

    Args:
        model: The result of `cut`, `keep`, `fuse`, `trim` or `pair`.
        out: Folder to create; it is written completely or not at all.
        head: Pooling and modules after the blocks of a cut model; default: its own pooling.
        force: Replace a folder written by an earlier save.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Default:
            load the folder in this process and compare its vectors with the model's.
        scores: Retrieval scores of a fused, trimmed or paired model, in Markdown, for its card; those of a cut model
            are in its head.
        weights_dtype: Store the weights in `float32`, `float16` or `bfloat16`; default: as the original's files do.
            The model is loaded in float32 all the same.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, the model has no pooling and none was given, or the dtype is unknown.
        ModelError: The files cannot be written, or float16 cannot hold the weights.
    """
    kinds = CutModel | FusedModel | TrimmedModel | PairedEncoder
    check_type("model", model, kinds, expected="the result of cut, keep, fuse, trim or pair")
    if isinstance(model, CutModel):
        return save_cut(model, Path(out), head, force=force, check=check, weights_dtype=weights_dtype)
    if isinstance(model, PairedEncoder):
        return save_pair(model, Path(out), force=force, check=check, scores=scores, weights_dtype=weights_dtype)
    check_dtype(weights_dtype)

    def write(folder: Path) -> None:
        """Write the folder, with its weights in the dtype."""
        if isinstance(model, TrimmedModel):
            write_trimmed_model(model, folder, scores)
        else:
            write_fused(model, folder, scores=scores)
        store_weights(folder, weights_dtype)

    return save_folder(Path(out), write, force, check=check or (lambda folder: _check(folder, model)))


def _check(folder: Path, model: FusedModel | TrimmedModel) -> VectorChange:
    if isinstance(model, TrimmedModel):
        return check_trimmed(folder, model)
    return check_encoder_here(folder, model, True, exact=_is_exact(model))


def _is_exact(model: FusedModel) -> bool:
    return all(reader.model.dtype == torch.float32 for reader in model.readers)


def write_fused(
    model: FusedModel, folder: Path, words: str = "Nothing was trained.", *, scores: str = ""
) -> list[Path]:
    """Write a fused model into an empty folder; each member is cut after its deepest hookpoint.

    Args:
        model: The model.
        folder: Destination folder.
        words: Sentence on the training on top, for the model card.
        scores: Retrieval scores, in Markdown, for the model card.

    Returns:
        The members' folders, in the order of the model's readers.

    Raises:
        CallError: A member is one tower of a two-tower model.
    """
    refuse_towers([str(point) for point in model.fusion.points])
    members: dict[str, str] = {}
    origins = []
    for number, reader in enumerate(model.readers):
        points = model.points_of(reader)
        # A model needs a block, even if only its embeddings are read.
        short = cut(reader.loaded, max(1, *(point.layer_pooling[0] for point in points)))
        name = _NUMBER.sub("", Path(reader.model.source.name).name)
        members[reader.model.source.name] = f"{number}_{name}"
        inside = folder / members[reader.model.source.name]
        inside.mkdir()
        write_model(short, inside, OutputHead(points[0].layer_pooling[1]))
        origins.append(provenance(short, points[0].layer_pooling[1]))
    fusion = model.fusion
    blocks = [
        _Block(member=members[p.model], layer=p.layer_pooling[0], pooling=p.layer_pooling[1]) for p in fusion.points
    ]
    weights = None if fusion.weights is None else list(fusion.weights)
    description = _Description(method=fusion.method, weights=weights, blocks=blocks)
    write_json(folder / _DESCRIPTION, description.model_dump())
    write_modules(folder, [FUSED_MODULE])
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine"})
    write_json(folder / PROVENANCE, {"fused": origins, **join_origins(origins)})
    write_fused_card(model, folder, words, scores=scores)
    return [folder / member for member in members.values()]


def open_fused(folder: str | Path, options: LoadOptions | None = None, store: Store | None = None) -> FusedModel:
    """Open a fused model; no code outside this package is run.

    Args:
        folder: A folder written by `save`.
        options: Load options; prompts and the maximum input length apply to all members.
        store: Store with cached model facts, if any.

    Returns:
        The model, named after the folder.

    Raises:
        ModelError: The folder is damaged.
    """
    check_type("folder", folder, str | Path, expected="the path of a folder")
    description = _read(Path(folder))
    names = {block.member: f"{str(folder).rstrip('/')}/{block.member}" for block in description.blocks}
    readers = {member: open_reader(name, options, store) for member, name in names.items()}
    weights = None if description.weights is None else tuple(description.weights)
    try:
        points = [
            select_hookpoints(readers[block.member].model, str(block.layer), [block.pooling])[0]
            for block in description.blocks
        ]
        fusion = Fusion(tuple(points), weights, description.method, str(folder))
        fusion.dim(widths_of(points, list(readers.values())))
    except CallError as error:
        raise ModelError(f"{Path(folder) / _DESCRIPTION} does not fit its members: {error}") from error
    return FusedModel(tuple(readers.values()), fusion)


def _read(folder: Path) -> _Description:
    path = folder / _DESCRIPTION
    description = read_description(path, _Description)
    for block in description.blocks:
        # A plain name: nothing outside the folder is ever opened.
        if Path(block.member).name != block.member or not (folder / block.member).is_dir():
            raise ModelError(f"{path}: member '{block.member}': expected the name of a subfolder beside this file")
    return description
