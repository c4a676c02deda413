"""A `SentenceTransformer` object as a LoadedModel: settings and hashes are read from the object itself."""

import json
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from torch import nn

from probe.data.training_record import read_learned
from probe.errors import CallError, ModelError, wrong_type
from probe.layers.layer_stack import find_layers
from probe.models.hashes import hash_config, hash_tensors, hash_tokenizer
from probe.models.info import ModelFiles
from probe.models.loaded import LoadedModel, assemble
from probe.models.options import LoadOptions
from probe.models.published_config import ModelConfig, read_model_config, with_options
from probe.models.sources import ModelSource

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

__all__ = ["name_of", "read_sentence_transformer"]

# There are no files; this path appears in errors.
_NOWHERE = Path("<a model in memory: save it, and name its folder>")
_TEXTS = {"text", "message"}
# In the order in which `encode_document` looks up its prompt.
_DOCUMENT = ("document", "passage", "corpus")


def name_of(model: "SentenceTransformer") -> str:
    """Return the last part of the path or hub id that a model was loaded from; the name of its class if unknown."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return Path(str(getattr(config, "_name_or_path", ""))).name or type(model).__name__


def read_sentence_transformer(model: "SentenceTransformer", options: LoadOptions) -> LoadedModel:
    """Wrap a `SentenceTransformer` with its weights, dtype, device, tokenizer, prompts, pooling and maximum length.

    Args:
        model: The object; switched to evaluation mode, as its own `encode` does, and otherwise unchanged.
        options: Prompts and maximum length that override its own.

    Returns:
        The model.

    Raises:
        CallError: If it is not a `SentenceTransformer` or an option is invalid.
        ModelError: If it is not a single transformer that reads texts.
    """
    from probe.models.pipeline import check_reads_texts, shadow_pipeline

    module = _find_transformer(model)
    if (options.dtype, options.device) != ("auto", "auto"):
        raise CallError("a model in memory keeps its dtype and device: remove them from LoadOptions")
    name = name_of(model)
    shadow = shadow_pipeline(model)
    with TemporaryDirectory() as folder:
        config = with_options(_read_config(shadow, Path(folder)), options)
        module.config.save_pretrained(folder)
        shadow.tokenizer.save_pretrained(folder)
        files = ModelFiles(
            source=ModelSource(name, _NOWHERE),
            config=config,
            dtype=module.dtype,
            device=module.device,
            options=options,
            weights_hash=hash_tensors(module.state_dict()),
            config_hash=hash_config(config, None),
            tokenizer_hash=hash_tokenizer(Path(folder), name),
            inputs_hash=hash_tokenizer(Path(folder), name),
            files_hash="",
            learned=read_learned(Path(str(module.config._name_or_path))),
            tower=None,
        )
    nn.Module.eval(model)
    check_reads_texts(shadow, name)
    return assemble(files, shadow, find_layers(module))


def _find_transformer(model: Any) -> "PreTrainedModel":
    from sentence_transformers import SentenceTransformer
    from transformers import PreTrainedModel

    if not isinstance(model, SentenceTransformer):
        raise wrong_type("model", model, "an alias, a hub id, a folder or a SentenceTransformer")
    kind = type(model[0]).__name__
    if kind != "Transformer":
        raise ModelError(
            f"this SentenceTransformer starts with a {kind}, not with a single transformer: it has no layers"
        )
    others = sorted({str(part) for part in _flatten(model.modalities)} - _TEXTS)
    if others or not isinstance(model[0].auto_model, PreTrainedModel) or model.tokenizer is None:
        found = f"{', '.join(others)} too" if others else f"through a {type(model[0].auto_model).__name__}"
        raise ModelError(
            f"this SentenceTransformer reads {found}; models in memory must read only texts, in PyTorch: pass the "
            "name or folder of its files instead"
        )
    module: PreTrainedModel = model[0].auto_model
    return module


def _flatten(modalities: Iterable[Any]) -> Iterable[Any]:
    """Return the single modalities; some are given as groups."""
    return (part for one in modalities for part in ((one,) if isinstance(one, str) else one))


def _read_config(model: "SentenceTransformer", folder: Path) -> ModelConfig:
    """Write the object's settings and read them like those of a folder, so that both have the same form."""
    names = [type(module).__name__ for module in model]
    modules = [{"type": name, "path": f"{number}_{name}" if number else ""} for number, name in enumerate(names)]
    sizes = {"max_seq_length": model.max_seq_length, "do_lower_case": bool(model[0].do_lower_case)}
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", sizes)
    head = {
        "prompts": {**model.prompts, "query": _prompt(model, ("query",)), "document": _prompt(model, _DOCUMENT)},
        "similarity_fn_name": model.similarity_fn_name,
        "truncate_dim": model.truncate_dim,
    }
    _write(folder / "config_sentence_transformers.json", head)
    return read_model_config(folder)


def _prompt(model: "SentenceTransformer", names: Iterable[str]) -> str:
    """Return the prompt that the object uses for one kind of text."""
    found = next((name for name in names if name in model.prompts), model.default_prompt_name)
    return "" if found is None else model.prompts.get(found) or ""


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
