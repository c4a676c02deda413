"""Loading of one tower of a two-tower model with its input processor."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from probe.data.images import check_pillow
from probe.errors import CallError, ModelError
from probe.layers.hookpoint import TOWERS, split_tower
from probe.layers.operations import attention_width, count_flops
from probe.layers.tower_stack import Tower, TowerModule, find_tower
from probe.models.info import ModelFacts, ModelFiles, build_profile
from probe.models.loaded import (
    LoadedModel,
    explain_load_failure,
    pick_max_tokens,
    refuse_missing,
)
from probe.models.tokenization import Batch, pad_batch, tokenize

__all__ = [
    "LoadedTower",
    "TextInputs",
    "example_inputs",
    "load_other",
    "load_pair",
    "load_tower",
    "read_text_inputs",
]

_CPU = torch.device("cpu")
_EXAMPLES = ("a", "two of them side by side")
_NOTE = "the tower's final norm and projection are applied at every layer, as in a tower cut there"


@dataclass(frozen=True)
class TextInputs:
    """Text input settings of a tower.

    Attributes:
        pad_id: Padding id.
        longest: Maximum length in tokens.
        fills: Whether every text is padded to that length with padding that is attended to.
        known: Size of the model's vocabulary.
    """

    pad_id: int
    longest: int
    fills: bool
    known: int

    def pad(self, rows: list[int], ids: Sequence[list[int]]) -> Batch:
        """Return a padded batch of the B texts in `rows`."""
        if self.fills:
            ids = [tokens + [self.pad_id] * (self.longest - len(tokens)) for tokens in ids]
        return pad_batch(rows, ids, self.pad_id)


@dataclass(frozen=True, repr=False)
class LoadedTower(LoadedModel):
    """A loaded tower that can be read at any layer.

    Attributes:
        parts: Its blocks and its embedding head.
        texts: Its text settings; None for an image tower.
        files: The files of both towers.
    """

    parts: Tower = field(repr=False)
    texts: TextInputs | None
    files: ModelFiles = field(repr=False)


def _load_part(loader: Any, files: ModelFiles, **options: Any) -> Any:
    """Load a part of a model with an auto class of transformers.

    Raises:
        ModelError: If it cannot be loaded.
    """
    try:
        return loader.from_pretrained(str(files.config.transformer), **options)
    except Exception as error:  # libraries raise many types on unexpected folders
        raise ModelError(explain_load_failure(files.source, error)) from error


def _load_weights(loader: Any, files: ModelFiles) -> tuple[nn.Module, list[str]]:
    """Load a transformer in evaluation mode and float32 on the CPU; return it and the tensors its files lack.

    Raises:
        ModelError: If it cannot be loaded.
    """
    options = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": files.trust}
    module, report = _load_part(loader, files, output_loading_info=True, **options)
    return module.eval(), sorted(report["missing_keys"])


def load_pair(files: ModelFiles) -> nn.Module:
    """Load both towers as transformers' model, in float32 on the CPU.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoModel

    pair, missing = _load_weights(AutoModel, files)
    refuse_missing(files.source.name, missing)
    return pair


def load_tower(files: ModelFiles, max_tokens: int | None = None) -> LoadedTower:
    """Load one tower of a model, without the other.

    Raises:
        CallError: If it does not support the requested length.
        ModelError: If its layers cannot be read.
    """
    module = TowerModule(load_pair(files), files.tower or "")
    if files.tower == "image":
        processor, texts = _read_image_processor(files, max_tokens), None
    else:
        processor, texts = read_text_inputs(files, module.config, max_tokens)
    try:
        inputs = example_inputs(processor, texts)
    except Exception as error:  # processors raise many types on unexpected settings
        raise ModelError(explain_load_failure(files.source, error)) from error
    parts = find_tower(module, inputs)
    _drop_unread(module, parts)
    facts = ModelFacts(
        depth=parts.stack.depth,
        width=parts.width,
        parameters=parts.stack.parameters_by_layer(module),
        max_tokens=texts.longest if texts else parts.tokens,
        notes=(*(note for note in files.config.notes if "pooling" not in note), _NOTE),
        pooling=parts.pooling,
        flops=count_flops(module, parts.stack, tokens=0, once=parts.steps),
        attention_width=attention_width(module),
    )
    module.to(files.device, files.dtype)
    profile = vars(build_profile(files, facts))
    return LoadedTower(
        **profile, module=module, tokenizer=processor, stack=parts.stack, parts=parts, texts=texts, files=files
    )


def load_other(tower: LoadedTower) -> LoadedTower:
    """Load the other tower from the same files.

    Raises:
        ModelError: If its layers cannot be read.
    """
    other = next(name for name in TOWERS if name != tower.tower)
    name, typed = (f"{split_tower(text)[0]}@{other}" for text in (tower.source.name, tower.source.typed))
    source = replace(tower.source, name=name, typed=typed)
    return load_tower(replace(tower.files, source=source, tower=other))


def _drop_unread(module: TowerModule, parts: Tower) -> None:
    """Delete the other tower."""
    unread = set(parts.stack.unread)
    for name, inner in list(module.model.named_children()):
        own = {f"model.{name}.{key}" for key, _ in inner.named_parameters()}
        if own and own <= unread:
            setattr(module.model, name, nn.Identity())


def _read_image_processor(files: ModelFiles, max_tokens: int | None) -> Any:
    check_pillow()
    from transformers import AutoImageProcessor

    if max_tokens is not None:
        raise CallError(f"--max-tokens {max_tokens} does not apply to images: the model sets their token count")
    # Pillow's processor even if torchvision is installed, so that pixels do not depend on the environment.
    return _load_part(AutoImageProcessor, files, backend="pil")


def read_text_inputs(files: ModelFiles, config: Any, max_tokens: int | None = None) -> tuple[Any, TextInputs]:
    """Return the tokenizer and the text settings of a two-tower model, given the transformers config of both towers.

    Raises:
        CallError: If it does not support the requested length.
        ModelError: If the tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    tokenizer = _load_part(AutoTokenizer, files, trust_remote_code=files.trust)
    text = config.text_config
    longest = pick_max_tokens(max_tokens, files.config.max_tokens, text.max_position_embeddings, tokenizer=tokenizer)
    # Tokenizers without attention masks belong to models trained on texts padded to the maximum length.
    masked = "attention_mask" in tokenizer.model_input_names
    return tokenizer, TextInputs(tokenizer.pad_token_id or 0, longest, not masked, text.vocab_size)


def example_inputs(processor: Any, texts: TextInputs | None) -> dict[str, Tensor]:
    """Return two different inputs of a tower; two texts differ in length."""
    if texts is not None:
        return texts.pad([0, 1], tokenize(processor, list(_EXAMPLES), texts.longest).ids).inputs(_CPU)
    from PIL import Image

    images = [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB")]
    return {"pixel_values": processor(images=images, return_tensors="pt")["pixel_values"]}
