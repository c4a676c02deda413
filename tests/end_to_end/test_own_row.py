"""The own row is the model: vectors of every family are those of sentence-transformers, and of transformers inside."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from own_rows import compare_cut, compare_inner, compare_own
from tiny_families import FAMILIES, write_family

# Not read layer by layer: one block run many times, no list of blocks, or a forward around them.
REFUSED = ["albert", "canine", "flaubert", "funnel", "funnel-base", "squeezebert", "xlm", "xlnet"]
# Encoder-decoders that sentence-transformers reads whole.
REFUSED += ["bart", "bigbird-pegasus", "led", "mbart"]
# Of these sentence-transformers loads the encoder alone, but none of its weights where the files hold both.
REFUSED += ["blenderbot", "m2m100", "marian", "pegasus"]
# Read layer by layer, but not cut: their blocks compute by the number of blocks.
NOT_CUT = ("esmc",)
# Their norm after the last block, applied at every depth.
NORMS = {
    "norm": "arcee cohere esmc eurobert embedding-gemma gemma gemma2 gemma3 glm gpt-oss granite llama mistral mixtral "
    "nemotron olmo2 phi3 qwen2 qwen2-moe qwen3 qwen3-both-ways smollm3 stablelm starcoder2",
    "norm_f": "falcon-mamba mamba mamba2 mpt",
    "ln_f": "bloom codegen falcon gpt-bigcode gpt-neo gpt2 gpt2-left gptj",
    "final_norm": "modernbert modernbert-decoder recurrent-gemma",
    "final_layer_norm": "clip-text gpt-neox",
    "final_layernorm": "jamba persimmon phi",
    "layer_norm": "biogpt xglm",
    "LayerNorm": "roberta-prelayernorm",
    "layernorm": "ctrl",
    "embedding_norm": "lfm2",
    "encoder.LayerNorm": "xlm-roberta-xl",
    "encoder.ln": "megatron-bert",
    "encoder.emb_layer_norm_after": "esm esm-rotary",
    "encoder.final_layer_norm": "longt5 mt5 mt5-encoder switch-transformers t5 t5-encoder t5-endless t5-gated umt5",
    "decoder.final_layer_norm": "opt",
    "decoder.final_layer_norm+decoder.project_out": "opt-projected",
    "ln_out": "rwkv",
}
NORM_OF = {family: norm for norm, families in NORMS.items() for family in families.split()}
# Where transformers' list of hidden states begins with that after the first block.
LATER = ("falcon-mamba", "mamba", "mamba2", "rwkv")

each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return the folder of a family, written once."""
    root = tmp_path_factory.mktemp("families")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield cache(lambda family: write_family(root / family, family))
    torch.set_num_threads(threads)


def test_there_are_families_enough() -> None:
    assert len(FAMILIES) >= 60
    assert len({family.config for family in FAMILIES.values()}) >= 25


@each_family
def test_the_own_row_is_what_sentence_transformers_gives(written: Callable[[str], Path], family: str) -> None:
    outcome = compare_own(written(family))
    assert outcome.kind == ("refused" if family in REFUSED else "equal"), outcome


@pytest.mark.long
@each_family
def test_inner_rows_are_the_hidden_states_of_transformers(written: Callable[[str], Path], family: str) -> None:
    outcome = compare_inner(written(family), NORM_OF.get(family), int(family in LATER))
    assert outcome.kind == ("refused" if family in REFUSED else "equal"), outcome


@pytest.mark.long
@each_family
def test_a_cut_gives_what_the_row_at_its_layer_gave(
    written: Callable[[str], Path], family: str, tmp_path: Path
) -> None:
    outcome = compare_cut(written(family), 2, tmp_path / "cut")
    assert outcome.kind == ("refused" if family in (*REFUSED, *NOT_CUT) else "equal"), outcome
