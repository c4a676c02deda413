"""The encoder that a map between models was fitted to: its description, and the check that it is still the same."""

import hashlib
from collections.abc import Mapping
from typing import Literal

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.description import MapTarget, TargetMember
from adaptors.modules.base import Adaptor
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric, Composite

__all__ = ["check_pair", "describe_target"]


def describe_target(
    side: Literal["queries", "documents"], target: Composite, readers: Mapping[str, LayerReader]
) -> MapTarget:
    """Return the description of an encoder in whose space one side of a search is mapped.

    Args:
        side: The side that is mapped.
        target: The encoder.
        readers: Readers by the model names of its hookpoints.
    """
    members = []
    for point in target.points:
        model, (layer, pooling) = readers[point.model].model, point.layer_pooling
        members.append(
            TargetMember(
                weights_sha256=model.weights_hash,
                config_sha256=model.config_hash,
                tokenizer_sha256=model.tokenizer_hash,
                query_prompt=model.query_prompt,
                document_prompt=model.document_prompt,
                max_tokens=model.max_tokens,
                layer=layer,
                pooling=pooling,
            )
        )
    top = _hash(target.module) if isinstance(target, AdaptedEncoder) else None
    return MapTarget(side=side, encoder=str(target), members=members, adaptor_sha256=top)


def _hash(module: Adaptor) -> str:
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_pair(pair: Asymmetric, readers: Mapping[str, LayerReader]) -> None:
    """Check that a map is used on the side and beside the encoder that it was fitted for.

    Args:
        pair: The encoders of queries and of documents.
        readers: Readers by the model names of their hookpoints.

    Raises:
        CallError: One of them is a map to another encoder, or for the other side.
    """
    sides: dict[Literal["queries", "documents"], tuple[Composite, Composite]] = {
        "queries": (pair.queries, pair.documents),
        "documents": (pair.documents, pair.queries),
    }
    for side, (own, other) in sides.items():
        told = own.maps_to if isinstance(own, AdaptedEncoder) else None
        if told is None or own is other:
            continue
        if told.side != side:
            raise CallError(f"'{own}' maps {told.side}: give it as --{told.side}, and {told.encoder} as --{side}")
        found = describe_target(side, other, readers)
        if (found.members, found.adaptor_sha256) != (told.members, told.adaptor_sha256):
            raise CallError(
                f"'{own}' maps {side} to the space of {told.encoder}, and '{other}' is not that encoder as it was: "
                f"its weights, layer, pooling or prompts differ; map to it with adaptors fit map --to {other}"
            )
