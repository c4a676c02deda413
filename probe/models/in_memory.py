"""A `SentenceTransformer` in memory as a model of ours: what decides its vectors is read off the object itself."""

import copy
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from probe.errors import CallError, ModelError
from probe.layers.layer_stack import find_layers
from probe.models.info import ModelFiles, hash_config, hash_tokenizer, with_options
from probe.models.loaded import LoadedModel, assemble
from probe.models.options import LoadOptions
from probe.models.published_config import ModelConfig, read_model_config
from probe.models.sources import ModelSource
from probe.models.training_record import read_learned

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["read_sentence_transformer"]

# There are no files; an error says so to whoever needs one.
_NOWHERE = Path("<a model in memory: save it, and name its folder>")
_TEXTS = {"text", "message"}
# In the order in which `encode_document` looks for its prompt.
_DOCUMENT = ("document", "passage", "corpus")


def read_sentence_transformer(model: "SentenceTransformer", options: LoadOptions) -> LoadedModel:
    """Take a `SentenceTransformer` as it is: its weights, dtype, device, tokenizer, prompts, pooling, longest input.

    Args:
        model: The object; it is put into evaluation mode, as its own `encode` does, and not changed otherwise.
        options: Prompts and a longest input other than its own.

    Returns:
        The model; whatever it does after its pooling is noted and left out.

    Raises:
        CallError: This is no `SentenceTransformer`, or an option is wrong.
        ModelError: It is no single transformer that reads texts.
    """
    module = _find_transformer(model)
    if (options.dtype, options.device) != ("auto", "auto"):
        raise CallError("a model in memory keeps its dtype and its device: leave them out of LoadOptions")
    name = Path(str(module.config._name_or_path)).name or type(model).__name__
    tokenizer = _copy_tokenizer(model.tokenizer)
    with TemporaryDirectory() as folder:
        config = _read_config(model, Path(folder))
        module.config.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        files = ModelFiles(
            source=ModelSource(name, _NOWHERE),
            config=with_options(config, options),
            dtype=module.dtype,
            device=module.device,
            trust=False,
            weights_hash=_hash_weights(module),
            config_hash=hash_config(config, None),
            tokenizer_hash=hash_tokenizer(Path(folder), name),
            learned=read_learned(Path(str(module.config._name_or_path))),
            tower=None,
        )
    return assemble(files, nn.Module.eval(module), tokenizer, stack=find_layers(module), max_tokens=options.max_tokens)


def _find_transformer(model: Any) -> "PreTrainedModel":
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

    if not isinstance(model, SentenceTransformer):
        raise CallError(
            f"a {type(model).__name__} is no model: expected a name, a folder, a LayerReader, what load_model gave, or "
            "a SentenceTransformer"
        )
    kind = type(model[0]).__name__
    if kind != "Transformer":
        raise ModelError(f"this SentenceTransformer begins with a {kind}, no single transformer: it has no layers")
    others = sorted({str(part) for part in _flatten(model.modalities)} - _TEXTS)
    if others or not isinstance(model[0].auto_model, PreTrainedModel) or model.tokenizer is None:
        found = f"{', '.join(others)} too" if others else f"through a {type(model[0].auto_model).__name__}"
        raise ModelError(
            f"this SentenceTransformer reads {found}, and only texts through PyTorch are read from memory: give the "
            "name or the folder of its files"
        )
    module: PreTrainedModel = model[0].auto_model
    return module


def _flatten(modalities: Iterable[Any]) -> Iterable[Any]:
    """Return single kinds of inputs, where some may come together."""
    return (part for one in modalities for part in ((one,) if isinstance(one, str) else one))


def _copy_tokenizer(tokenizer: Any) -> Any:
    """Return a tokenizer without what earlier calls left in it; the object's own is never touched."""
    copied = copy.deepcopy(tokenizer)
    backend = getattr(copied, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return copied


def _read_config(model: "SentenceTransformer", folder: Path) -> ModelConfig:
    """Have the object's settings read as those of a folder are, so that both are noted alike."""
    names = [type(module).__name__ for module in model]
    paths = [f"{number}_{name}" if number else "" for number, name in enumerate(names)]
    modules = [{"type": name, "path": path} for name, path in zip(names, paths, strict=True)]
    for path, module in zip(paths[1:], list(model)[1:], strict=True):
        _write(folder / path / "config.json", getattr(module, "get_config_dict", dict)())
    sizes = {"max_seq_length": model.max_seq_length, "do_lower_case": bool(model[0].do_lower_case)}
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", sizes)
    prompts = {"query": _prompt(model, ("query",)), "document": _prompt(model, _DOCUMENT)}
    head = {"prompts": prompts, "similarity_fn_name": model.similarity_fn_name}
    _write(folder / "config_sentence_transformers.json", head)
    config = read_model_config(folder)
    if model.truncate_dim is None:
        return config
    return replace(config, notes=(*config.notes, f"the model's own cut to {model.truncate_dim} dimensions is left out"))


def _prompt(model: "SentenceTransformer", names: Iterable[str]) -> str:
    """Return the prompt that the object puts before a text of one kind."""
    found = next((name for name in names if name in model.prompts), model.default_prompt_name)
    return "" if found is None else model.prompts[found] or ""


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _hash_weights(module: nn.Module) -> str:
    """Return the sha256 over every tensor of a module, with its name, dtype and shape."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
