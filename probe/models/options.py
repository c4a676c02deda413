"""How to load a model."""

from dataclasses import dataclass

__all__ = ["LoadOptions"]


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model; None leaves the model's own value.

    Attributes:
        dtype: `auto`, `float32`, `bfloat16` or `float16`: what the encoder computes in.
        device: `auto`, `cpu`, `cuda`, ...
        max_tokens: Longest input in tokens.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        query_prompt_name: Name of one of the model's own prompts, to be put before every query.
        document_prompt_name: Name of one of the model's own prompts, to be put before every document.
        trust_remote_code: Run code that the model's folder brings.
        revision: Commit, branch or tag of a model on the hub.
        attn: Implementation of the attention, such as `eager` or `sdpa`.
        config: Settings of transformers' config to change: names, dots between nested ones, and values as JSON or text.
        stop_before: A module's folder inside the model's: it and what comes after it are left out.
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
