"""Save an adapted encoder as a model folder, and open it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from adaptors.encoders.adapted import AdaptedEncoder, AdaptedModel
from adaptors.encoders.description import (
    DESCRIPTION,
    MapTarget,
    SavedDescription,
    check_member,
    describe_member,
    read_adaptor,
    seen_texts,
)
from adaptors.encoders.st_modules import is_plain, is_scale_free, read_top, top_modules
from adaptors.modules.base import Identity
from adaptors.quantizing.quantizer import Quantizer
from adaptors.quantizing.saved import write_quantizer
from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, check_type
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import Hookpoint
from probe.models.options import LoadOptions
from probe.models.published_config import read_model_config
from probe.results.formats import join_names
from probe.store.store import Store
from surgery.cutting.cut import cut
from surgery.fusing.folder import FUSED_MODULE, is_fused, open_fused, write_fused
from surgery.fusing.model import FusedModel, widths_of
from surgery.saving.files import write_json, write_modules
from surgery.saving.fresh_process import check_encoder_here
from surgery.saving.heads import OutputHead
from surgery.saving.save import save_folder, write_model
from surgery.saving.weights import check_dtype, store_weights

__all__ = ["About", "SavedAdaptor", "is_plain_model", "open_adapted", "save_adapted"]


@dataclass(frozen=True)
class About:
    """Facts about a fit, for the model card and the description.

    Attributes:
        dataset: The data set the adaptor was fitted on; of several, the adaptor itself knows the names.
        scores: Retrieval scores, in Markdown; may be empty.
    """

    dataset: str
    scores: str = ""


@dataclass(frozen=True)
class SavedAdaptor:
    """An opened adapted encoder.

    Attributes:
        readers: One per model.
        encoder: The encoder, named after the folder.
    """

    readers: tuple[LayerReader, ...]
    encoder: AdaptedEncoder


def save_adapted(
    encoder: AdaptedEncoder,
    readers: Sequence[LayerReader],
    out: str | Path,
    *,
    about: About,
    force: bool = False,
    check: Callable[[Path], object] | None = None,
    weights_dtype: str | None = None,
    quantizer: Quantizer | None = None,
) -> Path:
    """Save an encoder with an adaptor.

    A linear adaptor on one hookpoint is saved as a cut model with sentence-transformers' own modules, which loads
    without this package. On several hookpoints it follows a fused model. Non-linear adaptors are a module of this
    package.

    Args:
        encoder: The encoder.
        readers: Readers of its models, in float32.
        out: Folder to create; it is written completely or not at all.
        about: Facts about the fit.
        force: Replace a folder written by an earlier save.
        check: Called with the finished folder before it is renamed to `out`; if it raises, nothing is saved. Default:
            load the folder in this process and compare its vectors with the encoder's.
        weights_dtype: Store all weights in `float32`, `float16` or `bfloat16`; default: as the originals' files do, and
            the adaptor in float32. The model is loaded in float32 all the same.
        quantizer: Quantizer of its documents, for `load_quantizer`.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the dtype is unknown.
        ModelError: The files cannot be written, or float16 cannot hold the weights.
    """
    check_dtype(weights_dtype)
    check_type("encoder", encoder, AdaptedEncoder)
    if [point.layer_pooling[0] for point in encoder.points] == [0]:
        raise CallError(f"'{encoder}' is layer 0, the embeddings only, not an encoder: adapt layer 1 or higher")
    model = AdaptedModel(FusedModel(tuple(readers), encoder.fusion), encoder)
    trust = not is_plain_model(encoder) or any(reader.model.trust for reader in readers)
    exact = all(reader.model.dtype == torch.float32 for reader in readers)
    compare = check or (lambda folder: check_encoder_here(folder, model, trust, exact=exact))

    def write(folder: Path) -> None:
        """Write the folder, with its weights in the dtype."""
        members = _write(encoder, readers, folder, about=about)
        # Before the description, which has the hash of the weights.
        store_weights(folder, weights_dtype)
        _write_description(encoder, members, folder, about=about)
        if quantizer is not None:
            write_quantizer(quantizer, folder, [name for name, _ in encoder.adaptor.seen] or [about.dataset])

    return save_folder(Path(out), write, force, check=compare)


def is_plain_model(encoder: AdaptedEncoder) -> bool:
    """Return whether an encoder is saved as a model that loads without this package."""
    return len(encoder.points) == 1 and encoder.points[0].layer_pooling[0] > 0 and is_plain(encoder.module)


def _write(encoder: AdaptedEncoder, readers: Sequence[LayerReader], folder: Path, *, about: About) -> list[Path]:
    """Write an encoder without its description; return the folders of its models."""
    points, top = encoder.points, top_modules(encoder.module, encoder.dim)
    words = _describe_training(encoder, about.dataset)
    if len(points) == 1 and points[0].layer_pooling[0] > 0:
        layer, pooling = points[0].layer_pooling
        write_model(cut(readers[0].loaded, layer), folder, OutputHead(pooling, top, words, about.scores))
        members = [folder]
    else:
        members = write_fused(FusedModel(tuple(readers), encoder.fusion), folder, words, scores=about.scores)
        # The fused model's entry of modules.json, followed by the modules on top.
        paths = write_modules(folder, [FUSED_MODULE, *(module.type for module in top), "Normalize"])
        for module, path in zip(top, paths[1:], strict=False):
            module.write(path)
    return members


def _write_description(encoder: AdaptedEncoder, members: Sequence[Path], folder: Path, *, about: About) -> None:
    top = top_modules(encoder.module, encoder.dim)
    description = SavedDescription(
        kind=encoder.adaptor.kind,
        labels=encoder.adaptor.labels,
        dataset="+".join(name for name, _ in encoder.adaptor.seen) or about.dataset,
        text_sha256="+".join(found for _, found in encoder.adaptor.seen) or None,
        seen=encoder.adaptor.seen,
        # The last module is the normalization.
        top=[entry.path for entry in read_model_config(folder).modules[-1 - len(top) : -1]],
        fitted_to=[describe_member(member) for member in members],
        maps_to=encoder.maps_to,
    )
    write_json(folder / DESCRIPTION, description.model_dump())


def _describe_training(encoder: AdaptedEncoder, dataset: str) -> str:
    facts = encoder.adaptor
    names = join_names([name for name, _ in facts.seen]) if len(facts.seen) > 1 else dataset
    splits = f"its {facts.labels} split" if len(facts.seen) < 2 else f"their {facts.labels} splits"
    how = "without labels" if facts.labels == "none" else f"with the relevance labels of {splits}"
    form = "a linear map" if is_plain(encoder.module) else "a network"
    form += " without a bias" if is_scale_free(encoder.module) else ""
    needs = "" if is_plain(encoder.module) else " It needs encoder-surgery and `trust_remote_code=True`."
    return (
        f"On top is {form} to {encoder.dim} dimensions (`{facts.kind}`), fitted to the texts of {names} {how}; "
        f"the layers below were not trained.{needs}{_describe_target(encoder.maps_to)}"
        + "".join(f" Note: {note}." for note in encoder.notes)
    )


def _describe_target(target: MapTarget | None) -> str:
    """Return what the vectors of a map are for, as sentences; empty for other adaptors."""
    if target is None:
        return ""
    other = {"queries": "documents", "documents": "queries"}[target.side]
    hashes = join_names([member.weights_sha256[:12] for member in target.members])
    return (
        f" Its vectors of {target.side} are in the space of `{target.encoder}` (weights {hashes}), to be compared with "
        f"that encoder's {other}. Fit the map again when that encoder changes."
    )


def open_adapted(folder: str | Path, options: LoadOptions | None = None, store: Store | None = None) -> SavedAdaptor:
    """Open an adapted encoder.

    Args:
        folder: A folder written by `save_adapted`.
        options: How to load its models.
        store: Store with cached model facts, if any.

    Returns:
        The encoder with its models' readers.

    Raises:
        CallError: The options differ from the prompts or the maximum input length of the fit.
        ModelError: The folder is damaged, or its models have changed since the fit.
    """
    check_type("folder", folder, str | Path, expected="the path of a folder")
    description = read_adaptor(Path(folder))
    top = read_top([Path(folder) / name for name in description.top]) if description.top else None
    if is_fused(folder):
        model = open_fused(folder, options, store)
        readers, fusion = model.readers, model.fusion
    else:
        below = replace(options or LoadOptions(), stop_before=description.top[0] if description.top else None)
        reader = open_reader(str(folder), below, store)
        readers = (reader,)
        fusion = Fusion((Hookpoint(str(folder), reader.model.depth, own_pooling(reader.model)),))
    if len(description.fitted_to) != len(readers):
        raise ModelError(
            f"{Path(folder) / DESCRIPTION} describes {len(description.fitted_to)} models, but the folder has "
            f"{len(readers)}"
        )
    for member, reader in zip(description.fitted_to, readers, strict=True):
        check_member(member, reader.model)
    width = fusion.dim(widths_of(fusion.points, readers))
    # A tuned or healed encoder may have no adaptor on top.
    module = top or Identity(width)
    if module.width != width:
        raise ModelError(f"the adaptor in '{folder}' expects {module.width} dimensions, but its models give {width}")
    facts = AdaptorFacts(description.kind, description.labels, seen_texts(description), None, module.count_parameters())
    encoder = AdaptedEncoder(fusion, module, module.dim, facts, str(folder), maps_to=description.maps_to)
    return SavedAdaptor(readers, encoder)
