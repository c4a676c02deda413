"""An encoder in memory, and what loading any kind of it shares: longest inputs, and what cannot be loaded."""

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

_NORM_NOTE = "the model's final norm is applied at every layer, as a model cut there would apply it"


@dataclass(frozen=True, repr=False)
class LoadedModel(ModelProfile):
    """An encoder in memory, ready to be read at any layer.

    Attributes:
        module: The transformer, in evaluation mode; its weights are of the dtype it computes in.
        tokenizer: Its tokenizer.
        stack: Its layers.
        pipeline: sentence-transformers' model of it, whose first module holds the transformer; None of a tower.
    """

    module: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    stack: LayerStack = field(repr=False)
    pipeline: Any = field(repr=False, default=None, kw_only=True)


def explain_load_failure(source: ModelSource, error: Exception) -> str:
    """Return a line on what transformers raised when it was to load a model."""
    name, said = source.name, str(error).strip()
    if "trust_remote_code" in said:
        others = " and ".join(code_repositories(source.folder))
        of = f"code of {others} on the hub" if others else "code of its own"
        return f"'{name}' brings {of}: pass --trust-remote-code if you have read it and trust it"
    if "ignore_mismatched_sizes" in said:
        return f"'{name}' cannot be loaded: its weights have other shapes than its config says"
    return f"'{name}' cannot be loaded by transformers: {type(error).__name__}: {first_line(error)}"


def refuse_missing(name: str, missing: Sequence[str]) -> None:
    """Refuse a model whose files lack weights that its config asks for.

    Raises:
        ModelError: There are any.
    """
    if missing:
        raise ModelError(
            f"'{name}' holds no weights for {len(missing)} tensors its config asks for ({missing[0]}, ...): "
            "they would be random. The config and the weights do not belong together."
        )


def pick_max_tokens(wanted: int | None, named: int | None, possible: int | None, *, tokenizer: Any) -> int:
    """Return the longest input: as asked, as sentence-transformers says, or as tokenizer and positions allow.

    Args:
        wanted: What the caller asks for.
        named: What the model's folder says.
        possible: How many tokens the positions suffice for.
        tokenizer: The tokenizer.

    Returns:
        The number of tokens.

    Raises:
        CallError: The model does not take inputs of the length that is asked for.
        ModelError: Its own longest input has no room for a single token.
    """
    least = tokenizer.num_special_tokens_to_add() + 1
    if wanted is not None:
        if not least <= wanted <= (possible or wanted):
            most = possible or "any number"
            raise CallError(f"--max-tokens {wanted} is out of range: the model takes {least} to {most}")
        return wanted
    limits = [n for n in (tokenizer.model_max_length if named is None else named, possible) if n and n < NO_LIMIT]
    longest = int(min(limits, default=NO_LIMIT))
    if longest < least:
        raise ModelError(
            f"the model's own longest input is {longest} tokens, and {least} are the fewest that hold a word: correct "
            "max_seq_length in its sentence_bert_config.json, or pass --max-tokens"
        )
    return longest


def assemble(files: ModelFiles, pipeline: Any, stack: LayerStack, *, facts: ModelFacts | None = None) -> "LoadedModel":
    """Put an encoder of one tower together, given sentence-transformers' model of it, in float32.

    Args:
        files: Its files.
        pipeline: sentence-transformers' model.
        stack: The transformer's layers.
        facts: What an earlier loading showed, if there was one.

    Raises:
        CallError: The model does not take inputs of that length.
        ModelError: Its vectors cannot be had as sentence-transformers gives them.
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
    # Where it is kept differs between folders; as it is followed, it is a fact of its own.
    return {name: value for name, value in said.items() if name not in ("max_seq_length", "model_kwargs")}


def _opened_by_others(files: ModelFiles) -> str:
    """Say who opens a folder with a module of this package, if there is one that was not left out on purpose."""
    ours = next((entry for entry in files.config.modules if entry.of_package), None)
    if ours is None or files.options.stop_before is not None:
        return ""
    return f"adaptors.load_encoder and probe rank open it with its {ours.name}, for the folder as it stands"


def _notes(stack: LayerStack) -> Iterator[str]:
    if stack.final_norm is not None:
        yield _NORM_NOTE


def _count_positions(module: nn.Module) -> int | None:
    """Return how many tokens the positions suffice for; RoBERTa-like models lose those up to the padding id."""
    config: Any = module.config
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    words: Any = module.get_input_embeddings()  # type: ignore[operator]
    # Known by what they have, as I-BERT's are of a class of their own.
    others: list[Any] = [m for m in module.modules() if hasattr(m, "padding_idx") and m is not words]
    tables = [m for m in others if "weight" in m._parameters and len(m.weight) == positions]
    offsets = [table.padding_idx + 1 for table in tables if table.padding_idx is not None]
    return positions - max(offsets, default=0)
