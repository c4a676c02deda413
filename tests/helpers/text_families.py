"""Tiny random models of transformers' families for texts, with one tokenizer for all of them."""

from pathlib import Path
from typing import Any

from tiny_models import WORDS, randomise, write_json
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CONFIG_MAPPING, AutoModel, PretrainedConfig, PreTrainedTokenizerFast

__all__ = ["FAMILIES", "FEW", "REFUSED", "write_family"]

_SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_WIDTH, _DEPTH, _HEADS, _INNER, _POSITIONS = 32, 3, 4, 48, 66

# What configs call their sizes; of two stacks, the decoder is the smaller.
_NAMES: dict[str, tuple[str, ...]] = {
    "width": ("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "word_embed_proj_dim"),
    "depth": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "num_encoder_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"),
    "inner": ("intermediate_size", "hidden_dim", "d_ff", "d_inner", "n_inner", "ffn_dim", "encoder_ffn_dim"),
    "positions": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
}
_SIZES = {"width": _WIDTH, "depth": _DEPTH, "heads": _HEADS, "inner": _INNER, "positions": _POSITIONS}
_OTHERS = {
    "vocab_size": 96,
    "decoder_layers": 2,
    "num_decoder_layers": 2,
    "num_blocks": 3,
    "decoder_attention_heads": 4,
    "num_encoder_attention_heads": 4,
    "num_decoder_attention_heads": 4,
    "num_key_value_heads": 2,
    "decoder_ffn_dim": 48,
    "d_kv": 8,
    "head_dim": 8,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "cls_token_id": 0,
    "sep_token_id": 2,
    "decoder_start_token_id": 2,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts_per_tok": 2,
}
_COMMON = {name: _SIZES[size] for size, names in _NAMES.items() for name in names} | _OTHERS

_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16}
_LATENT = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
_SPECIAL_IDS = {"pad_index": 1, "bos_index": 0, "eos_index": 2, "unk_index": 3}

FAMILIES: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in [
            "albert",
            "apertus",
            "arcee",
            "bart",
            "beam",
            "bert",
            "bert-generation",
            "biogpt",
            "bloom",
            "camembert",
            "clip_text_model",
            "cohere",
            "cohere2",
            "convbert",
            "ctrl",
            "cwm",
            "data2vec-text",
            "deberta",
            "deberta-v2",
            "diffllama",
            "distilbert",
            "doge",
            "electra",
            "ernie",
            "ernie4_5",
            "eurobert",
            "exaone4",
            "falcon",
            "falcon_mamba",
            "fnet",
            "gemma",
            "gemma2",
            "gemma3_text",
            "glm",
            "glm4",
            "gpt2",
            "gpt_bigcode",
            "gpt_neox",
            "gpt_neox_japanese",
            "gpt_oss",
            "granite",
            "granite_swa",
            "granitemoe",
            "gte",
            "helium",
            "ibert",
            "jais2",
            "jetmoe",
            "jina_embeddings_v3",
            "layoutlm",
            "llama",
            "llama4_text",
            "longt5",
            "m2m_100",
            "marian",
            "mbart",
            "megatron-bert",
            "minimax",
            "mistral",
            "mixtral",
            "modernbert",
            "mpnet",
            "mpt",
            "mra",
            "mt5",
            "mvp",
            "nanochat",
            "nemotron",
            "nomic_bert",
            "olmo",
            "olmo2",
            "olmoe",
            "olmo_hybrid",
            "openai-gpt",
            "opt",
            "pegasus",
            "persimmon",
            "phi",
            "phi3",
            "phimoe",
            "plbart",
            "qwen2",
            "qwen2_moe",
            "qwen3",
            "qwen3_moe",
            "rembert",
            "roberta",
            "roberta-prelayernorm",
            "roformer",
            "rwkv",
            "seed_oss",
            "smollm3",
            "splinter",
            "squeezebert",
            "stablelm",
            "starcoder2",
            "switch_transformers",
            "t5",
            "tapas",
            "tipsv2_text_model",
            "ultrabert",
            "umt5",
            "visual_bert",
            "xglm",
            "xlm-roberta",
            "xlm-roberta-xl",
            "xlnet",
            "xlstm",
            "xmod",
            "yoso",
        ]
    },
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "big_bird": {"block_size": 4, "num_random_blocks": 1},
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT,
    "esm": {"position_embedding_type": "rotary", "mask_token_id": 4},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 64},
    "flaubert": _SPECIAL_IDS,
    "gpt_neo": {"attention_types": [[["global", "local"], 1], [["global"], 1]], "window_size": 8},
    "jamba": {
        "mamba_d_state": 8,
        "mamba_dt_rank": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "use_mamba_kernels": False,
    },
    "longformer": {"attention_window": [8, 8, 8]},
    "mamba": {},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 16},
    "mobilebert": {"intra_bottleneck_size": 16, "embedding_size": 16},
    "nystromformer": {"num_landmarks": 4, "segment_means_seq_len": 4},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16},
    "xlm": _SPECIAL_IDS,
}

# What is said of those that are refused, in one line: when they are opened, or when they are cut.
_TWO_STACKS = "is an encoder-decoder"
_NO_LIST = "has no single list of its 3 layers"
REFUSED: dict[str, str] = {
    "albert": _NO_LIST,
    "bart": _TWO_STACKS,
    "flaubert": _NO_LIST,
    "gpt_neox_japanese": "needs the tensor layers.0.attention.dense_bias",
    "mbart": _TWO_STACKS,
    "mvp": _TWO_STACKS,
    "olmo_hybrid": "expects at least one attention layer",
    "plbart": _TWO_STACKS,
    "rwkv": "division by zero",
    "squeezebert": "are not called as modules",
    "xlm": _NO_LIST,
    "xlnet": "is not that of its last block or of",
    "xlstm": "needs the tensor",
    "xmod": "Input language unknown",
}

FEW = tuple(
    [
        "albert",
        "bart",
        "bert",
        "convbert",
        "deberta-v2",
        "esm",
        "falcon_h1",
        "fnet",
        "gpt2",
        "gpt_neo",
        "gte",
        "jamba",
        "longformer",
        "m2m_100",
        "mamba",
        "mixtral",
        "modernbert",
        "mpnet",
        "nanochat",
        "opt",
        "qwen2_moe",
        "qwen3",
        "recurrent_gemma",
        "t5",
        "yoso",
    ]
)


def write_family(folder: Path, family: str, **changes: Any) -> Path:
    """Write a tiny model of a family with a tokenizer of its own, pooled by the mean.

    Args:
        folder: Made if it is not there.
        family: A key of `FAMILIES`.
        changes: Config values other than the family's.

    Returns:
        The folder.
    """
    config = _make_config(family, changes)
    model: Any = AutoModel.from_config(config)
    if type(model).__name__ in ("M2M100Model", "MarianModel", "PegasusModel"):
        # sentence-transformers reads the encoder alone, and only under the names that it is saved with by itself.
        model = type(model.encoder)(config)
    randomise(model)
    model.eval().save_pretrained(folder)
    _write_tokenizer(folder)
    types = {"": "sentence_transformers.models.Transformer", "1_Pooling": "sentence_transformers.models.Pooling"}
    modules = [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (path, kind) in enumerate(types.items())]
    width = changes.get("word_embed_proj_dim", _WIDTH)
    write_json(folder / "modules.json", modules)
    write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": width, "pooling_mode": "mean"})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 40})
    return folder


def _make_config(family: str, changes: dict[str, Any]) -> PretrainedConfig:
    kind: Any = CONFIG_MAPPING[family]
    default = kind()
    names = default.attribute_map
    known = {name: value for name, value in _COMMON.items() if name in vars(default) or name in names}
    # A name that stands for another is left out where the other is given.
    given = {name: value for name, value in known.items() if names.get(name, name) not in known.keys() - {name}}
    config: PretrainedConfig = kind(**{**given, **FAMILIES[family], **changes})
    return config


def _write_tokenizer(folder: Path) -> None:
    vocabulary = {word: number for number, word in enumerate([*_SPECIALS, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["<s>", "$A", "</s>"], special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast: Any = PreTrainedTokenizerFast
    names = ("bos_token", "pad_token", "eos_token", "unk_token", "mask_token")
    specials = dict(zip(names, _SPECIALS, strict=True))
    fast(tokenizer_object=tokenizer, cls_token="<s>", sep_token="</s>", **specials).save_pretrained(folder)
