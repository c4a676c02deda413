"""Running an encoder only up to a layer, like a cut model, without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from probe.encoding.encoders import HookpointEncoder
from probe.errors import CallError, ModelError, check_type
from probe.layers.layer_stack import LayerStack, block_input, find_layers

__all__ = ["truncate"]

E = TypeVar("E", bound=nn.Module | HookpointEncoder)


class _Stop(Exception):
    """Ends a forward after the last block to run; holds its states."""

    def __init__(self, hidden: Tensor) -> None:
        """Hold token states `(B, T, D)`."""
        super().__init__("stopped after the last block that runs")
        self.hidden = hidden


@contextmanager
def truncate(encoder: E, after: int) -> Iterator[E]:
    """Run only an encoder's first blocks, followed by its usual pooling and normalization.

        with truncate(SentenceTransformer("all-MiniLM-L6-v2"), after=5) as shorter:
            vectors = shorter.encode_document(texts)

    The weights are unchanged: within the with block a hook ends the forward after block `after`, so vectors and time
    are those of a model cut there. A final norm is applied, as in a cut model.

    Args:
        encoder: A `SentenceTransformer`, a transformers model, or a HookpointEncoder.
        after: Number of the last block to run, counted from 1.

    Yields:
        The encoder itself, truncated until the with block ends; for a hookpoint, the one at that layer.

    Raises:
        CallError: If the block does not exist.
        ModelError: If the layers cannot be found.
    """
    if isinstance(encoder, HookpointEncoder):
        _check_depth(after, encoder.depth)
        yield cast(E, encoder.at(after))
        return
    check_type(
        "encoder", encoder, nn.Module, expected="a SentenceTransformer, a transformers model or a HookpointEncoder"
    )
    model = _find_model(encoder)
    stack = find_layers(model)
    _check_depth(after, stack.depth)
    if after == stack.depth:
        yield encoder
        return
    with _ending_after(model, stack, after):
        yield encoder


def _check_depth(after: int, depth: int) -> None:
    if not 1 <= after <= depth:
        raise CallError(f"cannot truncate after {after}: the encoder has blocks 1 to {depth}")


def _find_model(encoder: nn.Module) -> PreTrainedModel:
    models = [module for module in encoder.modules() if isinstance(module, PreTrainedModel)]
    if not models:
        raise ModelError(f"{type(encoder).__name__} contains no transformers model, so its blocks cannot be found")
    inside = set(map(id, models[0].modules()))
    if any(id(model) not in inside for model in models):
        raise ModelError(f"{type(encoder).__name__} contains several transformers models: truncate one of them")
    return models[0]


def _count_tokens(inputs: dict[str, Any]) -> int | None:
    """Return the token count of a batch; some models pad it inside their forward and remove the padding again."""
    given = next((inputs[name] for name in ("attention_mask", "input_ids") if inputs.get(name) is not None), None)
    return None if given is None else int(given.shape[1])


@contextmanager
def _ending_after(model: PreTrainedModel, stack: LayerStack, after: int) -> Iterator[None]:
    """Make the model's forward end before block `after + 1`."""

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """End the forward."""
        raise _Stop(block_input(args, kwargs))

    forward, patched = model.forward, vars(model).get("forward")

    def forward_until_stopped(*args: Any, **kwargs: Any) -> Any:
        """Run the model and return the states at the stop as its output."""
        try:
            forward(*args, **kwargs)
        except _Stop as stopped:
            hidden = stopped.hidden[:, : _count_tokens(kwargs)]
            hidden = hidden if stack.final_norm is None else stack.final_norm(hidden)
            output = BaseModelOutput(last_hidden_state=hidden)
            return output if kwargs.get("return_dict", True) else output.to_tuple()
        raise ModelError(f"block {after + 1} of {type(model).__name__} did not run")

    handle = stack.blocks[after].register_forward_pre_hook(stop, with_kwargs=True)
    model.forward = forward_until_stopped
    try:
        yield
    finally:
        handle.remove()
        del model.forward
        if patched is not None:
            model.forward = patched
