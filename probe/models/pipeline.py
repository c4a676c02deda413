"""Loading of a folder by sentence-transformers; all vectors of a model come from the modules of this object."""

import copy
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

from probe.errors import CallError, ModelError
from probe.io.model_files import SavedModule, list_modules
from probe.layers.unchanged import unchanged
from probe.models.info import ModelFiles
from probe.models.loaded import explain_load_failure

__all__ = ["check_reads_texts", "load_pipeline", "shadow_pipeline"]

_OWN_PREFIX = "sentence_transformers."
_LAST_STATE = "last_hidden_state"
# Compared between a router and one of its routes, with a tolerance for values of about 1.
_EXAMPLES = ("a", "Which layer of an encoder retrieves best?")
_TOLERANCE = 1e-5


class _CheckedTransformer(Transformer):
    """A Transformer that records which tensors its files lack."""

    missing: tuple[str, ...] = ()

    def _load_model(self, *args: Any, **options: Any) -> Any:
        made: Any = super()._load_model(*args, **{**options, "output_loading_info": True})
        model, report = made
        self.missing = tuple(sorted(report["missing_keys"]))
        return model

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """Yield one in float32 first: sentence-transformers rounds all later modules to the dtype of the first."""
        yield torch.nn.Parameter(torch.empty(0))
        yield from super().parameters(recurse)


def load_pipeline(files: ModelFiles, dtype: torch.dtype = torch.float32) -> tuple[SentenceTransformer, tuple[str, ...]]:
    """Load a model with sentence-transformers, on the CPU.

    Args:
        files: The model's files with their settings.
        dtype: Dtype of the transformer's weights; those of a router, and the modules after it, are in float32.

    Returns:
        The model in evaluation mode, and the tensors that its transformer's files lack.

    Raises:
        CallError: If a requested setting does not exist in the model's config.
        ModelError: If it cannot be loaded, or does not start with a transformer that reads texts.
    """
    options = _load_options(files, dtype)
    try:
        model = (_load_modules if files.config.modules else _load_plain)(files, options)
    except (CallError, ModelError):
        raise
    except Exception as error:  # libraries raise many types on unexpected folders
        raise ModelError(explain_load_failure(files.source, error)) from error
    first = model[0]
    missing = tuple(getattr(first, "missing", ()))
    if isinstance(first, _CheckedTransformer):
        first.__class__ = Transformer
        first.unpad_inputs = False
    _check_config(model, files)
    return model.eval(), missing


def _is_foreign(entry: SavedModule) -> bool:
    """Return whether a module's class belongs neither to sentence-transformers nor to this package."""
    return not (entry.of_package or entry.type.startswith(_OWN_PREFIX))


def _load_options(files: ModelFiles, dtype: torch.dtype) -> dict[str, Any]:
    # Later modules follow the dtype of a first module that is not ours to check.
    whole = files.config.route or not all(map(_is_transformer, files.config.modules[:1]))
    weights: dict[str, Any] = {"dtype": torch.float32 if whole else dtype, "use_safetensors": True}
    if files.options.attn is not None:
        weights["attn_implementation"] = files.options.attn
    settings = {name: _read_value(text) for name, text in files.options.config}
    return {"model_kwargs": weights, "config_kwargs": settings, "trust_remote_code": files.options.trust_remote_code}


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _load_modules(files: ModelFiles, options: dict[str, Any]) -> SentenceTransformer:
    entries = list_modules(files.source.folder) if files.config.route else _entries_to_load(files)
    refused = next((entry for entry in entries if _is_foreign(entry)), None)
    if refused and not files.options.trust_remote_code:
        raise ModelError(
            f"'{files.source.name}' has a module of the custom class {refused.type}: "
            "pass --trust-remote-code if you have read and trust its code"
        )
    checked = {entry.type: _CheckedTransformer for entry in entries if _is_transformer(entry)}
    if files.config.route:
        whole = str(files.source.folder)
        router = SentenceTransformer._load_with_module_classes(whole, checked, device="cpu", **options)
        return _take_route(router.eval(), files)
    with _folder_of(files, entries) as folder:
        return SentenceTransformer._load_with_module_classes(str(folder), checked, device="cpu", **options)


def _take_route(router: SentenceTransformer, files: ModelFiles) -> SentenceTransformer:
    """Return the modules that the texts of a route pass through, as a model of their own.

    Raises:
        ModelError: If its vectors differ from those of the router.
    """
    modules: list[tuple[str, Any]] = list(router.named_children())
    (first, routes), *later = modules
    inside = routes.sub_modules[files.config.route]
    model = copy.copy(router)
    model._modules = OrderedDict([*((f"{first}-{name}", module) for name, module in inside._modules.items()), *later])
    side = files.source.route or ""
    prompt = {"query": files.config.query_prompt, "document": files.config.document_prompt}[side]
    options: dict[str, Any] = {"prompt": prompt, "task": side, "show_progress_bar": False, "convert_to_tensor": True}
    for text in _EXAMPLES:
        with unchanged(router):
            expected, found = (one.encode([text], **options) for one in (router, model))
        if not torch.allclose(found, expected, rtol=0, atol=_TOLERANCE * max(1.0, float(expected.abs().max()))):
            raise ModelError(
                f"'{files.source.name}' cannot be read as an encoder of its own: its vectors differ from the router's; "
                "score the router with probe.evaluate"
            )
    return model


def _is_transformer(entry: SavedModule) -> bool:
    return entry.name == "Transformer" and entry.type.startswith(_OWN_PREFIX)


def _entries_to_load(files: ModelFiles) -> Sequence[SavedModule]:
    """Return the modules before `stop_before`, or before the first one of this package."""
    entries = files.config.modules
    ends = [
        number
        for number, entry in enumerate(entries)
        if number and (entry.path == files.options.stop_before or entry.of_package)
    ]
    return entries[: ends[0]] if ends else entries


@contextmanager
def _folder_of(files: ModelFiles, entries: Sequence[SavedModule]) -> Iterator[Path]:
    """Yield a model's folder, or a copy whose modules.json ends earlier."""
    source = files.source.folder
    if len(entries) == len(files.config.modules):
        yield source
        return
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for path in source.iterdir():
            if path.name != "modules.json":
                (folder / path.name).symlink_to(path.resolve())
        listed = [{"idx": i, "name": str(i), "path": entry.path, "type": entry.type} for i, entry in enumerate(entries)]
        (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")
        yield folder


def _load_plain(files: ModelFiles, options: dict[str, Any]) -> SentenceTransformer:
    """Load a plain transformers folder with the pooling that sentence-transformers would add."""
    shared = {"trust_remote_code": options["trust_remote_code"]}
    first = _CheckedTransformer(
        str(files.config.transformer),
        model_kwargs={**shared, **options["model_kwargs"]},
        processor_kwargs=dict(shared),
        config_kwargs={**shared, **options["config_kwargs"]},
    )
    modules: list[torch.nn.Module] = [first]
    if first.module_output_name == "token_embeddings":
        pooling: Any = {"last": "lasttoken"}.get(files.config.pooling or "", files.config.pooling)
        modules.append(Pooling(first.get_embedding_dimension(), pooling or _default_pooling(first.config)))
        if files.config.normalizes:
            modules.append(Normalize())
    return SentenceTransformer(modules=modules, device="cpu")


def _default_pooling(config: Any) -> Any:
    """Return the default pooling of sentence-transformers: the last token for causal language models, else mean."""
    classes = getattr(config, "architectures", None) or [""]
    causal = classes[0].endswith("ForCausalLM") and getattr(config, "is_causal", True)
    return "lasttoken" if causal else "mean"


def _check_config(model: SentenceTransformer, files: ModelFiles) -> None:
    for name, _ in files.options.config:
        if not hasattr(getattr(model[0], "config", None), name):
            raise CallError(f"--config {name}: no such setting in the config of '{files.source.name}'")


def check_reads_texts(model: SentenceTransformer, name: str) -> None:
    """Raise if a model does not use the token states of its transformer's last layer.

    Raises:
        ModelError: If it uses another output, or reads other inputs than texts.
    """
    first: Any = model[0]
    modality = "message" if "message" in first.modality_config else "text"
    if modality not in first.modality_config or first.tokenizer is None:
        raise ModelError(f"'{name}' reads {', '.join(map(str, first.modality_config)) or 'nothing'}, not texts")
    read = first.modality_config[modality]
    output = read["method_output_name"]
    plain = output in (_LAST_STATE, [_LAST_STATE], (_LAST_STATE,))
    if (read["method"], plain, first.module_output_name) != ("forward", True, "token_embeddings"):
        raise ModelError(
            f"'{name}' uses {output} of its transformer's {read['method']} as {first.module_output_name}, not the "
            "token states of its last layer, so its layers have no comparable vectors: set modality_config in "
            "sentence_bert_config.json to last_hidden_state if that is intended"
        )
    if first.query_expansion is not None:
        raise ModelError(f"'{name}' expands queries, as late-interaction models do: it has no vector per text")


def shadow_pipeline(pipeline: Any, module: torch.nn.Module | None = None) -> Any:
    """Return a model with the same modules whose tokenizer and settings can be changed independently of `pipeline`.

    Args:
        pipeline: A `SentenceTransformer` that starts with a transformer.
        module: Transformer that replaces its own.
    """
    names = list(pipeline._modules)
    first = copy.copy(pipeline[0])
    first.processor = _copy_processor(first.processor)
    first._prompt_length_mapping = {}
    if module is not None:
        first._modules = {**first._modules, "model": module}
    shadow = copy.copy(pipeline)
    shadow._modules = OrderedDict({**pipeline._modules, names[0]: first})
    return shadow


def _copy_processor(processor: Any) -> Any:
    """Return a copy of a tokenizer without state from earlier calls; the original is never modified."""
    copied = copy.deepcopy(processor)
    backend = getattr(copied, "backend_tokenizer", None)
    if backend is not None:
        backend.no_truncation()
        backend.no_padding()
    return copied
