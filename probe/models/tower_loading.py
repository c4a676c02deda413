"""Load one tower of a two-tower model, with what turns its inputs into tensors."""

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
        """Make a batch of the token ids of the B texts in `rows`."""
        if self.fills:
            ids = [tokens + [self.pad_id] * (self.longest - len(tokens)) for tokens in ids]
        return pad_batch(rows, ids, self.pad_id)


@dataclass(frozen=True, repr=False)
class LoadedTower(LoadedModel):
    """One tower in memory, ready to be read at any layer.

    Attributes:
        parts: Its blocks, and what makes embeddings of their states.
        texts: How it takes texts; None of one for images.
        files: The files of both towers.
    """

    parts: Tower = field(repr=False)
    texts: TextInputs | None
    files: ModelFiles = field(repr=False)


def _load_part(loader: Any, files: ModelFiles, **options: Any) -> Any:
    """Load a part of a model from its folder, by an auto class of transformers.

    Raises:
        ModelError: It cannot be loaded.
    """
    try:
        return loader.from_pretrained(str(files.config.transformer), **options)
    except Exception as error:  # whatever a foreign folder makes transformers raise
        raise ModelError(explain_load_failure(files.source, error)) from error


def _load_weights(loader: Any, files: ModelFiles) -> tuple[nn.Module, list[str]]:
    """Load a transformer for evaluation, in float32 on the processor; return it and the tensors its files lack.

    Raises:
        ModelError: It cannot be loaded.
    """
    options = {"dtype": torch.float32, "use_safetensors": True, "trust_remote_code": files.trust}
    module, report = _load_part(loader, files, output_loading_info=True, **options)
    return module.eval(), sorted(report["missing_keys"])


def load_pair(files: ModelFiles) -> nn.Module:
    """Load both towers of a model as transformers' model, in float32 on the processor.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers import AutoModel

    pair, missing = _load_weights(AutoModel, files)
    refuse_missing(files.source.name, missing)
    return pair


def load_tower(files: ModelFiles, max_tokens: int | None = None) -> LoadedTower:
    """Load one tower of a model whose files were found; the other one is left out of it.

    Raises:
        CallError: It does not take inputs of that length.
        ModelError: Its layers cannot be read.
    """
    module = TowerModule(load_pair(files), files.tower or "")
    if files.tower == "image":
        processor, texts = _read_image_processor(files, max_tokens), None
    else:
        processor, texts = read_text_inputs(files, module.config, max_tokens)
    try:
        inputs = example_inputs(processor, texts)
    except Exception as error:  # whatever a foreign processor makes of its own settings
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
    """Load the tower beside a loaded one, of the same files.

    Raises:
        ModelError: Its layers cannot be read.
    """
    other = next(name for name in TOWERS if name != tower.tower)
    name, typed = (f"{split_tower(text)[0]}@{other}" for text in (tower.source.name, tower.source.typed))
    source = replace(tower.source, name=name, typed=typed)
    return load_tower(replace(tower.files, source=source, tower=other))


def _drop_unread(module: TowerModule, parts: Tower) -> None:
    """Let the other tower go."""
    unread = set(parts.stack.unread)
    for name, inner in list(module.model.named_children()):
        own = {f"model.{name}.{key}" for key, _ in inner.named_parameters()}
        if own and own <= unread:
            setattr(module.model, name, nn.Identity())


def _read_image_processor(files: ModelFiles, max_tokens: int | None) -> Any:
    check_pillow()
    from transformers import AutoImageProcessor

    if max_tokens is not None:
        raise CallError(f"--max-tokens {max_tokens}: an image has as many tokens as the model makes of it")
    # Pillow's, wherever torchvision is installed too: pixels do not depend on what else is on a machine.
    return _load_part(AutoImageProcessor, files, backend="pil")


def read_text_inputs(files: ModelFiles, config: Any, max_tokens: int | None = None) -> tuple[Any, TextInputs]:
    """Return the tokenizer of a model of two towers, and how it takes texts, by transformers' config of both.

    Raises:
        CallError: It does not take texts of that length.
        ModelError: The tokenizer cannot be loaded.
    """
    from transformers import AutoTokenizer

    tokenizer = _load_part(AutoTokenizer, files, trust_remote_code=files.trust)
    text = config.text_config
    longest = pick_max_tokens(max_tokens, files.config.max_tokens, text.max_position_embeddings, tokenizer=tokenizer)
    # A tokenizer that makes no mask is that of a model which was trained on texts filled up to its longest.
    masked = "attention_mask" in tokenizer.model_input_names
    return tokenizer, TextInputs(tokenizer.pad_token_id or 0, longest, not masked, text.vocab_size)


def example_inputs(processor: Any, texts: TextInputs | None) -> dict[str, Tensor]:
    """Return two different inputs of a tower, as it takes them; of texts, one is longer than the other."""
    if texts is not None:
        return texts.pad([0, 1], tokenize(processor, list(_EXAMPLES), texts.longest).ids).inputs(_CPU)
    from PIL import Image

    images = [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB")]
    return {"pixel_values": processor(images=images, return_tensors="pt")["pixel_values"]}
