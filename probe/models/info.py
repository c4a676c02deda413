"""Facts of a model: its files, the settings they ask for, and the facts that only loading it shows."""

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch

from probe.data.training_record import Learned, read_learned
from probe.errors import CallError, ModelError, check_type
from probe.io.model_files import file_set
from probe.io.model_kinds import LAYERLESS, kind_of
from probe.layers.hookpoint import OWN, TOWERS, split_name, split_tower
from probe.layers.padding import Batching
from probe.models.catalog import find_entry
from probe.models.device import pick_device, pick_dtype
from probe.models.hashes import hash_folder, hash_inputs, hash_parts, hash_whole
from probe.models.options import LoadOptions
from probe.models.published_config import ModelConfig, read_model_config, with_catalog, with_options
from probe.models.sources import ModelSource, find_source, is_folder, split_revision
from probe.models.tokenization import Role

__all__ = [
    "NO_LIMIT",
    "TOWER_CONFIGS",
    "ModelFacts",
    "ModelFiles",
    "ModelProfile",
    "build_profile",
    "check_tower",
    "find_files",
    "find_towers",
]

# Longest input of a model that takes any.
NO_LIMIT = 10**9
# Where a config of two towers keeps that of each.
TOWER_CONFIGS = {"image": "vision_config", "text": "text_config"}


@dataclass(frozen=True)
class _ModelIdentity:
    """What is known of a model before it is loaded.

    Attributes:
        source: Where its files are.
        dtype: What the encoder computes in; pooling and scores are float32 always.
        device: Where it runs.
        weights_hash: sha256 of its weight files.
        config_hash: sha256 of its config, of code its folder brings, and of whether it lower-cases.
        tokenizer_hash: sha256 of its tokenizer's files, or of all that decides an image's pixels.
        inputs_hash: sha256 of every file that makes tokens of texts.
        files_hash: sha256 of every other file of its folder that can change a vector, and of the options it is opened
            with.
        options: How it is to be loaded.
        learned: What its weights were trained on here.
        tower: `image` or `text` of a two-tower model, whose source has it in its name; None of a model of one.
    """

    source: ModelSource
    dtype: torch.dtype
    device: torch.device
    weights_hash: str
    config_hash: str
    tokenizer_hash: str
    inputs_hash: str
    files_hash: str
    options: LoadOptions
    learned: Learned
    tower: str | None

    @property
    def trust(self) -> bool:
        """Whether code in its folder may run."""
        return self.options.trust_remote_code


@dataclass(frozen=True)
class ModelFiles(_ModelIdentity):
    """A model's files, found and hashed, and how they are to be loaded; nothing is in memory yet.

    Attributes:
        config: What they ask for, the catalog's word before theirs, the caller's before both.
        layerless: What it is, such as a router, where it is an encoder without a stack of layers; else empty.
    """

    config: ModelConfig
    layerless: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts that only loading a model shows.

    Attributes:
        depth: Number of blocks; layers run from 0 to this.
        width: Dimension of its states; of a tower, whose projection is applied at every layer, of its embeddings.
        parameters: Parameters a model cut after each layer would keep, from layer 0 on.
        max_tokens: Longest input in tokens; `NO_LIMIT` where nothing limits it.
        notes: Shown under every table; nothing that changes a score.
        pooling: What its own vectors are called: a pooling where nothing but that decides their ranking, else `own`;
            None where it has none.
        refusal: Why it has none.
        own_width: Dimension of its own vectors.
        batching: Which texts may run together so that a vector depends on its text alone: of any length (`padded`), of
            one length (`equal`), or none (`single`).
        state_hashes: sha256 of all in its weights and config that decides the states of each layer, from 0 on.
        head_hash: sha256 of all that follows the last layer.
        settings_hash: sha256 of sentence-transformers' settings of the transformer.
        flops: Operations per token up to each layer, from 0 on, without those of attention that grow with the text.
        attention_width: Width of all heads of its attention together.
    """

    depth: int
    width: int
    parameters: tuple[int, ...]
    max_tokens: int
    notes: tuple[str, ...]
    pooling: str | None
    refusal: str = ""
    own_width: int = 0
    batching: Batching = "padded"
    state_hashes: tuple[str, ...] = ()
    head_hash: str = ""
    settings_hash: str = ""
    flops: tuple[int, ...] = ()
    attention_width: int = 0

    def width_of(self, pooling: str) -> int:
        """Return the dimension of the vectors that a pooling gives."""
        return self.own_width if pooling == OWN else self.width


@dataclass(frozen=True, repr=False)
class ModelProfile(ModelFacts, _ModelIdentity):
    """All that is to be known of a model without its weights in memory.

    Attributes:
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        similarity: How its own vectors are compared.
    """

    query_prompt: str
    document_prompt: str
    similarity: str

    @property
    def as_query(self) -> Role:
        """How it takes a query."""
        return Role("query", self.query_prompt)

    @property
    def as_document(self) -> Role:
        """How it takes a document."""
        return Role("document", self.document_prompt)

    def __repr__(self) -> str:
        dtype, longest = str(self.dtype).removeprefix("torch."), min(self.max_tokens, NO_LIMIT)
        limit = "" if longest == NO_LIMIT else f", max_tokens={longest}"
        return (
            f"{type(self).__name__}({self.source.name!r}, layers={self.depth}, width={self.width}, "
            f"pooling={self.pooling!r}{limit}, dtype={dtype}, device={self.device})"
        )


def build_profile(files: ModelFiles, facts: ModelFacts) -> ModelProfile:
    """Put together what a model's files say and what loading it showed."""
    return ModelProfile(
        **vars(facts),
        **{field.name: getattr(files, field.name) for field in fields(_ModelIdentity)},
        query_prompt=files.config.query_prompt,
        document_prompt=files.config.document_prompt,
        similarity=files.config.similarity,
    )


def find_files(name: str, options: LoadOptions) -> ModelFiles:
    """Find the files of an alias, hub id, folder or tower (`clip@image`), and say how they are to be loaded.

    Raises:
        CallError: The name or an option is wrong.
        ModelError: The files cannot be had.
    """
    check_type("options", options, LoadOptions)
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    model, tower = split_tower(name)
    bare = split_name(model)[1]
    entry = None if is_folder(bare) else find_entry(split_revision(bare)[0])
    if entry is not None:  # before anybody downloads it
        check_tower(bare, tower, entry.has_towers)
    source = find_source(model, options.revision)
    source = replace(source, name=source.name if tower is None else f"{source.name}@{tower}", typed=name)
    config = with_options(with_catalog(read_model_config(source.folder), source.entry, bare), options)
    config = replace(config, notes=(*source.warnings, *config.notes))
    check_tower(bare, tower, bool(find_towers(config.transformer)))
    kind, read = kind_of(source.folder), file_set(source.folder)
    if config.modules and config.modules[0].of_package:
        raise ModelError(
            f"'{name}' is a {config.modules[0].name}, no single transformer, so it has no layers: probe rank and "
            "adaptors.load_encoder open it as it stands"
        )
    return ModelFiles(
        source=source,
        config=config,
        dtype=dtype,
        device=device,
        options=options,
        **(hash_whole(source.folder, read) if kind.kind == LAYERLESS else hash_parts(config, tower, name)),
        inputs_hash=hash_inputs(read, config),
        files_hash=hash_folder(source.folder, read, config, options=options),
        learned=read_learned(source.folder),
        tower=tower,
        layerless=kind.name if kind.kind == LAYERLESS else "",
    )


def find_towers(folder: Path) -> tuple[str, ...]:
    """Return the towers of the model in a folder: `image` and `text`, or none where it has a single one."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    both = isinstance(config, dict) and all(isinstance(config.get(key), dict) for key in TOWER_CONFIGS.values())
    return TOWERS if both else ()


def check_tower(name: str, tower: str | None, both: bool) -> None:
    """Refuse a tower that is not there, and a model that has both without the name of one.

    Raises:
        CallError: It is so.
    """
    if tower is None and both:
        named = " or ".join(f"{name}@{other}" for other in TOWERS)
        raise CallError(f"'{name}' has two towers, one for images and one for texts: name one, as {named}")
    if tower is not None and not both:
        raise CallError(
            f"'{name}' has a single tower, for texts: leave out '@{tower}', or name a model of two, as clip@{tower}"
        )
