"""Facts about a model: its files, their settings, and properties known only after loading."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from probe.data.training_record import Learned, read_learned
from probe.errors import CallError, ModelError, check_type
from probe.io.model_files import Route, file_set, read_routes
from probe.io.model_kinds import LAYERLESS, kind_of
from probe.io.package_data import VECTOR_LIBRARIES, library_versions
from probe.layers.hookpoint import OWN, TOWERS, split_name, split_route, split_tower
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
    "known_facts",
]

# Maximum length of a model without a limit.
NO_LIMIT = 10**9
# Entries of a two-tower config that hold the configs of the towers.
TOWER_CONFIGS = {"image": "vision_config", "text": "text_config"}


@dataclass(frozen=True)
class _ModelIdentity:
    """Facts known before a model is loaded.

    Attributes:
        source: Location of its files.
        dtype: Dtype of the encoder; pooling and scores always use float32.
        device: Device of the encoder.
        weights_hash: sha256 of its weight files.
        config_hash: sha256 of its config, of code in its folder, and of lower-casing.
        tokenizer_hash: sha256 of its tokenizer's files, or of everything that determines an image's pixels.
        inputs_hash: sha256 of all files used to tokenize texts.
        files_hash: sha256 of all other files of its folder that can change a vector, and of the options it is loaded
            with.
        options: Load options.
        learned: Training data of its weights, if trained by this package.
        tower: `image` or `text` for one tower, whose name is part of the source's name; None otherwise.
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
    """A model's files, located and hashed but not loaded, with load options.

    Attributes:
        config: Settings; options override the catalog, which overrides the files.
        layerless: Kind of an encoder without layers, such as a router; else empty.
        routed: Whether it is a router that is read by its two routes, `query` and `document`.
    """

    config: ModelConfig
    layerless: str = ""
    routed: bool = False

    def describe(self) -> dict[str, Any]:
        """Return everything that determines the facts of the model, as plain values."""
        return {
            "facts": [field.name for field in fields(ModelFacts)],
            "files": [self.weights_hash, self.config_hash, self.tokenizer_hash, self.files_hash],
            # The location of its modules does not matter, and their content is covered by the files.
            "config": {k: value for k, value in asdict(self.config).items() if k not in ("transformer", "modules")},
            "max_tokens": self.options.max_tokens,
            "refusal": self.source.refusal,
            # Weights are loaded, checked and hashed in the dtype in which they are used.
            "dtype": str(self.dtype),
            "libraries": library_versions(VECTOR_LIBRARIES),
        }


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """Facts known only after loading a model.

    Attributes:
        depth: Number of blocks; layers are numbered from 0 to this.
        width: Dimension of its states; for a tower, of its embeddings (its projection is applied at every layer).
        parameters: Number of parameters kept by a cut after each layer, from layer 0 on.
        max_tokens: Maximum input length in tokens; `NO_LIMIT` without a limit.
        notes: Notes under every table; they change no score.
        pooling: Name of its own vectors: a bare pooling if that alone determines their ranking, else `own`; None if it
            has none.
        refusal: Why it has no own vectors.
        own_width: Dimension of its own vectors.
        batching: Which texts may share a batch so that a vector depends on its text alone: any lengths (`padded`),
            equal lengths (`equal`), or none (`single`).
        state_hashes: sha256 of all weights and settings that determine the states of each layer, from 0 on.
        head_hash: sha256 of everything after the last layer.
        settings_hash: sha256 of sentence-transformers' settings of the transformer.
        flops: FLOPs per token up to each layer, from 0 on, without the part of attention that grows with the text.
        attention_width: Total width of all attention heads.
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
        """Return the dimension of a pooling's vectors."""
        return self.own_width if pooling == OWN else self.width


@dataclass(frozen=True, repr=False)
class ModelProfile(ModelFacts, _ModelIdentity):
    """All facts about a model, without its weights.

    Attributes:
        query_prompt: Prefix of every query.
        document_prompt: Prefix of every document.
        similarity: Similarity function of its own vectors.
    """

    query_prompt: str
    document_prompt: str
    similarity: str

    @property
    def as_query(self) -> Role:
        """Role of queries."""
        return Role("query", self.query_prompt)

    @property
    def as_document(self) -> Role:
        """Role of documents."""
        return Role("document", self.document_prompt)

    def __repr__(self) -> str:
        dtype, longest = str(self.dtype).removeprefix("torch."), min(self.max_tokens, NO_LIMIT)
        limit = "" if longest == NO_LIMIT else f", max_tokens={longest}"
        return (
            f"{type(self).__name__}({self.source.name!r}, layers={self.depth}, width={self.width}, "
            f"pooling={self.pooling!r}{limit}, dtype={dtype}, device={self.device})"
        )


def build_profile(files: ModelFiles, facts: ModelFacts) -> ModelProfile:
    """Combine the facts known before and after loading."""
    return ModelProfile(
        **vars(facts),
        **{field.name: getattr(files, field.name) for field in fields(_ModelIdentity)},
        query_prompt=files.config.query_prompt,
        document_prompt=files.config.document_prompt,
        similarity=files.config.similarity,
    )


def known_facts(profile: ModelProfile) -> ModelFacts:
    """Return the facts of a profile that were found by loading the model."""
    return ModelFacts(**{field.name: getattr(profile, field.name) for field in fields(ModelFacts)})


def find_files(name: str, options: LoadOptions) -> ModelFiles:
    """Find the files of an alias, hub id, folder, tower (`clip@image`) or route (`./pair@query`), with their settings.

    Raises:
        CallError: If the name or an option is invalid.
        ModelError: If the files are not available.
    """
    check_type("options", options, LoadOptions)
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    model, tower = split_tower(name)
    model, side = split_route(model)
    bare = split_name(model)[1]
    entry = None if is_folder(bare) else find_entry(split_revision(bare)[0])
    if entry is not None:  # before any download
        check_tower(bare, tower, entry.has_towers)
    source = find_source(model, options.revision)
    part = tower or side
    source = replace(source, name=source.name if part is None else f"{source.name}@{part}", typed=name)
    routes = _find_routes(source.folder)
    route = _pick_route(bare, side, routes)
    config = with_options(with_catalog(read_model_config(source.folder, route), source.entry, bare), options)
    config = replace(config, notes=(*source.warnings, *config.notes))
    check_tower(bare, tower, bool(find_towers(config.transformer)))
    kind, read = kind_of(source.folder, route.modules if route else None), file_set(source.folder)
    kind.check(name)
    if config.modules and config.modules[0].of_package:
        raise ModelError(
            f"'{name}' is a {config.modules[0].name}, not a single transformer, so it has no layers: use probe rank or "
            "adaptors.load_encoder, which load it as a whole"
        )
    return ModelFiles(
        source=source,
        config=config,
        dtype=dtype,
        device=device,
        options=options,
        **(hash_whole(source.folder, read, config) if kind.kind == LAYERLESS else hash_parts(config, tower, name)),
        inputs_hash=hash_inputs(read, config),
        files_hash=hash_folder(source.folder, read, config, options=options),
        learned=read_learned(source.folder),
        tower=tower,
        layerless=kind.name if kind.kind == LAYERLESS else "",
        routed=bool(routes) and route is None,
    )


def _find_routes(folder: Path) -> dict[str, Route]:
    """Return the routes of a router; empty if one of them reads images, as it is then read as a whole."""
    routes = read_routes(folder)
    return {} if any(find_towers(route.modules[0].folder) for route in routes.values()) else routes


def _pick_route(name: str, side: str | None, routes: Mapping[str, Route]) -> Route | None:
    """Return the route of a side, if one is named.

    Raises:
        CallError: If the model has no such route.
    """
    if side is None or routes:
        return routes.get(side or "")
    raise CallError(f"'{name}' is not a router with a route for queries and one for documents: remove '@{side}'")


def find_towers(folder: Path) -> tuple[str, ...]:
    """Return the towers of the model in a folder: `image` and `text`, or none for other models."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    both = isinstance(config, dict) and all(isinstance(config.get(key), dict) for key in TOWER_CONFIGS.values())
    return TOWERS if both else ()


def check_tower(name: str, tower: str | None, both: bool) -> None:
    """Raise if a tower does not exist, or if a two-tower model is given without a tower.

    Raises:
        CallError: If the tower is missing or does not exist.
    """
    if tower is None and both:
        named = " or ".join(f"{name}@{other}" for other in TOWERS)
        raise CallError(f"'{name}' has two towers, for images and texts: choose one, such as {named}")
    if tower is not None and not both:
        raise CallError(
            f"'{name}' is not a two-tower model: remove '@{tower}', or use a two-tower model, such as clip@{tower}"
        )
