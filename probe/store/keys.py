"""Keys of the store: everything except layer and pooling that changes a vector."""

from collections.abc import Iterable
from typing import Any

from probe.data.dataset import TITLE_RULE
from probe.io.files import digest
from probe.io.package_data import VECTOR_LIBRARIES, library_versions
from probe.layers.hookpoint import OWN, LayerPooling
from probe.models.info import ModelProfile
from probe.models.tokenization import Role

__all__ = ["CHUNK", "content_ids", "encoder_parts", "shelf_parts"]

# Number of texts per file of the store; batches never span two chunks.
CHUNK = 1024
ROUNDING = "float16 around their mean (float32 where that overflows)"


def shelf_parts(model: ModelProfile, role: Role, text_hash: str, *, token_budget: int) -> dict[str, Any]:
    """Return everything except layer and pooling that changes a vector, as plain values: equal parts, equal vectors."""
    if model.state_hashes:
        decided = {**_decided(model, role, token_budget), "states": model.state_hashes[-1], "head": model.head_hash}
    else:
        decided = {**encoder_parts(model, token_budget), "files": model.files_hash, **_role(role)}
    return {**decided, "text_sha256": text_hash, "libraries": library_versions(VECTOR_LIBRARIES)}


def content_ids(
    model: ModelProfile, role: Role, layer_poolings: Iterable[LayerPooling], *, token_budget: int
) -> dict[LayerPooling, str]:
    """Return a key per layer and pooling that determines the vectors of any text: equal keys, equal vectors.

    A layer of a model has the same key as that of its cut, or of a copy in another folder. Models that run code from
    their folder get no keys, because no hash of tensors covers the code.
    """
    if not model.state_hashes or model.trust:
        return {}
    decided = {**_decided(model, role, token_budget), "libraries": library_versions(VECTOR_LIBRARIES)}
    return {
        (layer, pooling): digest(
            {
                **decided,
                "states": model.state_hashes[layer],
                "pooling": pooling,
                "head": model.head_hash if pooling == OWN else "",
            }
        )
        for layer, pooling in layer_poolings
        if layer < len(model.state_hashes)
    }


def _decided(model: ModelProfile, role: Role, token_budget: int) -> dict[str, Any]:
    """Return everything except tensors that determines a model's states of a text."""
    parts = encoder_parts(model, token_budget)
    for name in ("weights_sha256", "config_sha256", "tokenizer_sha256"):  # hashes of files, independent of the folder
        del parts[name]
    code = model.files_hash if model.trust else ""
    return {**parts, "inputs": model.inputs_hash, "settings": model.settings_hash, "code": code, **_role(role)}


def _role(role: Role) -> dict[str, str]:
    return {"task": role.task, "prompt": role.prompt}


def encoder_parts(model: ModelProfile, token_budget: int) -> dict[str, Any]:
    """Return the model's part of the key of its vectors, independent of the texts."""
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
