"""What sentence-transformers' files of a folder say: pooling, prompts, sizes, and what is left out."""

from pathlib import Path

import pytest
from tiny_models import write_json, write_sentence_transformer

from probe.errors import ModelError
from probe.models.published_config import ModelConfig, read_model_config

LEGACY = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": False,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
    "pooling_mode_weightedmean_tokens": False,
    "pooling_mode_lasttoken": False,
}


def read_pooling(folder: Path, **config: object) -> ModelConfig:
    write_sentence_transformer(folder)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **config})
    return read_model_config(folder)


def test_plain_transformers_folder_has_sentence_transformers_defaults(tmp_path: Path) -> None:
    config = read_model_config(tmp_path)
    assert (config.transformer, config.pooling, config.max_tokens) == (tmp_path, "mean", None)
    assert (config.query_prompt, config.document_prompt, config.lower_case) == ("", "", False)
    assert "names no pooling" in config.notes[0]


@pytest.mark.parametrize(
    ("flag", "pooling"),
    [
        ("pooling_mode_cls_token", "cls"),
        ("pooling_mode_mean_tokens", "mean"),
        ("pooling_mode_max_tokens", "max"),
        ("pooling_mode_lasttoken", "last"),
        ("pooling_mode_mean_sqrt_len_tokens", "mean"),
    ],
)
def test_legacy_flags_name_the_pooling(tmp_path: Path, flag: str, pooling: str) -> None:
    config = read_pooling(tmp_path, **{**LEGACY, flag: True})
    assert (config.pooling, config.notes) == (pooling, ())


@pytest.mark.parametrize("mode", ["cls", "mean", "max", ["mean"]])
def test_new_form_names_the_pooling(tmp_path: Path, mode: str | list[str]) -> None:
    config = read_pooling(tmp_path, pooling_mode=mode)
    assert (config.pooling, config.notes) == (mode if isinstance(mode, str) else "mean", ())


def test_last_token_has_our_name(tmp_path: Path) -> None:
    assert read_pooling(tmp_path, pooling_mode="lasttoken").pooling == "last"


def test_new_form_goes_before_legacy_flags(tmp_path: Path) -> None:
    assert read_pooling(tmp_path, pooling_mode="cls", pooling_mode_mean_tokens=True).pooling == "cls"


@pytest.mark.parametrize("config", [LEGACY, {}], ids=["all flags false", "no flags"])
def test_pooling_that_is_not_named_is_the_mean_as_in_sentence_transformers(
    tmp_path: Path, config: dict[str, bool]
) -> None:
    assert read_pooling(tmp_path, **config).pooling == "mean"


def test_combined_legacy_flags_are_none_of_ours(tmp_path: Path) -> None:
    config = read_pooling(tmp_path, **{**LEGACY, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True})
    assert config.pooling is None
    assert "cls+mean" in config.notes[0]


@pytest.mark.parametrize(("mode", "named"), [(["mean", "max"], "mean+max"), ("weightedmean", "weightedmean")])
def test_other_modes_are_none_of_ours(tmp_path: Path, mode: object, named: str) -> None:
    config = read_pooling(tmp_path, pooling_mode=mode)
    assert config.pooling is None
    assert named in config.notes[0]


def test_prompt_left_out_of_the_pooling_is_noted(tmp_path: Path) -> None:
    config = read_pooling(tmp_path, pooling_mode="mean", include_prompt=False)
    assert config.pooling == "mean"
    assert "prompt" in config.notes[0]


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "find: ", "document": "text: "}, "find: ", "text: "),
        ({"query": "find: ", "document": ""}, "find: ", ""),
        ({"query": None, "document": None}, "", ""),
        ({"document": "text: ", "corpus": "other: "}, "", "text: "),
        ({"classification": "sort: "}, "", ""),
        ({}, "", ""),
        (None, "", ""),
    ],
)
def test_prompts_are_those_of_the_two_sides(
    tmp_path: Path, prompts: dict[str, str] | None, query: str, document: str
) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": prompts})
    config = read_model_config(tmp_path)
    assert (config.query_prompt, config.document_prompt) == (query, document)


@pytest.mark.parametrize("name", ["sentence_bert_config.json", "sentence_roberta_config.json"])
def test_sizes_come_from_the_file_of_any_class(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / name, {"max_seq_length": 256, "do_lower_case": True})
    config = read_model_config(tmp_path)
    assert (config.max_tokens, config.lower_case) == (256, True)


def test_sizes_left_to_the_tokenizer_stay_open(tmp_path: Path) -> None:
    write_sentence_transformer(tmp_path, sizes={"max_seq_length": None})
    assert read_model_config(tmp_path).max_tokens is None


def test_transformer_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    modules = [
        {"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.sentence_transformer.modules.pooling.Pooling"},
    ]
    write_json(tmp_path / "modules.json", modules)
    write_json(tmp_path / "1_Pooling" / "config.json", {"pooling_mode": "cls"})
    write_json(tmp_path / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 99})
    config = read_model_config(tmp_path)
    assert (config.transformer, config.pooling, config.max_tokens) == (tmp_path / "0_Transformer", "cls", 99)


def test_modules_after_the_pooling_are_noted(tmp_path: Path) -> None:
    write_sentence_transformer(tmp_path, extra_modules=("Dense", "LayerNorm", "Normalize"))
    (note,) = read_model_config(tmp_path).notes
    assert "Dense, LayerNorm" in note
    assert "Normalize" not in note


def test_normalising_alone_needs_no_note(tmp_path: Path) -> None:
    write_sentence_transformer(tmp_path, extra_modules=("Normalize",))
    assert read_model_config(tmp_path).notes == ()


@pytest.mark.parametrize(("similarity", "noted"), [("dot", True), ("cosine", False), (None, False)])
def test_other_similarity_is_noted(tmp_path: Path, similarity: str | None, noted: bool) -> None:
    write_sentence_transformer(tmp_path)
    write_json(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": similarity})
    assert any("similarity is dot" in note for note in read_model_config(tmp_path).notes) == noted


FILES = ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}", b'"text"'], ids=["cut", "empty", "bytes", "a string"])
def test_malformed_files_are_named(tmp_path: Path, name: str, content: bytes) -> None:
    write_sentence_transformer(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=Path(name).name):
        read_model_config(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", ["Transformer"]),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
        ("config_sentence_transformers.json", {"prompts": {"query": 3}}),
        ("1_Pooling/config.json", {"pooling_mode": 3}),
        ("sentence_bert_config.json", {"max_seq_length": "256"}),
    ],
)
def test_values_of_the_wrong_kind_are_named(tmp_path: Path, name: str, content: object) -> None:
    write_sentence_transformer(tmp_path)
    write_json(tmp_path / name, content)
    with pytest.raises(ModelError, match=Path(name).name):
        read_model_config(tmp_path)
