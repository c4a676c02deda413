"""Tiny randomly initialised encoders, written to folders in transformers' and sentence-transformers' layout."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

__all__ = [
    "DEPTH",
    "ENCODERS",
    "FAMILIES",
    "POSITIONS",
    "PROMPTS",
    "WIDTH",
    "WORDS",
    "ToyEncoder",
    "change_json",
    "count_hooks",
    "make_batch",
    "make_texts",
    "make_tiny",
    "write_json",
    "write_model",
    "write_sentence_transformer",
    "write_tokenizer",
]

DEPTH = 3
WIDTH = 32
POSITIONS = 66
PROMPTS = {"query": "query: ", "document": "passage: "}

_WORDS = """
    query passage : acid air animal apple bark bird blood boat bone brain cell cloud coal cold corn dust earth
    egg field fire fish flame flower forest gene glass gold grain grass heart heat ice iron lake leaf lens light liver
    metal milk moon mouse night oil plant protein rain river rock root salt sand seed silver sky snow soil star stone
    storm sugar sun tree valley vein water wind wing winter wood
"""
WORDS = tuple(_WORDS.split())

_BERT_SPECIALS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
_ROBERTA_SPECIALS = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
# Like Qwen3-Embedding: nothing in front, one token at the end that is the padding too.
_QWEN_SPECIALS = {"unk_token": "<unk>", "eos_token": "<end>", "pad_token": "<end>"}


@dataclass(frozen=True)
class Family:
    """A family of encoders: its classes, its special tokens and what its config has of its own."""

    name: str
    specials: Mapping[str, str]
    settings: Mapping[str, Any]
    pooling: str = "mean"

    def make_config(self, **changes: Any) -> PretrainedConfig:
        """Return the config of a tiny member of the family."""
        ids = {token: i for i, token in enumerate(dict.fromkeys(self.specials.values()))}
        common = {
            "vocab_size": len(ids) + len(WORDS),
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": POSITIONS,
            "pad_token_id": ids[self.specials["pad_token"]],
            "bos_token_id": None,
            "eos_token_id": None,
        }
        config: PretrainedConfig = getattr(transformers, f"{self.name}Config")(**{**common, **self.settings, **changes})
        return config

    def make_model(self, config: PretrainedConfig) -> PreTrainedModel:
        """Return the model with every weight drawn anew, those of the norms included."""
        model: PreTrainedModel = getattr(transformers, f"{self.name}Model")(config)
        randomise(model)
        model.eval()  # type: ignore[no-untyped-call]
        return model


_DISTILBERT = {"hidden_dim": 48}
_QWEN = {"num_key_value_heads": 2, "head_dim": 8}
_DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
_DEBERTA_V2 = {**_DEBERTA, "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True}
_MODERNBERT = {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 8, "global_attn_every_n_layers": 2}
_ALBERT = {"embedding_size": 16}

FAMILIES: dict[str, Family] = {
    "bert": Family("Bert", _BERT_SPECIALS, {}),
    "roberta": Family("Roberta", _ROBERTA_SPECIALS, {}),
    "xlm-roberta": Family("XLMRoberta", _ROBERTA_SPECIALS, {}),
    "mpnet": Family("MPNet", _ROBERTA_SPECIALS, {}),
    "electra": Family("Electra", _BERT_SPECIALS, {"embedding_size": 16}, "cls"),
    "distilbert": Family("DistilBert", _BERT_SPECIALS, _DISTILBERT),
    "deberta": Family("Deberta", _BERT_SPECIALS, _DEBERTA),
    "deberta-v2": Family("DebertaV2", _BERT_SPECIALS, _DEBERTA_V2),
    "deberta-v2-conv": Family("DebertaV2", _BERT_SPECIALS, {**_DEBERTA_V2, "conv_kernel_size": 3, "conv_act": "gelu"}),
    "modernbert": Family("ModernBert", _BERT_SPECIALS, _MODERNBERT),
    "nomic-bert": Family("NomicBert", _BERT_SPECIALS, {}),
    "qwen3": Family("Qwen3", _QWEN_SPECIALS, _QWEN, "lasttoken"),
    "albert": Family("Albert", _BERT_SPECIALS, _ALBERT),
}

# Those with a layer stack: ALBERT runs one block many times.
ENCODERS = tuple(name for name in FAMILIES if name != "albert")


class ToyBlock(nn.Module):
    """Adds one to every state; holds a list as long as the stack, as a mixture of experts does."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Identity() for _ in range(depth))

    def forward(self, hidden_states: Tensor) -> tuple[Tensor]:
        return (hidden_states + 1,)


class ToyEncoder(nn.Module):
    """An encoder whose layer `k` is known by hand: `k` more than the token's id, in every dimension."""

    def __init__(self, depth: int = DEPTH, scale: float = 1.0) -> None:
        super().__init__()
        self.config = SimpleNamespace(num_hidden_layers=depth)
        self.embeddings = nn.Embedding(64, 2, _weight=torch.arange(64.0).unsqueeze(1).repeat(1, 2))
        self.blocks = nn.ModuleList(ToyBlock(depth) for _ in range(depth))
        self.scale = scale

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        hidden = self.embeddings(input_ids)
        for block in self.blocks:
            hidden = block(hidden_states=hidden)[0]
        return (hidden if self.scale == 1 else hidden * self.scale,)


def make_tiny(family: str, **changes: Any) -> PreTrainedModel:
    """Return a tiny model of a family, with config values other than the family's."""
    own = FAMILIES[family]
    return own.make_model(own.make_config(**changes))


def make_batch(model: PreTrainedModel, lengths: Sequence[int], seed: int = 5) -> dict[str, Tensor]:
    """Return a batch of random words, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, model.config.vocab_size, (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()
    return {"input_ids": ids.where(mask == 1, torch.tensor(model.config.pad_token_id)), "attention_mask": mask}


def count_hooks(model: nn.Module) -> int:
    """Return how many forward hooks are set anywhere in a model."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def randomise(model: nn.Module, seed: int = 7) -> None:
    """Draw all weights anew, norms and biases included, so that leaving any module out shows."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.2 * torch.randn(parameter.shape, generator=generator))


def make_texts(count: int, seed: int = 3, longest: int = 20) -> list[str]:
    """Return texts of 1 to `longest` words of the vocabulary."""
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(1, longest))) for _ in range(count)]


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def change_json(path: Path, **changes: object) -> None:
    """Set some keys of a JSON object in a file."""
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | changes)


def write_model(folder: Path, family: str = "bert", **changes: Any) -> Path:
    """Write a tiny model with its tokenizer in transformers' layout.

    Args:
        folder: Made if it is not there.
        family: A key of `FAMILIES`.
        changes: Config values other than the family's.

    Returns:
        The folder.
    """
    make_tiny(family, **changes).save_pretrained(folder)
    return write_tokenizer(folder, family)


def write_tokenizer(folder: Path, family: str = "bert", wrap: bool = True) -> Path:
    """Write a word-level tokenizer.

    Args:
        folder: Where its files go.
        family: Whose special tokens it has.
        wrap: Whether texts get the special tokens around them.

    Returns:
        The folder.
    """
    specials = FAMILIES[family].specials
    names = list(dict.fromkeys(specials.values()))
    vocabulary = {word: i for i, word in enumerate([*names, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=specials["unk_token"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if wrap:
        ends = [specials[role] for role in ("cls_token", "sep_token", "eos_token") if role in specials]
        template = [*ends[:-1], "$A", ends[-1]]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=template, special_tokens=[(token, vocabulary[token]) for token in ends]
        )
    fast: Callable[..., Any] = PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, **specials).save_pretrained(folder)
    return folder


def write_sentence_transformer(
    folder: Path,
    pooling: str = "mean",
    prompts: Mapping[str, str] | None = None,
    sizes: Mapping[str, Any] | None = None,
    extra_modules: Sequence[str] = (),
) -> Path:
    """Add sentence-transformers' files to a model's folder.

    Args:
        folder: A transformers folder.
        pooling: The mode of its pooling.
        prompts: Prompts by name.
        sizes: Contents of sentence_bert_config.json.
        extra_modules: Names of parameterless modules after the pooling, such as `Normalize`.

    Returns:
        The folder.
    """
    names = ["Transformer", "Pooling", *extra_modules]
    paths = ["", *(f"{i}_{name}" for i, name in enumerate(names) if i)]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": WIDTH, "pooling_mode": pooling})
    write_json(folder / "sentence_bert_config.json", dict(sizes or {}))
    write_json(folder / "config_sentence_transformers.json", {"prompts": dict(prompts or {})})
    for path in paths[2:]:
        (folder / path).mkdir(exist_ok=True)
    return folder
