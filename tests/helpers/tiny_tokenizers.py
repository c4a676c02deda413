"""Tiny tokenizers of every make, trained on the tests' words: WordPiece, byte-level BPE, Unigram, single characters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tiny_models import WORDS
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

__all__ = ["MAKES", "count_tokens", "special_ids", "write_make"]

_SIZE = 160
_TYPED = ("input_ids", "token_type_ids", "attention_mask")
_UNTYPED = ("input_ids", "attention_mask")


@dataclass(frozen=True)
class Make:
    """How a tokenizer is made.

    Attributes:
        kind: `wordpiece`, `bytes`, `pieces` or `characters`.
        specials: Its special tokens by role, in the order of their ids.
        template: What stands around a text.
        settings: What its tokenizer_config.json says beside that.
    """

    kind: str
    specials: Mapping[str, str]
    template: str = "$A"
    settings: Mapping[str, Any] | None = None


_BERT = {
    "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip
_ROBERTA = {
    "cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip
_T5 = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_LLAMA = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}
_GEMMA = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
_ESM = {
    "cls_token": "<cls>", "pad_token": "<pad>", "eos_token": "<eos>", "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip

MAKES: dict[str, Make] = {
    "bert": Make("wordpiece", _BERT, "[CLS] $A [SEP]", {"model_input_names": _TYPED}),
    "bert-untyped": Make("wordpiece", _BERT, "[CLS] $A [SEP]"),
    "bert-cased": Make("wordpiece-cased", _BERT, "[CLS] $A [SEP]"),
    "roberta": Make("bytes", _ROBERTA, "<s> $A </s>"),
    "xlmr": Make("pieces", _ROBERTA, "<s> $A </s>"),
    "t5": Make("pieces", _T5, "$A </s>"),
    "esm": Make("characters", _ESM, "<cls> $A <eos>"),
    # Nothing around a text, and the padding is the end's token: GPT-2 and its like.
    "gpt": Make("bytes", {"unk_token": "<|end|>", "eos_token": "<|end|>", "pad_token": "<|end|>"}),
    "gpt-left": Make("bytes", {"eos_token": "<|end|>", "pad_token": "<|end|>"}, settings={"padding_side": "left"}),
    "no-padding": Make("bytes", {"unk_token": "<|end|>", "eos_token": "<|end|>"}),
    "qwen": Make("bytes", {"pad_token": "<|end|>", "eos_token": "<|end|>"}, "$A <|end|>", {"padding_side": "left"}),
    "llama": Make("pieces", _LLAMA, "<s> $A", {"padding_side": "left"}),
    "gemma": Make("pieces", _GEMMA, "<bos> $A <eos>"),
    # XLNet: the padding in front, the class token at the end.
    "xlnet": Make("pieces", _ROBERTA, "$A </s> <s>", {"padding_side": "left"}),
}


def special_ids(make: str) -> dict[str, int]:
    """Return the ids of a make's special tokens by role."""
    tokenizer = _train(make)
    return {role: tokenizer.token_to_id(token) for role, token in MAKES[make].specials.items()}


def count_tokens(make: str) -> int:
    """Return how many tokens a make has."""
    return int(_train(make).get_vocab_size())


def write_make(folder: Path, make: str, **settings: Any) -> Path:
    """Write a tokenizer into a folder, `settings` into its tokenizer_config.json; return the folder."""
    chosen = MAKES[make]
    own = {"model_input_names": list(_UNTYPED), **(chosen.settings or {}), **settings}
    fast: Any = PreTrainedTokenizerFast
    made = fast(tokenizer_object=Tokenizer.from_str(_train(make).to_str()), **chosen.specials, **own)
    made.save_pretrained(folder)
    return folder


@cache
def _train(make: str) -> Tokenizer:
    chosen = MAKES[make]
    names = list(dict.fromkeys(chosen.specials.values()))
    tokenizer = _BUILDERS[chosen.kind](names)
    ids = [(name, tokenizer.token_to_id(name)) for name in names if name in chosen.template.split()]
    if ids:
        tokenizer.post_processor = processors.TemplateProcessing(single=chosen.template, special_tokens=ids)
    return tokenizer


def _wordpiece(names: Sequence[str], lower: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=_SIZE, special_tokens=list(names), show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def _bytes(names: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + 64, special_tokens=list(names), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([f" {word}" for word in WORDS], trainer)
    return tokenizer


def _pieces(names: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=_SIZE, special_tokens=list(names), unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(WORDS, trainer)
    return tokenizer


def _characters(names: Sequence[str]) -> Tokenizer:
    letters = sorted(set("".join(WORDS)) | set("abcdefghijklmnopqrstuvwxyz "))
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate([*names, *letters])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tokenizer


_BUILDERS: dict[str, Any] = {
    "wordpiece": _wordpiece,
    "wordpiece-cased": lambda names: _wordpiece(names, lower=False),
    "bytes": _bytes,
    "pieces": _pieces,
    "characters": _characters,
}
