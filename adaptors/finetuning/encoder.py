"""An encoder to train: its sentence-transformers model, and a folder of files with the same layout."""

import json
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from sentence_transformers import SentenceTransformer
from torch import nn

from adaptors.encoders.st_modules import NETWORK_MODULES
from adaptors.finetuning.two_towers import AS_PROBED, PairedModel, find_both, has_two_towers, write_pair
from probe.encoding.hookpoints import own_pooling
from probe.errors import CallError, ModelError, check_type, first_line
from probe.layers.hookpoint import TOWERS, split_name, split_route, split_tower
from probe.layers.layer_stack import LayerStack, find_layers
from probe.models.in_memory import name_of
from probe.models.info import ModelFiles, find_files
from probe.models.loaded import LoadedModel
from probe.models.loading import load_files
from probe.models.options import LoadOptions
from probe.models.sources import find_source
from surgery.cutting.blocks import CutModel
from surgery.cutting.cut import cut
from surgery.fusing.folder import FUSED_MODULES, is_fused, save
from surgery.fusing.model import FusedModel
from surgery.saving.files import PROVENANCE, write_json
from surgery.saving.heads import OutputHead
from surgery.saving.old_form import write_old_form
from surgery.saving.origin import inherit
from surgery.saving.save import write_model

__all__ = ["Tower", "Trainable", "TrainableEncoder", "check_tokens", "cut_texts", "open_changed", "open_trainable"]

# The types accepted as an encoder.
Trainable: TypeAlias = "str | Path | SentenceTransformer | CutModel | FusedModel"
_SIZES = "sentence_bert_config.json"
_OPTIONS = LoadOptions(dtype="float32", device="cpu")


@dataclass(frozen=True)
class Tower:
    """One stack of blocks of an encoder.

    Attributes:
        module: The transformer.
        stack: Its layers.
        folder: Folder of its weight files, relative to the encoder's folder.
        after: The parts of its module after the blocks and their norm: a two-tower model's projection or head.
        name: `image` or `text` for a two-tower model.
    """

    module: nn.Module
    stack: LayerStack
    folder: str
    after: tuple[nn.Module, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class TrainableEncoder:
    """An encoder to train.

    Attributes:
        name: Its name, as given.
        model: The encoder, in float32.
        folder: Files with the same layout.
        towers: Its transformers: one, a fused model's members, or both towers of a two-tower model.
        prompts: Prompt prefixes of a `query` and a `document`; a fused model applies its members' own.
    """

    name: str
    model: SentenceTransformer
    folder: Path
    towers: tuple[Tower, ...]
    prompts: Mapping[str, str]

    @property
    def is_fused(self) -> bool:
        """Whether it is a fused model saved by this package."""
        return is_fused(self.folder)

    @property
    def is_paired(self) -> bool:
        """Whether it is a two-tower model, for images and texts."""
        return isinstance(self.model, PairedModel)

    @property
    def is_plain(self) -> bool:
        """Whether sentence-transformers loads its folder without this package."""
        return not set(_module_types(self.folder)) & {*FUSED_MODULES, *NETWORK_MODULES}


def open_trainable(model: "Trainable", scratch: Path | None = None) -> TrainableEncoder:
    """Open an encoder for training.

    Args:
        model: Alias, hub id or folder, including cut, adapted, fused and tuned models. A `SentenceTransformer`, or the
            result of `cut`, `keep` or `fuse`, is copied and not changed itself.
        scratch: An empty folder for the files of a model that was not saved by this package; default: a temporary
            one, deleted with the encoder's model.

    Returns:
        The encoder.

    Raises:
        CallError: The model does not exist, has no blocks, or only one of its two towers is given.
        ModelError: It cannot be loaded.
    """
    if not isinstance(model, str | Path):
        return _open_object(model)
    _, name = split_name(str(model))
    whole, tower = split_tower(name)
    if tower:
        raise CallError(f"'{name}' is one tower of a model, and both are trained: use the whole model, {whole}")
    if split_route(name)[1]:
        raise CallError(
            f"'{name}' is one route of a router: train the encoder it was made of, then pair it (surgery pair)"
        )
    folder, made = Path(name), None
    if not (folder / PROVENANCE).is_file():
        if scratch is None:
            made = TemporaryDirectory(prefix="encoder-surgery-", ignore_cleanup_errors=True)
            scratch = Path(made.name)
        folder = _write_base(name, scratch)
    try:
        # Only this package's own code is run, none from the folder.
        opened = _load(folder)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"'{name}' cannot be loaded by sentence-transformers: {first_line(error)}") from error
    if made is not None:
        weakref.finalize(opened, made.cleanup)
    prompts = {side: (opened.prompts or {}).get(side) or "" for side in ("query", "document")}
    return TrainableEncoder(name, opened.float(), folder, _towers(opened, folder), prompts)


def _open_object(model: Any) -> TrainableEncoder:
    """Open a copy of a model in memory, by way of its files."""
    expected = "an alias, a hub id, a folder, a SentenceTransformer, or the result of cut, keep or fuse"
    check_type("model", model, SentenceTransformer | CutModel | FusedModel, expected=expected)
    made = TemporaryDirectory(prefix="encoder-surgery-", ignore_cleanup_errors=True)
    folder = Path(made.name, "model")
    if isinstance(model, SentenceTransformer):
        model.save_pretrained(str(folder), create_model_card=False)
    else:
        save(model, folder)
    opened = open_trainable(folder)
    weakref.finalize(opened.model, made.cleanup)
    if isinstance(model, SentenceTransformer):
        _correct_origin(opened.folder, name_of(model))
        return replace(opened, name=name_of(model))
    return replace(opened, name=str(model.fusion) if isinstance(model, FusedModel) else model.source.name)


def _correct_origin(folder: Path, name: str) -> None:
    """Record the name of a model that was copied from memory in place of the folder of its copy."""
    facts = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    write_json(folder / PROVENANCE, {**facts, "from": name})


def open_changed(encoder: TrainableEncoder, change: Callable[[Path], object]) -> TrainableEncoder:
    """Return an encoder from changed copies of its files, which are deleted with its model.

    Args:
        encoder: The encoder; it is not changed.
        change: Changes the files in the given folder.
    """
    made = TemporaryDirectory(prefix="encoder-surgery-", ignore_cleanup_errors=True)
    shutil.copytree(encoder.folder, made.name, dirs_exist_ok=True)
    change(Path(made.name))
    opened = open_trainable(made.name)
    weakref.finalize(opened.model, made.cleanup)
    return replace(opened, name=encoder.name)


def check_tokens(model: SentenceTransformer, tokens: int | None) -> None:
    """Check that a maximum input length is within the model's own.

    Raises:
        CallError: It is longer, so it would have no effect.
    """
    longest = model.max_seq_length
    if tokens is not None and longest is not None and tokens > longest:
        raise CallError(f"--max-tokens {tokens} has no effect: the model's maximum length is {longest}; leave it out")


@contextmanager
def cut_texts(model: SentenceTransformer, tokens: int | None) -> Iterator[None]:
    """Limit the input length of a model temporarily; None for its own maximum.

    Raises:
        CallError: Its maximum is lower, or it is a fused model, whose members have their own.
    """
    longest = model.max_seq_length
    check_tokens(model, tokens)
    if tokens is None or tokens == longest:
        yield
        return
    try:
        model.max_seq_length = tokens
    except AttributeError as error:
        raise CallError("members of a fused model have their own maximum lengths: leave out --max-tokens") from error
    try:
        yield
    finally:
        model.max_seq_length = longest


def _load(folder: Path) -> SentenceTransformer:
    if has_two_towers(folder):
        return PairedModel(str(folder), device="cpu", processor_kwargs=AS_PROBED)
    return SentenceTransformer._load_with_module_classes(str(folder), _own_modules(folder), device="cpu")


def _write_base(name: str, scratch: Path) -> Path:
    """Save a model in this package's layout: as sentence-transformers does, or as a cut after its last block."""
    if has_two_towers(find_source(name).folder):
        files = find_files(f"{name}@{TOWERS[0]}", _OPTIONS)
        write_pair(files, scratch)
        write_json(scratch / PROVENANCE, _origin(files))
        return scratch
    files = find_files(name, _OPTIONS)
    loaded = load_files(files)
    if (loaded.source.folder / "modules.json").is_file():
        model = SentenceTransformer(str(loaded.source.folder), device="cpu")
        prompts = {"query": loaded.query_prompt, "document": loaded.document_prompt}
        model.prompts = {**(model.prompts or {}), **{side: text for side, text in prompts.items() if text}}
        model.max_seq_length = loaded.max_tokens
        model.save_pretrained(str(scratch), create_model_card=False)
        write_old_form(scratch)
        sizes = scratch / _SIZES
        known = {"do_lower_case": False, **json.loads(sizes.read_text(encoding="utf-8"))}
        # Otherwise only its tokenizer would have it; vLLM reads it beside the other.
        write_json(sizes, {**known, "max_seq_length": loaded.max_tokens})
        write_json(scratch / PROVENANCE, _origin(loaded))
    else:
        write_model(cut(loaded, loaded.depth), scratch, OutputHead(own_pooling(loaded)))
    return scratch


def _origin(model: LoadedModel | ModelFiles) -> dict[str, Any]:
    name = model.source.hub_id or str(model.source.folder.resolve())
    return {"from": name, "revision": model.source.revision, **inherit(model.source)}


def _own_modules(folder: Path) -> dict[str, type[nn.Module]]:
    """Return this package's own classes among a folder's modules."""
    from adaptors.modules.st_module import AdaptorModule
    from surgery.fusing.module import FusedModule

    own: dict[str, type[nn.Module]] = dict.fromkeys(FUSED_MODULES, FusedModule)
    own |= dict.fromkeys(NETWORK_MODULES, AdaptorModule)
    return {kind: own[kind] for kind in _module_types(folder) if kind in own}


def _module_types(folder: Path) -> list[str]:
    try:
        return [module["type"] for module in json.loads((folder / "modules.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder / 'modules.json'} is not a list of modules: {first_line(error)}") from error


def _towers(model: SentenceTransformer, folder: Path) -> tuple[Tower, ...]:
    first: Any = model[0]
    if is_fused(folder):
        readers = first.model.readers
        return tuple(
            Tower(reader.loaded.module, reader.loaded.stack, Path(reader.model.source.name).name) for reader in readers
        )
    if isinstance(model, PairedModel):
        return tuple(Tower(first.model, found.stack, "", found.steps, name) for name, found in find_both(model).items())
    if not hasattr(first, "auto_model"):
        raise CallError(
            f"'{folder.name}' starts with a {type(first).__name__}, without blocks to train: expected a model with at "
            "least one; a static cut is fitted in closed form, to more texts with further --dataset of surgery cut"
        )
    return (Tower(first.auto_model, find_layers(first.auto_model), ""),)
