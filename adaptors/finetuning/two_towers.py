"""A two-tower model to train: texts and images in sentence-transformers, encoded as in probing."""

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

# Images are processed with Pillow as in probing, even if torchvision is installed.
AS_PROBED = {"backend": "pil"}
_EXAMPLES = ("a", "two of them side by side")
_FILLED: dict[str, Any] = {"text": {"padding": "max_length"}}


class PairedModel(SentenceTransformer):
    """A two-tower model that opens images like probing when a batch is encoded.

    Attributes:
        images: Known images by their text, since data sets, samplers and miners pass on strings, not files.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        """Load a model like sentence-transformers."""
        super().__init__(*args, **named)
        self.images: dict[str, ImageFile] = {}

    def know(self, texts: Iterable[str]) -> None:
        """Remember the images among some texts."""
        self.images.update((str(text), text) for text in texts if isinstance(text, ImageFile))

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **named: Any) -> dict[str, Any]:
        """Return the tensors of a batch of texts or images; images are opened here."""
        return super().preprocess([self._open(one) for one in inputs], prompt, **named)

    def _open(self, one: Any) -> Any:
        image = one if isinstance(one, ImageFile) else self.images.get(one) if isinstance(one, str) else None
        return one if image is None else open_image(image)


def has_two_towers(folder: Path) -> bool:
    """Return whether a folder has a two-tower model."""
    return bool(find_towers(find_transformer_part(folder)))


def write_pair(files: ModelFiles, folder: Path) -> None:
    """Save a two-tower model from one tower's files with sentence-transformers, encoding texts as in probing.

    Raises:
        ModelError: It cannot be loaded, or weights are missing.
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
    """Return both towers by name, with module paths relative to the transformers model.

    Raises:
        ModelError: The source of a tower's embedding cannot be determined.
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
    # Texts padded to a fixed length have no mask: their padding is encoded as well.
    mask = made.get("attention_mask", torch.ones_like(made["input_ids"]))
    return {"input_ids": made["input_ids"], "attention_mask": mask}


def _two_images() -> "list[Image.Image]":
    """Return two very different images."""
    from PIL import Image

    return [Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L").convert("RGB")]
