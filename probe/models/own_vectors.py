"""A model's own vectors at any layer: the modules after its transformer, run on the states of that layer."""

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from probe.errors import ModelError, first_line
from probe.layers.capture import Capture
from probe.layers.full_precision import full_precision, is_half
from probe.layers.hookpoint import OWN
from probe.layers.layer_stack import LayerStack
from probe.layers.padding import Batching, find_batching
from probe.layers.unchanged import unchanged
from probe.models.info import ModelFiles
from probe.models.tokenization import Batch, Role, pad_features, preprocess

__all__ = ["OwnVectors", "TailModules", "find_own_vectors"]

_EXAMPLES = (
    "a",
    "Which layer of an encoder retrieves best?",
    "Each block reads what the one before it wrote; whoever cuts a model keeps the first of them, and whatever follows "
    "the last one is applied to the states of the one where it was cut.",
)
# Maximum difference of vectors with values of about 1.
_TOLERANCE = 1e-5
_POOLINGS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last"}
# The same in half precision, where the order of operations matters more.
_HALF_TOLERANCE = 2e-2


class TailModules:
    """All modules of a SentenceTransformer after the first."""

    def __init__(self, pipeline: Any) -> None:
        """Share the modules of `pipeline`."""
        _, *others = pipeline.named_children()
        self._tail = copy.copy(pipeline)
        self._tail._modules = OrderedDict(others)
        self._dim = pipeline.truncate_dim
        self._dtype = next((p.dtype for p in self._tail.parameters()), torch.float32)

    def embed(self, hidden: Tensor, features: Mapping[str, Any], task: str) -> Tensor:
        """Return vectors `(B, P)` of token states `(B, T, D)`.

        Args:
            hidden: Token states.
            features: The transformer's inputs, padded like the states.
            task: `query` or `document`.
        """
        made = self._tail({**features, "token_embeddings": hidden.to(self._dtype)}, task=task)
        vectors: Tensor = made["sentence_embedding"]
        return vectors[:, : self._dim].float()


@dataclass(frozen=True)
class OwnVectors:
    """Result of checking a model's own vectors.

    Attributes:
        width: Dimension of the transformer's states.
        own_width: Dimension of its own vectors; 0 if it has none.
        pooling: Their name; None if it has none.
        refusal: Why it has none.
        batching: Which texts may share a batch.
    """

    width: int
    own_width: int
    pooling: str | None
    refusal: str
    batching: Batching


def find_own_vectors(pipeline: Any, stack: LayerStack, files: ModelFiles) -> OwnVectors:
    """Compare own vectors at the last layer with those of sentence-transformers, on a few texts.

    Args:
        pipeline: The SentenceTransformer; in half precision, it is compared in float32 arithmetic on a CPU.
        stack: The layers of its transformer.
        files: The model's files.

    Returns:
        The result of the check.

    Raises:
        ModelError: If the two differ, or the model does not read plain texts.
    """
    try:
        with full_precision(pipeline[0].auto_model):
            return _compare(pipeline, stack, files)
    except ModelError:
        raise
    except Exception as error:  # models fail in many ways on unexpected tokens
        raise ModelError(_explain_failure(pipeline, files.source.name, error)) from error


def _explain_failure(pipeline: Any, name: str, error: Exception) -> str:
    known, given = len(pipeline[0].auto_model.get_input_embeddings().weight), len(pipeline.tokenizer)
    if given > known:
        found = f"the tokenizer of '{name}' has {given} tokens, but the model has {known}"
        return f"{found}: use the matching tokenizer"
    return f"'{name}' fails on texts from its own tokenizer: {type(error).__name__}: {first_line(error)}"


def _compare(pipeline: Any, stack: LayerStack, files: ModelFiles) -> OwnVectors:
    reader = _LastLayer(pipeline, stack)
    roles = [Role("query", files.config.query_prompt), Role("document", files.config.document_prompt)]
    states = reader.states(_EXAMPLES[:1], roles[0])
    width = states.shape[-1]
    try:
        expected = [_embed_alone(pipeline, role) for role in roles]
    except Exception as error:  # custom modules may raise anything
        refusal = f"sentence-transformers cannot encode with it ({type(error).__name__}: {first_line(error)})"
        return OwnVectors(width, 0, None, refusal, _batching(pipeline))
    alone = [torch.cat([reader.vectors([text], role) for text in _EXAMPLES]) for role in roles]
    tolerance = _HALF_TOLERANCE if is_half(states.dtype) else _TOLERANCE
    difference = _differ(torch.cat(alone), torch.cat(expected))
    if difference > tolerance:
        raise ModelError(
            f"'{files.source.name}' cannot be read layer by layer: the vectors of its last layer differ by "
            f"{difference:.1e} from those of sentence-transformers; rank the whole model with probe.evaluate"
        )
    together = [reader.vectors(_EXAMPLES, role) for role in roles]
    batching = _batching(pipeline)
    if batching == "padded" and _differ(torch.cat(together), torch.cat(alone)) > tolerance:
        batching = "equal"
    return OwnVectors(width, expected[0].shape[1], _name_of(pipeline, files), "", batching)


def _batching(pipeline: Any) -> Batching:
    """Return which texts may share a batch, tested on long inputs too: attention may change with length."""
    first, tokenizer = pipeline[0].auto_model, pipeline.tokenizer
    return find_batching(first, pad_id=tokenizer.pad_token_id or 0, longest=pipeline.max_seq_length)


class _LastLayer:
    """Reader of a model's last layer."""

    def __init__(self, pipeline: Any, stack: LayerStack) -> None:
        self._pipeline, self._stack, self._tail = pipeline, stack, TailModules(pipeline)
        self._device = pipeline[0].auto_model.device

    def vectors(self, texts: Sequence[str], role: Role) -> Tensor:
        """Return own vectors `(N, P)` of texts in one batch."""
        batch = self._batch(texts, role)
        return self._read(batch, lambda hidden, mask: self._tail.embed(hidden, batch.inputs(self._device), role.task))

    def states(self, texts: Sequence[str], role: Role) -> Tensor:
        """Return token states `(N, T, D)`."""
        return self._read(self._batch(texts, role), lambda hidden, mask: hidden * mask.unsqueeze(-1))

    def _batch(self, texts: Sequence[str], role: Role) -> Batch:
        features = preprocess(self._pipeline, texts, role)
        return pad_features(list(range(len(texts))), features, self._pipeline.tokenizer.pad_token_id or 0)

    def _read(self, batch: Batch, pooling: Any) -> Tensor:
        first, layer = self._pipeline[0], self._stack.depth
        capture = Capture(
            first.auto_model, self._stack, {layer: ("it",)}, pooling_at=lambda key: pooling, forward=first
        )
        with capture, torch.inference_mode():
            return capture.run(batch.inputs(self._device))[layer, "it"]


def _embed_alone(pipeline: Any, role: Role) -> Tensor:
    """Embed each example in its own batch, with sentence-transformers."""
    rows = []
    for text in _EXAMPLES:
        with unchanged(pipeline[0].auto_model):
            rows.append(
                pipeline.encode(
                    [text], prompt=role.prompt, task=role.task, convert_to_tensor=True, show_progress_bar=False
                )
            )
    return torch.cat(rows).float()


def _differ(found: Tensor, expected: Tensor) -> float:
    """Return the maximum difference, for values of about 1; infinite if the shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    scale = max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) / scale
    return float("inf") if math.isnan(difference) else difference


def _name_of(pipeline: Any, files: ModelFiles) -> str:
    """Return the bare pooling that ranks as the model's own vectors do, or `own` if they need more modules."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    first, *others = list(pipeline)[1:] or [None]
    # Only the class itself; subclasses may do anything.
    plain = type(first) is Pooling and isinstance(first.pooling_mode, str) and pipeline.truncate_dim is None
    excludes = plain and not first.include_prompt and bool(files.config.query_prompt or files.config.document_prompt)
    unit = bool(others) and all(type(module) is Normalize for module in others)
    if not plain or excludes or (others and not unit) or (unit and files.config.similarity != "cosine"):
        return OWN
    return _POOLINGS.get(first.pooling_mode, OWN)
