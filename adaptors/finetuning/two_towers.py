"""A two-tower model that is to be trained: texts and images through sentence-transformers, as probing reads them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from torch import Tensor, nn

from probe.data.images import ImageFile, open_image
from probe.io.model_files import find_transformer_part
from probe.layers.hookpoint import TOWERS
from probe.layers.tower_stack import Tower, TowerModule, find_tower
from probe.models.info import ModelFiles, find_towers
from probe.models.loaded import pick_max_tokens
from probe.models.tower_loading import load_pair

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["AS_PROBED", "PairedModel", "find_both", "has_two_towers", "write_pair"]

# Pillow's pixels, as probing sees them, wherever torchvision is installed too.
AS_PROBED = {"backend": "pil"}
_EXAMPLES = ("a", "two of them side by side")
_FILLED: dict[str, Any] = {"text": {"padding": "max_length"}}


class PairedModel(SentenceTransformer):
    """A model of two towers, which opens images as probing does when a batch is read.

    Attributes:
        images: Those it knows, by their text: data sets, samplers and miners hand strings on, not the files behind.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        """Load a model, as sentence-transformers does."""
        super().__init__(*args, **named)
        self.images: dict[str, ImageFile] = {}

    def know(self, texts: Iterable[str]) -> None:
        """Remember the images among some texts."""
        self.images.update((str(text), text) for text in texts if isinstance(text, ImageFile))

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **named: Any) -> dict[str, Any]:
        """Return the tensors of a batch of texts, or of images that are opened here."""
        return super().preprocess([self._open(one) for one in inputs], prompt, **named)

    def _open(self, one: Any) -> Any:
        image = one if isinstance(one, ImageFile) else self.images.get(one) if isinstance(one, str) else None
        return one if image is None else open_image(image)


def has_two_towers(folder: Path) -> bool:
    """Return whether a model's folder holds one of two towers."""
    return bool(find_towers(find_transformer_part(folder)))


def write_pair(files: ModelFiles, folder: Path) -> None:
    """Write a two-tower model, given one tower's files, as sentence-transformers saves it, to read texts as in probing.

    Raises:
        ModelError: It cannot be loaded, or lacks weights.
    """
    load_pair(files)
    first = Transformer(str(files.config.transformer), model_kwargs={"dtype": torch.float32, "use_safetensors": True})
    tokenizer: Any = first.tokenizer
    longest = first.config.text_config.max_position_embeddings
    first.max_seq_length = pick_max_tokens(None, files.config.max_tokens, longest, tokenizer=tokenizer)
    if "attention_mask" not in tokenizer.model_input_names:
        first.processing_kwargs = _FILLED
    model = SentenceTransformer(modules=[first], device="cpu")
    prompts = {"query": files.config.query_prompt, "document": files.config.document_prompt}
    model.prompts = {side: text for side, text in prompts.items() if text}
    model.save_pretrained(str(folder), create_model_card=False)


def find_both(model: PairedModel) -> dict[str, Tower]:
    """Return both towers by name, their blocks under the names that transformers' model has for them.

    Raises:
        ModelError: A tower's parts do not show where its embedding comes from.
    """
    first: Any = model[0]
    return {name: _find(model, first.model, name) for name in TOWERS}


def _find(model: PairedModel, pair: nn.Module, name: str) -> Tower:
    found = find_tower(TowerModule(pair.eval(), name), _example(model, name))
    stack = found.stack
    unread = tuple(parameter.removeprefix("model.") for parameter in stack.unread)
    return replace(found, stack=replace(stack, path=stack.path.removeprefix("model."), unread=unread))


def _example(model: PairedModel, tower: str) -> dict[str, Tensor]:
    if tower == "image":
        return {"pixel_values": model.preprocess(_two_images())["pixel_values"]}
    made = model.preprocess(_EXAMPLES)
    # Texts that are filled up have no mask: what fills them is read as well.
    mask = made.get("attention_mask", torch.ones_like(made["input_ids"]))
    return {"input_ids": made["input_ids"], "attention_mask": mask}


def _two_images() -> "list[Image.Image]":
    """Return two images that have little in common."""
    from PIL import Image

    return [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB")]
