"""Tiny random models of every family that has a text encoder in transformers, each with a tokenizer of its kind."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers
from tiny_models import randomise
from tiny_tokenizers import count_tokens, special_ids, write_make
from transformers import PreTrainedModel

__all__ = ["FAMILIES", "TinyFamily", "write_family"]

WIDTH, DEPTH, HEADS, INNER, POSITIONS = 16, 3, 2, 24, 40

_COMMON = {
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "type_vocab_size": 2,
}


@dataclass(frozen=True)
class TinyFamily:
    """A family: its classes, its tokenizer, and what its config has of its own.

    Attributes:
        config: The name of its config's class, without `Config`.
        model: The name of its model's class; `AutoModel`'s choice when left out.
        make: Its tokenizer.
        settings: Config values; those that are `None` are not given to the config at all.
    """

    config: str
    make: str = "bert"
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None

    def build(self, **changes: Any) -> PreTrainedModel:
        """Return a model with every weight drawn anew."""
        ids = special_ids(self.make)
        named = {
            f"{role}_id": number for role, number in ids.items() if role in ("pad_token", "eos_token", "bos_token")
        }
        values = {"vocab_size": count_tokens(self.make), "pad_token_id": None, "bos_token_id": None}
        values |= {"eos_token_id": None, **_COMMON, **named, **self.settings, **changes}
        left_out = {key for key, value in self.settings.items() if value is None}
        given = {key: value for key, value in values.items() if key not in left_out}
        config = getattr(transformers, f"{self.config}Config")(**given)
        if self.model is None:
            model: PreTrainedModel = transformers.AutoModel.from_config(config)
        else:
            model = getattr(transformers, self.model)(config)
        randomise(model)
        model.eval()  # type: ignore[no-untyped-call]
        return model


def write_family(folder: Path, name: str, **changes: Any) -> Path:
    """Write a tiny model of a family with its tokenizer, in transformers' layout; return the folder."""
    family = FAMILIES[name]
    family.build(**changes).save_pretrained(folder)
    return write_make(folder, family.make)


def _bert(config: str, make: str = "bert", model: str | None = None, **settings: Any) -> TinyFamily:
    return TinyFamily(config, make, settings, model)


def _both(config: str, make: str, model: str | None = None, **settings: Any) -> TinyFamily:
    """A model of an encoder and a decoder, named as BART names them."""
    sizes = {
        "d_model": WIDTH, "encoder_layers": DEPTH, "decoder_layers": 2, "encoder_attention_heads": HEADS,
        "decoder_attention_heads": HEADS, "encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER,
        "decoder_start_token_id": 2, "is_encoder_decoder": True,
    }  # fmt: skip
    return TinyFamily(config, make, {**sizes, **settings}, model)


def _t5(config: str, model: str | None = None, **settings: Any) -> TinyFamily:
    sizes = {"d_model": WIDTH, "d_kv": 8, "d_ff": INNER, "num_layers": DEPTH, "num_heads": HEADS}
    return TinyFamily(config, "t5", {**sizes, "num_decoder_layers": 2, "decoder_start_token_id": 0, **settings}, model)


def _decoder(config: str, make: str = "gpt", model: str | None = None, **settings: Any) -> TinyFamily:
    return TinyFamily(config, make, {"num_key_value_heads": 1, "head_dim": 8, **settings}, model)


_GPT2 = {"n_embd": WIDTH, "n_layer": DEPTH, "n_head": HEADS, "n_positions": POSITIONS, "n_inner": INNER}
_FUNNEL = {"num_hidden_layers": None, "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 24}
_DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
_MODERN = {"local_attention": 8, "global_attn_every_n_layers": 2}
_ENDS = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
_EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1}
_GEMMA_LAYERS = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 4}

FAMILIES: dict[str, TinyFamily] = {
    # Encoders of BERT's kind.
    "bert": _bert("Bert"),
    "bert-cased": _bert("Bert", "bert-cased"),
    "bert-generation": _bert("BertGeneration", "bert-untyped"),
    "albert": _bert("Albert", embedding_size=8),
    "albert-groups": _bert("Albert", embedding_size=8, num_hidden_groups=3),
    "big-bird": _bert("BigBird", block_size=2, num_random_blocks=1),
    "camembert": _bert("Camembert", "xlmr"),
    "convbert": _bert("ConvBert", embedding_size=16, head_ratio=1, conv_kernel_size=3),
    "data2vec-text": _bert("Data2VecText", "roberta"),
    "deberta": _bert("Deberta", **_DISENTANGLED),
    "deberta-v2": _bert(
        "DebertaV2", **_DISENTANGLED, position_buckets=8, norm_rel_ebd="layer_norm", share_att_key=True
    ),
    "deberta-v2-conv": _bert("DebertaV2", **_DISENTANGLED, conv_kernel_size=3, conv_act="gelu"),
    "distilbert": _bert("DistilBert", "bert-untyped", dim=16, n_layers=3, n_heads=2, hidden_dim=24),
    "electra": _bert("Electra", embedding_size=8),
    "ernie": _bert("Ernie", use_task_id=True),
    "esm": _bert("Esm", "esm", emb_layer_norm_before=True, token_dropout=True, mask_token_id=4),
    "esm-rotary": _bert("Esm", "esm", position_embedding_type="rotary", token_dropout=True, mask_token_id=4),
    "eurobert": _decoder("EuroBert", "roberta"),
    "flaubert": _bert("Flaubert", "roberta", emb_dim=16, n_layers=3, n_heads=2, max_position_embeddings=40),
    "fnet": _bert("FNet", tpu_short_seq_length=40),
    "funnel": _bert("Funnel", model="FunnelModel", **_FUNNEL, block_sizes=[1, 1, 1]),
    "funnel-base": _bert("Funnel", model="FunnelBaseModel", **_FUNNEL, block_sizes=[1, 2]),
    "gte": _bert("Gte"),
    "ibert": _bert("IBert", "roberta", quant_mode=False),
    "jina-v3": _bert("JinaEmbeddingsV3", "xlmr"),
    "layoutlm": _bert("LayoutLM"),
    "lilt": _bert("Lilt", "roberta", hidden_size=24, channel_shrink_ratio=4),
    "longformer": _bert("Longformer", "roberta", attention_window=4, max_position_embeddings=82),
    "luke": _bert("Luke", "roberta", entity_vocab_size=8, entity_emb_size=8),
    "megatron-bert": _bert("MegatronBert"),
    "mobilebert": _bert("MobileBert", embedding_size=16, intra_bottleneck_size=16, num_feedforward_networks=2),
    "modernbert": _bert("ModernBert", "bert-untyped", local_attention=8, global_attn_every_n_layers=2),
    "mpnet": _bert("MPNet", "roberta"),
    "mra": _bert("Mra"),
    "nomic-bert": _bert("NomicBert"),
    "nystromformer": _bert("Nystromformer", segment_means_seq_len=40, num_landmarks=40),
    "rembert": _bert("RemBert", input_embedding_size=8, output_embedding_size=8),
    "roberta": _bert("Roberta", "roberta"),
    "roberta-prelayernorm": _bert("RobertaPreLayerNorm", "roberta"),
    "roformer": _bert("RoFormer", embedding_size=16),
    "splinter": _bert("Splinter"),
    "squeezebert": _bert("SqueezeBert", embedding_size=16, q_groups=1, k_groups=1, v_groups=1, post_attention_groups=1),
    "visual-bert": _bert("VisualBert", visual_embedding_dim=8),
    "xlm": _bert("XLM", "roberta", emb_dim=16, n_layers=3, n_heads=2),
    "xlm-roberta": _bert("XLMRoberta", "xlmr"),
    "xlm-roberta-xl": _bert("XLMRobertaXL", "xlmr"),
    "xmod": _bert("Xmod", "xlmr", languages=["en_XX", "de_DE"], default_language="en_XX"),
    "yoso": _bert("Yoso", use_expectation=True, num_hash=1),
    # Encoder-decoders.
    "bart": _both("Bart", "roberta"),
    "blenderbot": _both("Blenderbot", "roberta"),
    "longt5": _t5("LongT5", local_radius=3),
    "m2m100": _both("M2M100", "xlmr"),
    "marian": _both("Marian", "xlmr"),
    "mbart": _both("MBart", "xlmr"),
    "mt5": _t5("MT5"),
    "mt5-encoder": _t5("MT5", "MT5EncoderModel"),
    "pegasus": _both("Pegasus", "xlmr"),
    "switch-transformers": _t5("SwitchTransformers", num_sparse_encoder_layers=1, num_experts=2),
    "t5": _t5("T5"),
    "t5-gated": _t5("T5", feed_forward_proj="gated-gelu"),
    "t5-endless": _t5("T5", max_position_embeddings=None),
    "t5-encoder": _t5("T5", "T5EncoderModel"),
    "umt5": _t5("UMT5"),
    "led": _both("LED", "roberta", attention_window=4, max_encoder_position_embeddings=40),
    "bigbird-pegasus": _both("BigBirdPegasus", "xlmr", block_size=2, num_random_blocks=1),
    # Others.
    "canine": _bert("Canine", "esm", num_hash_buckets=32, local_transformer_stride=4, downsampling_rate=2),
    "clip-text": _bert("CLIPText", "roberta", eos_token_id=2, projection_dim=8),
    "esmc": _bert("Esmc", "esm"),
    # Decoders.
    "arcee": _decoder("Arcee", "llama"),
    "falcon-mamba": _decoder("FalconMamba", state_size=4, conv_kernel=2, expand=2, time_step_rank=2),
    "gpt-oss": _decoder("GptOss", num_local_experts=2, num_experts_per_tok=1, sliding_window=4),
    "jamba": _decoder("Jamba", num_experts=2, num_experts_per_tok=1, attn_layer_period=2, attn_layer_offset=1),
    "lfm2": _decoder("Lfm2", layer_types=["conv", "full_attention", "conv"]),
    "mamba2": _decoder("Mamba2", state_size=4, num_heads=4, head_dim=8, n_groups=1, conv_kernel=2, chunk_size=4),
    "modernbert-decoder": _decoder(
        "ModernBertDecoder",
        "bert-untyped",
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        local_attention=8,
        global_attn_every_n_layers=2,
    ),
    "nemotron": _decoder("Nemotron"),
    "persimmon": _decoder("Persimmon"),
    "recurrent-gemma": _decoder("RecurrentGemma", "gemma", lru_width=16, attention_window_size=4),
    "smollm3": _decoder("SmolLM3", "llama"),
    "qwen3-both-ways": _decoder("Qwen3", "qwen", is_causal=False),
    "biogpt": _decoder("BioGpt"),
    "bloom": _decoder("Bloom", n_layer=3, n_head=2),
    "codegen": _decoder(
        "CodeGen", n_embd=16, n_layer=3, n_head=4, num_attention_heads=None, n_positions=40, rotary_dim=4
    ),
    "cohere": _decoder("Cohere"),
    "ctrl": _decoder("CTRL", n_embd=16, n_layer=3, n_head=2, n_positions=40, dff=24),
    "falcon": _decoder("Falcon", head_dim=None),
    "gemma": _decoder("Gemma", "gemma"),
    "gemma2": _decoder("Gemma2", "gemma", **_GEMMA_LAYERS),
    "gemma3": _decoder("Gemma3Text", "gemma", **_GEMMA_LAYERS),
    "embedding-gemma": _decoder("Gemma3Text", "gemma", **_GEMMA_LAYERS, use_bidirectional_attention=True),
    "glm": _decoder("Glm"),
    "gpt-bigcode": _decoder("GPTBigCode", **_GPT2),
    "gpt-neo": _decoder("GPTNeo", num_layers=3, attention_types=[[["global"], 3]], max_position_embeddings=40),
    "gpt-neox": _decoder("GPTNeoX"),
    "gpt2": _decoder("GPT2", **_GPT2),
    "gpt2-left": _decoder("GPT2", "gpt-left", **_GPT2),
    "gptj": _decoder("GPTJ", n_embd=16, n_layer=3, n_head=2, n_positions=40, rotary_dim=4),
    "granite": _decoder("Granite"),
    "llama": _decoder("Llama", "llama"),
    "mamba": _decoder("Mamba", state_size=4, conv_kernel=2, expand=2, time_step_rank=2),
    "mistral": _decoder("Mistral", "llama", sliding_window=4),
    "mixtral": _decoder("Mixtral", "llama", num_local_experts=2),
    "mpt": _decoder("Mpt", d_model=16, n_heads=2, n_layers=3, max_seq_len=40),
    "olmo2": _decoder("Olmo2"),
    "opt": _decoder("OPT", ffn_dim=24, word_embed_proj_dim=16),
    "opt-projected": _decoder("OPT", ffn_dim=24, word_embed_proj_dim=8),
    "phi": _decoder("Phi"),
    "phi3": _decoder("Phi3"),
    "qwen2": _decoder("Qwen2", "qwen"),
    "qwen2-moe": _decoder(
        "Qwen2Moe", "qwen", num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8, decoder_sparse_step=1
    ),
    "qwen3": _decoder("Qwen3", "qwen"),
    "rwkv": _decoder("Rwkv", attention_hidden_size=16, context_length=40),
    "stablelm": _decoder("StableLm"),
    "starcoder2": _decoder("Starcoder2"),
    "xglm": _decoder("XGLM", d_model=16, num_layers=3, attention_heads=2, ffn_dim=24),
    "xlnet": _bert("XLNet", "xlnet", d_model=16, n_layer=3, n_head=2, d_inner=24, max_position_embeddings=None),
}
