"""Save an adapted encoder as a model, and open it again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adaptors.adapted import Adapted
from adaptors.base import Identity
from adaptors.members import Member, check_member, describe_member
from adaptors.top import is_plain, read_top, top_modules
from probe.description import Description, read_description
from probe.errors import ModelError
from probe.evaluation import AdaptorFacts
from probe.fusions import Fusion
from probe.hookpoint import Hookpoint
from probe.hookpoints import own_pooling
from probe.learned import Learned, join_learned, read_learned, write_learned
from probe.model_config import note_left_out
from probe.opening import open_reader
from probe.options import LoadOptions
from probe.profile import ModelProfile
from probe.reader import LayerReader
from probe.store import Store
from surgery.cutting import cut
from surgery.folder import save_folder, write_model
from surgery.fused_folder import FUSED_MODULE, is_fused, open_fused, write_fused
from surgery.fusing import FusedModel
from surgery.heads import OutputHead
from surgery.model_files import write_json, write_modules

__all__ = [
    "About",
    "SavedAdaptor",
    "TrainedOn",
    "describe_anew",
    "is_adapted",
    "is_plain_model",
    "open_adapted",
    "save_adapted",
]

_DESCRIPTION = "adaptor.json"


class _Description(Description):
    """What adaptor.json holds."""

    kind: str
    labels: str
    dataset: str
    text_sha256: str | None
    top: list[str]
    fitted_to: list[Member]


@dataclass(frozen=True)
class About:
    """What a saved adaptor's card and description say of its making.

    Attributes:
        dataset: What it was fitted on.
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
    encoder: Adapted


@dataclass(frozen=True)
class TrainedOn:
    """What the weights of an encoder were trained on.

    Attributes:
        kind: What was made of it: `tuned` or `healed`.
        seen: Name of every data set whose texts were looked at, and sha256 of its documents.
        labels: `none`, or the split whose judgements were learned.
    """

    kind: str
    seen: tuple[tuple[str, str], ...]
    labels: str = "none"

    @property
    def learned(self) -> Learned:
        """The same, as a model's folder says it."""
        return Learned(() if self.labels == "none" else (self.labels,), self.seen)


def is_adapted(folder: str | Path) -> bool:
    """Return whether a folder holds an adapted encoder of ours."""
    return (Path(folder) / _DESCRIPTION).is_file()


def save_adapted(
    encoder: Adapted,
    readers: Sequence[LayerReader],
    out: Path,
    about: About,
    force: bool = False,
    check: Callable[[Path], object] = lambda folder: None,
) -> Path:
    """Save an encoder with an adaptor.

    A linear adaptor on one hookpoint is saved as a cut model of sentence-transformers' own modules, which loads
    anywhere; on several it follows a fused model; and a network is a module of this package.

    Args:
        encoder: What to save.
        readers: Of the models it reads, in float32.
        out: Folder to make; it is whole or not there.
        about: What its card says of its making.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written.
    """
    return save_folder(out, lambda folder: _write(encoder, readers, folder, about), force, check)


def is_plain_model(encoder: Adapted) -> bool:
    """Return whether it is saved as a model that loads without this package."""
    return len(encoder.points) == 1 and encoder.points[0].layer_pooling[0] > 0 and is_plain(encoder.module)


def _write(encoder: Adapted, readers: Sequence[LayerReader], folder: Path, about: About) -> None:
    points, top, words = encoder.points, top_modules(encoder.module, encoder.dim), _words(encoder, about.dataset)
    if len(points) == 1 and points[0].layer_pooling[0] > 0:
        layer, pooling = points[0].layer_pooling
        write_model(cut(readers[0].loaded, layer), folder, OutputHead(pooling, top, words, about.scores))
        members, first = [folder], 3
    else:
        members = write_fused(FusedModel(tuple(readers), encoder.fusion), folder, words, about.scores)
        # The fused model's own line of modules.json, and what is on top of it after it.
        paths = write_modules(folder, [FUSED_MODULE, *(module.type for module in top), "Normalize"])
        for module, path in zip(top, paths[1:], strict=False):
            module.write(path)
        first = 1
    description = _Description(
        kind=encoder.adaptor.kind,
        labels=encoder.adaptor.labels,
        dataset=about.dataset,
        text_sha256=encoder.adaptor.fitted_on and encoder.adaptor.fitted_on[1],
        top=[f"{first + place}_{module.type.rpartition('.')[2]}" for place, module in enumerate(top)],
        fitted_to=[describe_member(member) for member in members],
    )
    write_json(folder / _DESCRIPTION, description.model_dump())


def describe_anew(folder: Path, trained: TrainedOn, members: Sequence[str]) -> None:
    """Say of a folder whose weights were trained what it is now.

    Args:
        folder: The folder.
        trained: What its weights were trained on.
        members: Folders of its models inside it; the empty name is the folder itself.

    Raises:
        ModelError: It holds a description that cannot be read.
    """
    before = _read(folder) if is_adapted(folder) else None
    # What was fitted to a text has seen it, whatever it is trained on later.
    parts = [_learned(before) if before else Learned(), *(read_learned(folder / member) for member in members)]
    learned = join_learned([*parts, trained.learned])
    for member in members:
        write_learned(learned, folder / member)
    description = _Description(
        kind=trained.kind,
        labels="+".join(learned.labels) or "none",
        dataset="+".join(name for name, _ in learned.seen),
        text_sha256="+".join(text_hash for _, text_hash in learned.seen) or None,
        top=before.top if before else [],
        fitted_to=[describe_member(folder / member) for member in members],
    )
    write_json(folder / _DESCRIPTION, description.model_dump())


def _learned(description: _Description) -> Learned:
    names, hashes = description.dataset.split("+"), (description.text_sha256 or "").split("+")
    labels = tuple(name for name in description.labels.split("+") if name != "none")
    return Learned(labels, tuple(zip(names, hashes, strict=False)) if description.text_sha256 else ())


def _words(encoder: Adapted, dataset: str) -> str:
    facts = encoder.adaptor
    how = "without labels" if facts.labels == "none" else f"with the judgements of its split {facts.labels}"
    what = "a linear map" if is_plain(encoder.module) else "a network"
    needs = "" if is_plain(encoder.module) else " It needs encoder-surgery installed, and `trust_remote_code=True`."
    return (
        f"On top is {what} to {encoder.dim} dimensions (`{facts.kind}`), fitted to the texts of {dataset} {how}; "
        f"nothing below it was trained.{needs}"
    )


def open_adapted(folder: str | Path, options: LoadOptions | None = None, store: Store | None = None) -> SavedAdaptor:
    """Open an adapted encoder.

    Args:
        folder: What `save_adapted` made.
        options: How to load its models.
        store: Where facts of models are kept, if anywhere.

    Returns:
        The encoder with its models' readers.

    Raises:
        CallError: The options ask for other prompts or inputs than the adaptor was fitted under.
        ModelError: The folder is damaged, or its models are not those the adaptor was fitted to.
    """
    description = _read(Path(folder))
    if is_fused(folder):
        model = open_fused(folder, options, store)
        readers, fusion = model.readers, model.fusion
    else:
        reader = open_reader(str(folder), options, store)
        reader.model = _without_note(reader.model, description.top)
        readers = (reader,)
        fusion = Fusion((Hookpoint(str(folder), reader.model.depth, own_pooling(reader.model)),))
    if len(description.fitted_to) != len(readers):
        raise ModelError(
            f"{Path(folder) / _DESCRIPTION} tells of {len(description.fitted_to)} models, not {len(readers)}"
        )
    for member, reader in zip(description.fitted_to, readers, strict=True):
        check_member(member, reader.model)
    widths = {reader.model.source.name: reader.model.width for reader in readers}
    width = fusion.dim([widths[point.model] for point in fusion.points])
    # An encoder that was trained itself may have nothing on top.
    module = read_top([Path(folder) / name for name in description.top]) if description.top else Identity(width)
    if module.width != width:
        raise ModelError(f"the adaptor in '{folder}' takes {module.width} dimensions, and its models give {width}")
    seen = (description.dataset, description.text_sha256) if description.text_sha256 else None
    facts = AdaptorFacts(description.kind, description.labels, seen, None, module.count_parameters())
    return SavedAdaptor(readers, Adapted(fusion, module, module.dim, facts, str(folder)))


def _without_note(model: ModelProfile, top: Sequence[str]) -> ModelProfile:
    """Return a model without the note that the adaptor on top of it is not applied: here it is."""
    applied = note_left_out([name.partition("_")[2] for name in top])
    return replace(model, notes=tuple(note for note in model.notes if note != applied))


def _read(folder: Path) -> _Description:
    path = folder / _DESCRIPTION
    description = read_description(path, _Description)
    for name in description.top:
        if Path(name).name != name:
            raise ModelError(f"{path} names '{name}': expected the name of a folder beside it")
    return description
