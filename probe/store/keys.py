"""What a key of the store is made of: everything but layer and pooling that changes a vector."""

from collections.abc import Iterable
from typing import Any

from probe.data.dataset import TITLE_RULE
from probe.io.files import digest
from probe.io.package_data import VECTOR_LIBRARIES, library_versions
from probe.layers.hookpoint import OWN, LayerPooling
from probe.models.info import ModelProfile
from probe.models.tokenization import Role

__all__ = ["CHUNK", "content_ids", "encoder_parts", "shelf_parts"]

# Texts whose states make one file of the store; batches never cross it.
CHUNK = 1024
ROUNDING = "float16 around their mean (float32 where that overflows)"


def shelf_parts(model: ModelProfile, role: Role, text_hash: str, *, token_budget: int) -> dict[str, Any]:
    """Return everything but layer and pooling that changes a vector, as plain values: equal parts, equal vectors."""
    if model.state_hashes:
        decided = {**_decided(model, role, token_budget), "states": model.state_hashes[-1], "head": model.head_hash}
    else:
        decided = {**encoder_parts(model, token_budget), "files": model.files_hash, **_role(role)}
    return {**decided, "text_sha256": text_hash, "libraries": library_versions(VECTOR_LIBRARIES)}


def content_ids(
    model: ModelProfile, role: Role, layer_poolings: Iterable[LayerPooling], *, token_budget: int
) -> dict[LayerPooling, str]:
    """Return what decides the vectors of any text at layers and poolings: equal ids, equal vectors.

    A model's layer and that of a cut, or of a copy in another folder, have one id. Of a model that runs code of its
    folder, which no hash of tensors covers, nothing is told.
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
    """Return all but the tensors that decides a model's states of a text."""
    parts = encoder_parts(model, token_budget)
    for name in ("weights_sha256", "config_sha256", "tokenizer_sha256"):  # of files, wherever they lie
        del parts[name]
    code = model.files_hash if model.trust else ""
    return {**parts, "inputs": model.inputs_hash, "settings": model.settings_hash, "code": code, **_role(role)}


def _role(role: Role) -> dict[str, str]:
    return {"task": role.task, "prompt": role.prompt}


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
