"""Tiny randomly initialised two-tower models, CLIP's and SigLIP's kind, written to folders in transformers' layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from safetensors.torch import load_file, save_file
from tiny_models import randomise
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = [
    "CAPTION_WORDS",
    "IMAGE_SIZE",
    "LONGEST",
    "PATCH",
    "PROJECTION",
    "TOWER_KINDS",
    "change_weights",
    "make_towers",
    "write_towers",
]

IMAGE_SIZE = 32
PATCH = 8
PROJECTION = 16
LONGEST = 16
TOWER_KINDS = ("clip", "siglip")

_WORDS = """
    a an the of at in on and photo drawing red green blue yellow black white orange purple grey pink brown cyan small
    large circle square triangle cross star ring bar top bottom left right middle centre upper lower corner
"""
CAPTION_WORDS = tuple(_WORDS.split())

_COMMON = {"num_attention_heads": 4}
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "image_size": IMAGE_SIZE,
    "patch_size": PATCH,
}
_TEXT = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "max_position_embeddings": LONGEST}


def make_towers(kind: str = "clip", **changes: Any) -> PreTrainedModel:
    """Return a tiny model of two towers of different depth and width, every weight drawn anew.

    Args:
        kind: `clip` or `siglip`.
        changes: Of the images' and the texts' settings, as `vision` and `text`.
    """
    specials = len(_specials(kind))
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
    text = {**_COMMON, **_TEXT, **ids, "vocab_size": specials + len(CAPTION_WORDS), **changes.get("text", {})}
    vision = {**_COMMON, **_VISION, **changes.get("vision", {})}
    if kind == "clip":
        config: Any = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=PROJECTION)
        model: PreTrainedModel = transformers.CLIPModel(config)
    else:
        text = {**text, "hidden_size": vision["hidden_size"], "projection_size": vision["hidden_size"]}
        model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision))
    randomise(model)
    model.eval()  # type: ignore[no-untyped-call]
    return model


def write_towers(folder: Path, kind: str = "clip", **changes: Any) -> Path:
    """Write a tiny model of two towers with its tokenizer and its image processor; returns the folder."""
    make_towers(kind, **changes).save_pretrained(folder)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = getattr(transformers, "CLIPImageProcessorPil" if kind == "clip" else "SiglipImageProcessorPil")
    own = {"size": {"shortest_edge": IMAGE_SIZE}, "crop_size": size} if kind == "clip" else {"size": size}
    processor = getattr(transformers, "CLIPProcessor" if kind == "clip" else "SiglipProcessor")
    processor(image_processor=images(**own), tokenizer=_make_tokenizer(kind)).save_pretrained(folder)
    return folder


def change_weights(folder: Path, keeps: Callable[[str], bool]) -> Path:
    """Leave tensors out of a model's weights; returns its folder."""
    path = folder / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(path).items() if keeps(name)}, path, {"format": "pt"})
    return folder


def _specials(kind: str) -> dict[str, str]:
    return {"bos_token": "<start>", "eos_token": "<end>", "unk_token": "<unk>"}


def _make_tokenizer(kind: str) -> Any:
    specials = _specials(kind)
    vocabulary = {word: i for i, word in enumerate([*specials.values(), *CAPTION_WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=specials["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    template = ["<start>", "$A", "<end>"] if kind == "clip" else ["$A", "<end>"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(token, vocabulary[token]) for token in template if token != "$A"]
    )
    names = ["input_ids", "attention_mask"] if kind == "clip" else ["input_ids"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **specials, pad_token="<end>", model_max_length=LONGEST, model_input_names=names
    )
