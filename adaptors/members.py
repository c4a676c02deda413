"""What a model was when an adaptor was fitted to it: its files, prompts and longest input, and whether it still is."""

from pathlib import Path

from probe.description import Part
from probe.errors import CallError, ModelError
from probe.options import LoadOptions
from probe.profile import ModelProfile, find_files

__all__ = ["Member", "check_member", "describe_member"]


class Member(Part):
    """What a model was when the adaptor was fitted to it."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    query_prompt: str
    document_prompt: str
    max_tokens: int | None


def describe_member(folder: Path) -> Member:
    """Return what a model is.

    Args:
        folder: Its folder.
    """
    files = find_files(str(folder), LoadOptions(dtype="float32", device="cpu"))
    return Member(
        weights_sha256=files.weights_hash,
        config_sha256=files.config_hash,
        tokenizer_sha256=files.tokenizer_hash,
        query_prompt=files.config.query_prompt,
        document_prompt=files.config.document_prompt,
        max_tokens=files.config.max_tokens,
    )


def check_member(member: Member, model: ModelProfile) -> None:
    """Refuse a model that an adaptor was not fitted to.

    Args:
        member: What the adaptor was fitted to.
        model: What its folder holds.

    Raises:
        CallError: It was opened with other prompts, or for other inputs.
        ModelError: It is another model.
    """
    found = (model.weights_hash, model.config_hash, model.tokenizer_hash)
    if found != (member.weights_sha256, member.config_sha256, member.tokenizer_sha256):
        raise ModelError(f"'{model.source.name}' is not the model its adaptor was fitted to: its files were changed")
    if (model.query_prompt, model.document_prompt) != (member.query_prompt, member.document_prompt):
        raise CallError(
            f"the adaptor in '{model.source.name}' was fitted under the prompts {member.query_prompt!r} and "
            f"{member.document_prompt!r}: leave out --query-prompt and --document-prompt"
        )
    if model.max_tokens != member.max_tokens:
        raise CallError(
            f"the adaptor in '{model.source.name}' was fitted to inputs of {member.max_tokens} tokens: leave out "
            "--max-tokens"
        )
