"""What sentence-transformers' files of a folder say: pooling, prompts, sizes, and what is left out."""

from pathlib import Path

import pytest
from tiny_models import write_json, write_sentence_transformer

from probe.errors import ModelError
from probe.models.published_config import read_model_config


def test_plain_transformers_folder_has_sentence_transformers_defaults(tmp_path: Path) -> None:
    config = read_model_config(tmp_path)
    assert (config.transformer, config.modules, config.max_tokens) == (tmp_path, (), None)
    assert (config.query_prompt, config.document_prompt, config.lower_case) == ("", "", False)
    assert config.similarity == "cosine"


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "find: ", "document": "text: "}, "find: ", "text: "),
        ({"query": "find: ", "document": ""}, "find: ", ""),
        ({"query": None, "document": None}, "", ""),
        ({"document": "text: ", "corpus": "other: "}, "", "text: "),
        ({"passage": "text: "}, "", ""),
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
    assert (config.transformer, config.max_tokens) == (tmp_path / "0_Transformer", 99)
    assert [module.name for module in config.modules] == ["Transformer", "Pooling"]


def test_prompts_that_nobody_asks_for_are_listed(tmp_path: Path) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"prompts": {"query": "q: ", "passage": "p: "}})
    (note,) = read_model_config(tmp_path).notes
    assert "passage" in note
    assert "query," not in note


@pytest.mark.parametrize("name", ["dot", "euclidean", "manhattan", "cosine"])
def test_similarity_is_the_folders(tmp_path: Path, name: str) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": name, "truncate_dim": 8})
    config = read_model_config(tmp_path)
    assert (config.similarity, config.truncate_dim) == (name, 8)


@pytest.mark.parametrize("name", ["maxsim", None])
def test_similarity_of_another_kind_is_the_cosine_as_in_sentence_transformers(tmp_path: Path, name: str | None) -> None:
    write_json(tmp_path / "config_sentence_transformers.json", {"similarity_fn_name": name})
    assert read_model_config(tmp_path).similarity == "cosine"


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
        ("sentence_bert_config.json", {"max_seq_length": "256"}),
    ],
)
def test_values_of_the_wrong_kind_are_named(tmp_path: Path, name: str, content: object) -> None:
    write_sentence_transformer(tmp_path)
    write_json(tmp_path / name, content)
    with pytest.raises(ModelError, match=Path(name).name):
        read_model_config(tmp_path)
