"""What a key of the store is made of: everything but layer and pooling that changes a vector."""

from typing import Any

from probe.data.dataset import TITLE_RULE
from probe.io.package_data import VECTOR_LIBRARIES, library_versions
from probe.models.info import ModelProfile
from probe.models.tokenization import Role

__all__ = ["CHUNK", "encoder_parts", "shelf_parts"]

# Texts whose states make one file of the store; batches never cross it.
CHUNK = 1024
ROUNDING = "float16 around their mean (float32 where that overflows)"


def shelf_parts(model: ModelProfile, role: Role, text_hash: str, *, token_budget: int) -> dict[str, Any]:
    """Return everything but layer and pooling that changes a vector, as plain values: equal parts, equal vectors."""
    parts = encoder_parts(model, token_budget)
    if model.state_hashes:
        # Of what is in the files, not of the files: a copy of a model shares its states.
        parts |= {"weights_sha256": model.state_hashes[-1], "config_sha256": model.head_hash}
    return {
        **parts,
        "tokenizer_sha256": [model.tokenizer_hash, model.files_hash],
        "task": role.task,
        "prompt": role.prompt,
        "text_sha256": text_hash,
        "libraries": library_versions(VECTOR_LIBRARIES),
    }


def encoder_parts(model: ModelProfile, token_budget: int) -> dict[str, Any]:
    """Return what a model contributes to its vectors, whatever the texts."""
    return {
        "weights_sha256": model.weights_hash,
        "config_sha256": model.config_hash,
        "tokenizer_sha256": model.tokenizer_hash,
        "max_tokens": model.max_tokens,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "title_rule": TITLE_RULE,
        "batches": f"{token_budget} tokens of {CHUNK} texts",
        "rounding": ROUNDING,
    }
