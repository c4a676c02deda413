"""The description in an adapted encoder's folder: its adaptor and the models the adaptor was fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from probe.data.training_record import Learned, join_learned, name_seen, read_learned, write_learned
from probe.errors import CallError, ModelError
from probe.io.saved_json import Description, Part, read_description
from probe.models.info import ModelProfile, find_files
from probe.models.options import LoadOptions
from surgery.saving.files import write_json

__all__ = [
    "DESCRIPTION",
    "MapTarget",
    "Member",
    "SavedDescription",
    "TargetMember",
    "TrainedOn",
    "check_member",
    "describe_member",
    "describe_trained",
    "is_adapted",
    "read_adaptor",
    "seen_texts",
]

DESCRIPTION = "adaptor.json"


class Member(Part):
    """A model's state when the adaptor was fitted to it."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    query_prompt: str
    document_prompt: str
    max_tokens: int | None


def describe_member(folder: Path) -> Member:
    """Return the hashes, prompts and maximum input length of the model in a folder."""
    files = find_files(str(folder), LoadOptions(dtype="float32", device="cpu"))
    return Member(
        weights_sha256=files.weights_hash,
        config_sha256=files.config_hash,
        tokenizer_sha256=files.tokenizer_hash,
        query_prompt=files.config.query_prompt,
        document_prompt=files.config.document_prompt,
        max_tokens=files.config.max_tokens,
    )


def check_member(member: Member, model: ModelProfile) -> None:
    """Check that a model is the one an adaptor was fitted to.

    Args:
        member: The model the adaptor was fitted to.
        model: The model in the folder.

    Raises:
        CallError: It was opened with other prompts or another maximum input length.
        ModelError: Its files have changed.
    """
    found = (model.weights_hash, model.config_hash, model.tokenizer_hash)
    if found != (member.weights_sha256, member.config_sha256, member.tokenizer_sha256):
        raise ModelError(
            f"'{model.source.name}' is not the model its adaptor was fitted to: its files have changed; fit it again"
        )
    if (model.query_prompt, model.document_prompt) != (member.query_prompt, member.document_prompt):
        raise CallError(
            f"the adaptor in '{model.source.name}' was fitted with the prompts {member.query_prompt!r} and "
            f"{member.document_prompt!r}: remove --query-prompt and --document-prompt"
        )
    if model.max_tokens != member.max_tokens:
        raise CallError(
            f"the adaptor in '{model.source.name}' was fitted with at most {member.max_tokens} tokens: remove "
            "--max-tokens"
        )


class TargetMember(Member):
    """A model in whose space vectors are mapped, and where it is read."""

    layer: int
    pooling: str


class MapTarget(Part):
    """The encoder in whose space an adaptor maps one side of a search."""

    side: Literal["queries", "documents"]
    encoder: str
    members: list[TargetMember]
    # Of the adaptor on top of its models, if it has one.
    adaptor_sha256: str | None = None


class SavedDescription(Description):
    """The content of adaptor.json."""

    kind: str
    labels: str
    dataset: str
    text_sha256: str | None
    top: list[str]
    fitted_to: list[Member]
    # Separate fields, because names may contain the `+` that joins them above; None in older folders.
    seen: tuple[tuple[str, str], ...] | None = None
    # Only of a map between models.
    maps_to: MapTarget | None = None


@dataclass(frozen=True)
class TrainedOn:
    """The texts and labels that the weights of an encoder were trained on.

    Attributes:
        kind: `tuned` or `healed`.
        seen: Name of every data set whose texts were used, and the sha256 of its documents.
        labels: `none`, or the split whose relevance labels were used.
    """

    kind: str
    seen: tuple[tuple[str, str], ...]
    labels: str = "none"

    @property
    def learned(self) -> Learned:
        """The same as a training record of a model's folder."""
        return Learned(() if self.labels == "none" else (self.labels,), self.seen)


def is_adapted(folder: str | Path) -> bool:
    """Return whether a folder holds an adapted encoder saved by this package."""
    return (Path(folder) / DESCRIPTION).is_file()


def read_adaptor(folder: Path) -> SavedDescription:
    """Read the description in an adapted encoder's folder.

    Raises:
        ModelError: It is damaged.
    """
    path = folder / DESCRIPTION
    description = read_description(path, SavedDescription)
    for name in description.top:
        if Path(name).name != name:
            raise ModelError(f"{path}: module '{name}': expected the name of a subfolder beside this file")
    return description


def describe_trained(folder: Path, trained: TrainedOn, members: Sequence[str]) -> None:
    """Update the description of a folder after its weights were trained.

    Args:
        folder: The folder.
        trained: The texts and labels of the training.
        members: Subfolders of its models; the empty name is the folder itself.

    Raises:
        ModelError: The existing description cannot be read.
    """
    before = read_adaptor(folder) if is_adapted(folder) else None
    # Texts seen in the fit remain recorded after further training.
    parts = [_learned(before) if before else Learned(), *(read_learned(folder / member) for member in members)]
    learned = join_learned([*parts, trained.learned])
    for member in members:
        write_learned(learned, folder / member)
    description = SavedDescription(
        kind=trained.kind,
        labels="+".join(learned.labels) or "none",
        dataset="+".join(name for name, _ in learned.seen),
        text_sha256="+".join(text_hash for _, text_hash in learned.seen) or None,
        top=before.top if before else [],
        fitted_to=[describe_member(folder / member) for member in members],
        seen=learned.seen,
    )
    write_json(folder / DESCRIPTION, description.model_dump())


def _learned(description: SavedDescription) -> Learned:
    labels = tuple(name for name in description.labels.split("+") if name != "none")
    return Learned(labels, seen_texts(description))


def seen_texts(description: SavedDescription) -> tuple[tuple[str, str], ...]:
    """Return the name of every data set whose texts a fit used, and the sha256 of its documents."""
    return name_seen(description.seen, description.dataset, description.text_sha256)
