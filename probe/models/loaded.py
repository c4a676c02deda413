"""Loaded encoders, and helpers of loading: maximum lengths and load errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from probe.errors import CallError, ModelError, first_line
from probe.io.model_files import code_repositories
from probe.layers.layer_stack import LayerStack
from probe.layers.operations import attention_width, count_flops
from probe.models.hashes import hash_modules, hash_states
from probe.models.info import NO_LIMIT, ModelFacts, ModelFiles, ModelProfile, build_profile
from probe.models.own_vectors import find_own_vectors
from probe.models.sources import ModelSource

__all__ = [
    "LoadedModel",
    "assemble",
    "explain_load_failure",
    "pick_max_tokens",
    "refuse_missing",
]

_NORM_NOTE = "the model's final norm is applied at every layer, as in a model cut there"


@dataclass(frozen=True, repr=False)
class LoadedModel(ModelProfile):
    """A loaded encoder that can be read at any layer.

    Attributes:
        module: The transformer, in evaluation mode, with weights in the compute dtype.
        tokenizer: Its tokenizer.
        stack: Its layers.
        pipeline: The SentenceTransformer around it, whose first module holds the transformer; None for a tower.
    """

    module: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    stack: LayerStack = field(repr=False)
    pipeline: Any = field(repr=False, default=None, kw_only=True)


def explain_load_failure(source: ModelSource, error: Exception) -> str:
    """Return a one-line explanation of an error raised while transformers loaded a model."""
    name, said = source.name, str(error).strip()
    if "trust_remote_code" in said:
        others = " and ".join(code_repositories(source.folder))
        of = f"code from {others} on the hub" if others else "its own code"
        return f"'{name}' needs {of}: pass --trust-remote-code if you have read and trust it"
    if "ignore_mismatched_sizes" in said:
        return f"'{name}' cannot be loaded: the shapes of its weights do not match its config"
    return f"'{name}' cannot be loaded by transformers: {type(error).__name__}: {first_line(error)}"


def refuse_missing(name: str, missing: Sequence[str]) -> None:
    """Raise if weights required by the config are missing.

    Raises:
        ModelError: If any tensors are missing.
    """
    if missing:
        raise ModelError(
            f"'{name}' lacks weights for {len(missing)} tensors of its config ({missing[0]}, ...), which would be "
            "random: use matching config and weights"
        )


def pick_max_tokens(wanted: int | None, named: int | None, possible: int | None, *, tokenizer: Any) -> int:
    """Return the maximum input length: as requested, else from the model's folder, else from tokenizer and positions.

    Args:
        wanted: Requested length.
        named: Length in the model's folder.
        possible: Number of tokens that the position embeddings support.
        tokenizer: The tokenizer.

    Returns:
        The maximum number of tokens.

    Raises:
        CallError: If the model does not support the requested length.
        ModelError: If the model's own length leaves no room for a single token.
    """
    least = tokenizer.num_special_tokens_to_add() + 1
    if wanted is not None:
        if not least <= wanted <= (possible or wanted):
            most = possible or "any number"
            raise CallError(f"--max-tokens {wanted} is out of range: the model supports {least} to {most}")
        return wanted
    limits = [n for n in (tokenizer.model_max_length if named is None else named, possible) if n and n < NO_LIMIT]
    longest = int(min(limits, default=NO_LIMIT))
    if longest < least:
        raise ModelError(
            f"the model's own maximum length is {longest} tokens, but one word needs {least}: correct "
            "max_seq_length in its sentence_bert_config.json, or pass --max-tokens"
        )
    return longest


def assemble(files: ModelFiles, pipeline: Any, stack: LayerStack, *, facts: ModelFacts | None = None) -> "LoadedModel":
    """Build a single-tower encoder from a SentenceTransformer.

    Args:
        files: The model's files.
        pipeline: The SentenceTransformer.
        stack: The transformer's layers.
        facts: Facts from an earlier load, if known.

    Raises:
        CallError: If the model does not support the requested length.
        ModelError: If its vectors differ from those of sentence-transformers.
    """
    first = pipeline[0]
    module, tokenizer = first.auto_model, pipeline.tokenizer
    named = files.config.max_tokens
    wanted = files.options.max_tokens
    longest = pick_max_tokens(wanted, named, _count_positions(module), tokenizer=tokenizer)
    pipeline.max_seq_length = longest
    if wanted is not None:
        first.query_length = first.document_length = None
    facts = facts or _find_facts(files, pipeline, stack, longest=longest)
    profile = vars(build_profile(files, facts))
    return LoadedModel(**profile, module=module, tokenizer=tokenizer, stack=stack, pipeline=pipeline)


def _find_facts(files: ModelFiles, pipeline: Any, stack: LayerStack, *, longest: int) -> ModelFacts:
    module = pipeline[0].auto_model
    vectors = find_own_vectors(pipeline, stack, files)
    refusal = files.source.refusal or _opened_by_others(files)
    return ModelFacts(
        depth=stack.depth,
        width=vectors.width,
        parameters=stack.parameters_by_layer(module),
        max_tokens=longest,
        notes=(*files.config.notes, *_notes(stack)),
        pooling=None if refusal else vectors.pooling,
        refusal=refusal or vectors.refusal,
        own_width=vectors.own_width,
        batching=vectors.batching,
        state_hashes=hash_states(module, stack),
        settings_hash=hash_modules([], [_settings(pipeline[0]), files.config.settings, files.config.lower_case]),
        flops=count_flops(module, stack, tokens=0),
        attention_width=attention_width(module),
        head_hash=hash_modules(list(pipeline)[1:], files.config.truncate_dim),
    )


def _settings(first: Any) -> dict[str, Any]:
    said: dict[str, Any] = first.get_config_dict()
    # Folders store it in different places, so the resolved value is a fact.
    return {name: value for name, value in said.items() if name not in ("max_seq_length", "model_kwargs")}


def _opened_by_others(files: ModelFiles) -> str:
    """Return a hint on loading a folder with a module of this package; empty if it has none or excludes it."""
    ours = next((entry for entry in files.config.modules if entry.of_package), None)
    if ours is None or files.options.stop_before is not None:
        return ""
    return f"adaptors.load_encoder and probe rank load the folder as a whole, with its {ours.name}"


def _notes(stack: LayerStack) -> Iterator[str]:
    if stack.final_norm is not None:
        yield _NORM_NOTE


def _count_positions(module: nn.Module) -> int | None:
    """Return the number of positions; RoBERTa-like models lose those up to the padding id."""
    config: Any = module.config
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    words: Any = module.get_input_embeddings()  # type: ignore[operator]
    # Detected by attributes, because I-BERT has its own class.
    others: list[Any] = [m for m in module.modules() if hasattr(m, "padding_idx") and m is not words]
    tables = [m for m in others if "weight" in m._parameters and len(m.weight) == positions]
    offsets = [table.padding_idx + 1 for table in tables if table.padding_idx is not None]
    return positions - max(offsets, default=0)
