"""The model to trim, written as a standard folder and loaded by plain sentence-transformers."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import Openable, as_model
from probe.encoding.whole_reader import LoadedWhole, WholeReader, load_whole
from probe.errors import CallError, ModelError
from probe.io.model_files import read_modules, weight_files
from probe.layers.hookpoint import OWN
from probe.models.info import ModelFiles, ModelProfile, find_files
from probe.models.loaded import LoadedModel
from probe.models.loading import load_files
from probe.models.options import LoadOptions
from probe.models.published_config import read_model_config
from surgery.cutting.blocks import CutModel
from surgery.cutting.cut import EXACT, keep
from surgery.saving.files import PROVENANCE, write_json
from surgery.saving.heads import OutputHead
from surgery.saving.model import write_single
from surgery.saving.origin import inherit
from surgery.vocabulary.counting import Splitter

__all__ = ["Original", "find_embedding", "open_original"]

_STATIC = "static"


@dataclass(frozen=True)
class Original:
    """A model before trimming.

    Attributes:
        profile: Its facts.
        folder: The model as a folder in sentence-transformers' layout, with all its tokens.
        pipeline: That folder as a SentenceTransformer, in float32 on the CPU.
        weight_bytes: Size of its weight files as they were found.
    """

    profile: ModelProfile
    folder: Path
    pipeline: Any
    weight_bytes: int

    @property
    def part(self) -> Path:
        """The folder of its first module, which has the tokenizer."""
        return read_modules(self.folder)[0].folder

    @property
    def embedding(self) -> Any:
        """The module with its table of word embeddings."""
        return find_embedding(self.pipeline)

    @property
    def transformer(self) -> Any:
        """Its transformer; None for static embeddings."""
        return getattr(self.pipeline[0], "auto_model", None)

    @property
    def padding(self) -> int | None:
        """The id of its padding token, if it has one."""
        held = getattr(self.pipeline.tokenizer, "pad_token_id", None)
        return held if isinstance(held, int) else None

    @cached_property
    def splitter(self) -> Splitter:
        """Its tokenizer.

        Raises:
            ModelError: It is written in Python.
        """
        return Splitter.of(self.pipeline, self.profile.source.name)


def find_embedding(pipeline: Any) -> Any:
    """Return the module with the table of word embeddings of a SentenceTransformer."""
    first = pipeline[0]
    return first.embedding if hasattr(first, "embedding") else first.auto_model.get_input_embeddings()


def open_original(model: Openable, folder: Path, options: LoadOptions | None = None) -> Original:
    """Write a model into an empty folder and load it.

    Args:
        model: The model in any form; one in memory is not changed.
        folder: Destination.
        options: How to load a model given by name; default: in float32 on the CPU.

    Raises:
        CallError: It has no vectors of its own, or the options override its config.
        ModelError: It is neither a single transformer nor static embeddings, or has modules of this package.
    """
    from sentence_transformers import SentenceTransformer

    if options is not None and options.config:
        raise CallError("--config: a trimmed model keeps the settings of the original's config.json: remove it")
    if isinstance(model, SentenceTransformer) and type(model[0]).__name__ == "StaticEmbedding":
        given = folder.with_name("given")
        model.save_pretrained(str(given), create_model_card=False)
        model = str(given)
    loaded = _load(model, options or EXACT)
    found = loaded.source.folder
    size = sum(path.stat().st_size for path in weight_files(found)) if found.is_dir() else 0
    if isinstance(loaded, LoadedModel):
        loaded = _write_transformer(loaded, folder)
    else:
        _write_static(loaded, folder)
    pipeline = SentenceTransformer(str(folder), device="cpu", trust_remote_code=loaded.trust).eval()
    return Original(loaded, folder, pipeline, size or sum(path.stat().st_size for path in weight_files(folder)))


def _load(model: Openable, options: LoadOptions) -> LoadedModel | LoadedWhole:
    name = model.model.source.typed if isinstance(model, WholeReader) else model
    if not isinstance(name, str | Path):
        return _refuse_tower(as_model(name))
    files = find_files(str(name), options)
    _refuse_own_modules(files)
    if not files.layerless:
        return _refuse_tower(load_files(files))
    if files.layerless != _STATIC:
        raise ModelError(
            f"'{files.source.name}' starts with a {files.layerless}: expected a single Transformer or StaticEmbedding"
        )
    return load_whole(files)


def _refuse_own_modules(files: ModelFiles) -> None:
    ours = next((entry for entry in files.config.modules if entry.of_package), None)
    if ours is not None:
        raise ModelError(
            f"'{files.source.name}' has a module of this package, {ours.name}: trim the model first and add it then"
        )


def _refuse_tower(model: LoadedModel) -> LoadedModel:
    if model.tower:
        raise CallError(
            f"'{model.source.name}' is one of two towers, which share a folder: expected a model of texts only"
        )
    return model


def _write_transformer(model: LoadedModel, folder: Path) -> CutModel:
    pooling = own_pooling(model)
    whole = model if isinstance(model, CutModel) else keep(model, range(1, model.depth + 1))
    folder.mkdir()
    modules = read_model_config(whole.source.folder).modules
    write_single(whole, folder, OutputHead(OWN if modules else pooling))
    return whole


def _write_static(model: LoadedWhole, folder: Path) -> None:
    pipeline = model.pipeline
    pipeline.prompts = {**pipeline.prompts, "query": model.query_prompt, "document": model.document_prompt}
    pipeline.save_pretrained(str(folder), create_model_card=False)
    origin = {"from": model.source.hub_id or str(model.source.folder.resolve()), **inherit(model.source)}
    write_json(folder / PROVENANCE, {**origin, "revision": model.source.revision})
