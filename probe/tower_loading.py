"""Load one tower of a two-tower model, with what turns its inputs into tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from probe.batches import Batch, pad_batch, tokenise
from probe.errors import CallError, ModelError
from probe.loading import LoadedModel, explain_load_failure, pick_max_tokens
from probe.profile import ModelFacts, ModelFiles, build_profile
from probe.towers import Tower, TowerModule, find_tower

__all__ = ["LoadedTower", "TextInputs", "load_pair", "load_tower"]

_CPU = torch.device("cpu")
_EXAMPLES = ("a", "two of them side by side")
_NOTE = "the tower's final norm and projection are applied at every layer, as a tower cut there would apply them"


@dataclass(frozen=True)
class TextInputs:
    """How a tower takes texts.

    Attributes:
        pad_id: Fills a text.
        longest: The longest text in tokens.
        fills: Whether every text is filled up to that length, so that what fills it counts as the rest does.
        known: How many token ids the model knows.
    """

    pad_id: int
    longest: int
    fills: bool
    known: int

    def pad(self, rows: list[int], ids: Sequence[list[int]]) -> Batch:
        """Make a batch of token ids.

        Args:
            rows: Indices of the B texts.
            ids: Their token ids.
        """
        if self.fills:
            ids = [tokens + [self.pad_id] * (self.longest - len(tokens)) for tokens in ids]
        return pad_batch(rows, ids, self.pad_id)


@dataclass(frozen=True)
class LoadedTower(LoadedModel):
    """One tower in memory, ready to be read at any layer.

    Attributes:
        parts: Its blocks, and what makes embeddings of their states.
        texts: How it takes texts; None of one for images.
    """

    parts: Tower = field(repr=False)
    texts: TextInputs | None


def load_pair(files: ModelFiles) -> nn.Module:
    """Load both towers of a model, in float32 on the processor.

    Args:
        files: Files of one of its towers.

    Returns:
        transformers' model.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers import AutoModel

    try:
        model, report = AutoModel.from_pretrained(
            str(files.config.transformer),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=files.trust,
            output_loading_info=True,
        )
    except Exception as error:  # whatever a foreign folder makes transformers raise
        raise ModelError(explain_load_failure(files.source.name, error)) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"'{files.source.name}' holds no weights for {len(missing)} tensors its config asks for ({missing[0]}, "
            "...): they would be random. The config and the weights do not belong together."
        )
    pair: nn.Module = model.eval()
    return pair


def load_tower(files: ModelFiles, max_tokens: int | None = None) -> LoadedTower:
    """Load one tower of a model whose files were found.

    Args:
        files: The files.
        max_tokens: Longest text in tokens; the model's own when left out.

    Returns:
        The tower, the other one left out of it.

    Raises:
        CallError: It does not take inputs of that length.
        ModelError: Its layers cannot be read.
    """
    module = TowerModule(load_pair(files), files.tower or "")
    processor, texts, example = (_read_images if files.tower == "image" else _read_texts)(files, module, max_tokens)
    parts = find_tower(module, example)
    _drop_unread(module, parts)
    facts = ModelFacts(
        depth=parts.stack.depth,
        width=parts.width,
        parameters=tuple(parts.stack.count_parameters(module, layer) for layer in range(parts.stack.depth + 1)),
        max_tokens=texts.longest if texts else parts.tokens,
        notes=(*(note for note in files.config.notes if "pooling" not in note), _NOTE),
        pooling=parts.pooling,
    )
    module.to(files.device, files.dtype)
    told = vars(build_profile(files, facts))
    return LoadedTower(**told, module=module, tokenizer=processor, stack=parts.stack, parts=parts, texts=texts)


def _drop_unread(module: TowerModule, parts: Tower) -> None:
    """Let the other tower go."""
    unread = set(parts.stack.unread)
    for name, inner in list(module.model.named_children()):
        own = {f"model.{name}.{key}" for key, _ in inner.named_parameters()}
        if own and own <= unread:
            setattr(module.model, name, nn.Identity())


_Inputs = tuple[Any, TextInputs | None, dict[str, Tensor]]


def _read_images(files: ModelFiles, module: TowerModule, max_tokens: int | None) -> _Inputs:
    """Return the image processor, and two images as tensors."""
    from PIL import Image
    from transformers import AutoImageProcessor

    if max_tokens is not None:
        raise CallError(f"--max-tokens {max_tokens}: an image has as many tokens as the model makes of it")
    images = [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB")]
    try:
        # Pillow's, wherever torchvision is installed too: pixels do not depend on what else is on a machine.
        processor = AutoImageProcessor.from_pretrained(str(files.config.transformer), backend="pil")  # type: ignore[no-untyped-call]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
    except Exception as error:
        raise ModelError(explain_load_failure(files.source.name, error)) from error
    return processor, None, {"pixel_values": pixels}


def _read_texts(files: ModelFiles, module: TowerModule, max_tokens: int | None) -> _Inputs:
    """Return the tokenizer, how the tower takes texts, and two texts of different length as tensors."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(files.config.transformer), trust_remote_code=files.trust)
    except Exception as error:
        raise ModelError(explain_load_failure(files.source.name, error)) from error
    config = module.config.text_config
    longest = pick_max_tokens(max_tokens, files.config.max_tokens, config.max_position_embeddings, tokenizer)
    # A tokenizer that makes no mask is that of a model which was trained on texts filled up to its longest.
    masked = "attention_mask" in tokenizer.model_input_names
    texts = TextInputs(tokenizer.pad_token_id or 0, longest, not masked, config.vocab_size)
    return tokenizer, texts, texts.pad([0, 1], tokenise(tokenizer, list(_EXAMPLES), longest).ids).inputs(_CPU)
