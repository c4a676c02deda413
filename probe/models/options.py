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
        trust_remote_code: Run code that the model's folder brings.
    """

    dtype: str = "auto"
    device: str = "auto"
    max_tokens: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool = False
