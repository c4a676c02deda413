"""Save an adapted encoder as a model, and open it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.description import (
    DESCRIPTION,
    SavedDescription,
    check_member,
    describe_member,
    read_adaptor,
    seen_texts,
)
from adaptors.encoders.st_modules import is_plain, read_top, top_modules
from adaptors.modules.base import Identity
from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import ModelError, check_type
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import Hookpoint
from probe.models.options import LoadOptions
from probe.models.published_config import read_model_config
from probe.store.store import Store
from surgery.cutting.cut import cut
from surgery.fusing.folder import FUSED_MODULE, is_fused, open_fused, write_fused
from surgery.fusing.model import FusedModel, widths_of
from surgery.saving.files import write_json, write_modules
from surgery.saving.heads import OutputHead
from surgery.saving.save import save_folder, write_model

__all__ = ["About", "SavedAdaptor", "is_plain_model", "open_adapted", "save_adapted"]


@dataclass(frozen=True)
class About:
    """The making of an adaptor, for its card and its description.

    Attributes:
        dataset: The data set it was fitted on.
        scores: How it retrieves, in Markdown; may be empty.
    """

    dataset: str
    scores: str = ""


@dataclass(frozen=True)
class SavedAdaptor:
    """An adapted encoder that was opened.

    Attributes:
        readers: One per model.
        encoder: The encoder, to be ranked; its name is the folder's.
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
    check: Callable[[Path], object] = lambda folder: None,
) -> Path:
    """Save an encoder with an adaptor.

    A linear adaptor on one hookpoint is saved as a cut model of sentence-transformers' own modules, which loads
    anywhere; on several it follows a fused model; and a network is a module of this package.

    Args:
        encoder: The encoder.
        readers: Of the models it reads, in float32.
        out: Folder to make; it is whole or not there.
        about: Its making.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written.
    """
    check_type("encoder", encoder, AdaptedEncoder)
    return save_folder(Path(out), lambda folder: _write(encoder, readers, folder, about=about), force, check=check)


def is_plain_model(encoder: AdaptedEncoder) -> bool:
    """Return whether it is saved as a model that loads without this package."""
    return len(encoder.points) == 1 and encoder.points[0].layer_pooling[0] > 0 and is_plain(encoder.module)


def _write(encoder: AdaptedEncoder, readers: Sequence[LayerReader], folder: Path, *, about: About) -> None:
    points, top = encoder.points, top_modules(encoder.module, encoder.dim)
    words = _describe_training(encoder, about.dataset)
    if len(points) == 1 and points[0].layer_pooling[0] > 0:
        layer, pooling = points[0].layer_pooling
        write_model(cut(readers[0].loaded, layer), folder, OutputHead(pooling, top, words, about.scores))
        members = [folder]
    else:
        members = write_fused(FusedModel(tuple(readers), encoder.fusion), folder, words, scores=about.scores)
        # The fused model's own line of modules.json, and the modules on top after it.
        paths = write_modules(folder, [FUSED_MODULE, *(module.type for module in top), "Normalize"])
        for module, path in zip(top, paths[1:], strict=False):
            module.write(path)
    description = SavedDescription(
        kind=encoder.adaptor.kind,
        labels=encoder.adaptor.labels,
        dataset=about.dataset,
        text_sha256="+".join(found for _, found in encoder.adaptor.seen) or None,
        seen=encoder.adaptor.seen,
        # The last module scales the vectors.
        top=[entry.path for entry in read_model_config(folder).modules[-1 - len(top) : -1]],
        fitted_to=[describe_member(member) for member in members],
    )
    write_json(folder / DESCRIPTION, description.model_dump())


def _describe_training(encoder: AdaptedEncoder, dataset: str) -> str:
    facts = encoder.adaptor
    how = "without labels" if facts.labels == "none" else f"with the judgements of its split {facts.labels}"
    form = "a linear map" if is_plain(encoder.module) else "a network"
    needs = "" if is_plain(encoder.module) else " It needs encoder-surgery installed, and `trust_remote_code=True`."
    return (
        f"On top is {form} to {encoder.dim} dimensions (`{facts.kind}`), fitted to the texts of {dataset} {how}; "
        f"nothing below it was trained.{needs}"
    )


def open_adapted(folder: str | Path, options: LoadOptions | None = None, store: Store | None = None) -> SavedAdaptor:
    """Open an adapted encoder.

    Args:
        folder: A folder that `save_adapted` made.
        options: How to load its models.
        store: Store of facts of models, if there is one.

    Returns:
        The encoder with its models' readers.

    Raises:
        CallError: The options ask for other prompts or inputs than the adaptor was fitted under.
        ModelError: The folder is damaged, or its models are not those the adaptor was fitted to.
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
            f"{Path(folder) / DESCRIPTION} tells of {len(description.fitted_to)} models, not {len(readers)}"
        )
    for member, reader in zip(description.fitted_to, readers, strict=True):
        check_member(member, reader.model)
    width = fusion.dim(widths_of(fusion.points, readers))
    # An encoder that was trained itself may have nothing on top.
    module = top or Identity(width)
    if module.width != width:
        raise ModelError(f"the adaptor in '{folder}' takes {module.width} dimensions, and its models give {width}")
    facts = AdaptorFacts(description.kind, description.labels, seen_texts(description), None, module.count_parameters())
    return SavedAdaptor(readers, AdaptedEncoder(fusion, module, module.dim, facts, str(folder)))
