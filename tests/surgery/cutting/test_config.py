"""What a cut changes in a config: what counts blocks, seen by what the config builds, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from text_families import write_family
from tiny_models import change_json, write_model, write_sentence_transformer
from transformers import AutoModel

from probe.errors import ModelError
from probe.layers.layer_stack import find_layers
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.cutting.blocks import CutModel
from surgery.cutting.cut import cut, keep
from surgery.saving.save import save

OPTIONS = LoadOptions(dtype="float32", device="cpu")


def load(folder: Path, family: str, **changes: Any) -> LoadedModel:
    return load_model(str(write_family(folder / family, family, **changes)), OPTIONS)


def read_config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def test_a_list_as_long_as_the_depth_by_accident_is_kept(tmp_path: Path) -> None:
    """DeBERTa's kinds of relative attention are two: without one of them it is another model."""
    folder = write_sentence_transformer(write_model(tmp_path / "m", "deberta", num_hidden_layers=2), "mean")
    out = save(cut(load_model(str(folder), OPTIONS), 1), tmp_path / "out")
    assert read_config(out)["pos_att_type"] == ["c2p", "p2c"]
    assert read_config(out)["num_hidden_layers"] == 1


def test_a_list_that_nothing_reads_is_kept(tmp_path: Path) -> None:
    folder = write_sentence_transformer(write_model(tmp_path / "m", "bert"), "mean")
    change_json(folder / "config.json", kinds=["a", "b", "c"], id2label={"0": "x", "1": "y"})
    config = read_config(save(cut(load_model(str(folder), OPTIONS), 2), tmp_path / "out"))
    assert config["kinds"] == ["a", "b", "c"]
    assert len(config["id2label"]) == 2


@pytest.mark.parametrize(
    ("family", "name", "after", "kept"),
    [
        ("longformer", "attention_window", [8, 8], [8, 8]),
        ("gpt_neo", "attention_layers", ["global", "local"], ["global", "global"]),
    ],
)
def test_a_list_with_an_entry_per_block_loses_those_of_the_blocks(
    tmp_path: Path, family: str, name: str, after: list[Any], kept: list[Any]
) -> None:
    model = load(tmp_path, family)
    assert cut(model, 2).config_changes[name] == after
    assert keep(model, [1, 3]).config_changes[name] == kept


def test_blocks_named_by_their_numbers_are_renumbered(tmp_path: Path) -> None:
    model = load(tmp_path, "bamba", attn_layer_indices=[2])
    kept = keep(model, [1, 3])
    assert kept.config_changes["attn_layer_indices"] == [1]


def test_a_folder_that_was_written_wrongly_is_never_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`save` compares by itself, whoever calls it."""
    folder = write_sentence_transformer(write_model(tmp_path / "m", "deberta", num_hidden_layers=2), "mean")
    shorter = cut(load_model(str(folder), OPTIONS), 1)
    wrong = {**shorter.config_changes, "pos_att_type": ["c2p"]}
    spoilt = CutModel(**{**{n: getattr(shorter, n) for n in CutModel.__dataclass_fields__}, "config_changes": wrong})
    with pytest.raises(ModelError):
        save(spoilt, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tensor_that_no_state_needs_is_left_out_where_its_shape_counts_blocks(tmp_path: Path) -> None:
    model = load(tmp_path, "esm")
    shorter = cut(model, 1)
    assert shorter.left_out == ("contact_head.regression.bias", "contact_head.regression.weight")[1:]
    names = load_file(save(shorter, tmp_path / "out") / "model.safetensors").keys()
    assert not any(name.endswith("contact_head.regression.weight") for name in names)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_names_that_transformers_converts_are_converted_back(tmp_path: Path, dtype: torch.dtype) -> None:
    """GTE's files hold queries, keys and values in one tensor, which the model takes apart."""
    folder = write_family(tmp_path / "gte", "gte")
    tensors = load_file(folder / "model.safetensors")
    from safetensors.torch import save_file

    save_file({n: t.to(dtype) for n, t in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    saved = load_file(save(cut(load_model(str(folder), OPTIONS), 1), tmp_path / "out") / "model.safetensors")
    expected = {name for name in tensors if not any(f"layer.{block}." in name for block in (1, 2))}
    assert saved.keys() == expected
    assert all(saved[name].equal(tensors[name].to(dtype)) for name in expected)


def test_a_decoder_in_the_files_stays_whole(tmp_path: Path) -> None:
    model = load(tmp_path, "t5")
    saved = load_file(save(cut(model, 1), tmp_path / "out") / "model.safetensors")
    assert {name for name in saved if name.startswith("decoder.block.1.")}
    assert not any(name.startswith("encoder.block.1.") for name in saved)
    assert read_config(tmp_path / "out")["num_decoder_layers"] == 2


def test_projections_around_the_blocks_belong_to_every_layer(tmp_path: Path) -> None:
    model = load(tmp_path, "opt", word_embed_proj_dim=16)
    assert (model.width, model.stack.width) == (16, 16)
    shorter = cut(model, 2)
    save(shorter, tmp_path / "out")


@pytest.mark.parametrize("depths", [(3, 3), (3, 2), (2, 3)])
def test_an_encoder_with_its_decoder_is_refused(tmp_path: Path, depths: tuple[int, int]) -> None:
    sizes = {"encoder_layers": depths[0], "decoder_layers": depths[1]}
    with pytest.raises(ModelError, match="is an encoder-decoder"):
        load(tmp_path, "bart", **sizes)
    with pytest.raises(ModelError, match="its layers form two stacks"):
        find_layers(AutoModel.from_pretrained(tmp_path / "bart"))


def test_blocks_that_compute_by_their_place_are_cut_but_not_moved(tmp_path: Path) -> None:
    model = load(tmp_path, "diffllama")
    save(cut(model, 2), tmp_path / "out")
    with pytest.raises(ModelError, match="depends on its position"):
        keep(model, [1, 3])


def test_a_refusal_never_advises_to_keep_a_block_that_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refusal:
        cut(load(tmp_path, "gpt_neox_japanese"), 1)
    assert "keep block 1" not in str(refusal.value)
