"""Options for loading a model."""

from dataclasses import dataclass

__all__ = ["LoadOptions"]


@dataclass(frozen=True)
class LoadOptions:
    """Options for loading a model; None means the model's own value.

    Attributes:
        dtype: Compute dtype: `auto`, `float32`, `bfloat16` or `float16`.
        device: Device: `auto`, `cpu`, `cuda`, ...
        max_tokens: Maximum input length in tokens.
        query_prompt: Prefix of every query.
        document_prompt: Prefix of every document.
        query_prompt_name: Name of one of the model's prompts, used for queries.
        document_prompt_name: Name of one of the model's prompts, used for documents.
        trust_remote_code: Whether code in the model's folder may run.
        revision: Commit, branch or tag on the hub.
        attn: Attention implementation, such as `eager` or `sdpa`.
        config: Overrides of the transformers config: dotted names, and values as JSON or text.
        stop_before: Folder of a module, relative to the model's; it and all later modules are dropped.
    """

    dtype: str = "auto"
    device: str = "auto"
    max_tokens: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    query_prompt_name: str | None = None
    document_prompt_name: str | None = None
    trust_remote_code: bool = False
    revision: str | None = None
    attn: str | None = None
    config: tuple[tuple[str, str], ...] = ()
    stop_before: str | None = None
