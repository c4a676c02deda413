"""Cost of a token at every layer: FLOPs of the matrix products, by formula."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from probe.layers.layer_stack import LayerStack

__all__ = ["attention_width", "count_flops", "text_flops"]


def count_flops(
    module: nn.Module, stack: LayerStack, tokens: int, *, once: Sequence[nn.Module] = ()
) -> tuple[int, ...]:
    """Count the floating-point operations per token of a text with T tokens, up to every layer.

    At layer `k` they are `2 W(k) + 4 T A k`. W is the number of weights of the linear maps up to there, each with a
    multiplication and an addition. A is the total width of the attention heads, usually the width D of the states; the
    two products of attention (queries with keys, weights with values) take `2 T A` each. This follows Hoffmann et al.
    2022, "Training Compute-Optimal Large Language Models", appendix F, which adds the softmax; Kaplan et al. 2020,
    "Scaling Laws for Neural Language Models", table 1, counts only one of the two products.

    Softmax, norms, activations and pooling are not counted, nor operations of single families: relative-position
    attention (DeBERTa), convolutions. All weights count, even if only some experts of a mixture run.

    Args:
        module: The model.
        stack: Its layers.
        tokens: T, including special tokens.
        once: Modules that run once per text, such as a tower's projection; not counted.

    Returns:
        FLOPs per token from layer 0 to the depth.
    """
    blocks = f"{stack.path}."
    apart = {id(part) for top in once for part in top.modules()}
    outside = (m for name, m in module.named_modules() if not name.startswith(blocks) and stack.needs(f"{name}."))
    weights = sum(matrix.numel() for part in outside if id(part) not in apart for matrix in _matrices(part))
    attention = 4 * tokens * attention_width(module)
    counts = [2 * weights]
    for block in stack.blocks:
        own = sum(matrix.numel() for part in block.modules() for matrix in _matrices(part))
        counts.append(counts[-1] + 2 * own + attention)
    return tuple(counts)


def _matrices(part: nn.Module) -> Iterator[Tensor]:
    """Yield the weight matrices of a module itself; embedding tables are lookups and do not count."""
    if not isinstance(part, nn.Embedding):
        yield from (parameter for parameter in part.parameters(recurse=False) if parameter.ndim == 2)


def attention_width(module: nn.Module) -> int:
    """Return the total width of the attention heads; the width of the states if the config does not define it."""
    config = module.config.get_text_config()  # type: ignore[union-attr, operator]
    heads, width = getattr(config, "num_attention_heads", None), getattr(config, "hidden_size", None) or 0
    if not isinstance(heads, int) or heads < 1:  # some families have a number per block
        return int(width)
    return int(heads * (getattr(config, "head_dim", None) or width // heads))


def text_flops(per_token: int, attention: int, layer: int, *, tokens: int) -> int:
    """Return the FLOPs of one text up to a layer.

    Args:
        per_token: Result of `count_flops` for the layer and texts of 0 tokens.
        attention: Total width of the attention heads.
        layer: The layer.
        tokens: Number of tokens of the text.
    """
    return tokens * (per_token + 4 * tokens * attention * layer)
