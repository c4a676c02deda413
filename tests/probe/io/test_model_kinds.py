"""Kinds of models by their files: encoders with layers, without any, and those that are refused as what they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_models import write_json

from probe.errors import ModelError
from probe.io.model_kinds import LAYERLESS, TRANSFORMER, kind_of

ST = "sentence_transformers.models."
DENSE = [("", f"{ST}Transformer"), ("1_Pooling", f"{ST}Pooling")]


def write_folder(
    folder: Path, modules: list[tuple[str, str]] | None = None, head: dict[str, Any] | None = None, **config: Any
) -> Path:
    write_json(folder / "config.json", {"model_type": "bert", **config})
    if modules is not None:
        write_json(folder / "modules.json", [{"path": path, "type": kind} for path, kind in modules])
    if head is not None:
        write_json(folder / "config_sentence_transformers.json", head)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as raised:
        kind_of(folder).check("name")
    assert len(str(raised.value).splitlines()) <= 2
    return str(raised.value)


CLASSIFIER = "BertForSequenceClassification"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"architectures": [CLASSIFIER], "id2label": {"0": "LABEL_0"}}, "is a cross-encoder (BertForSequence"),
        ({"architectures": [CLASSIFIER], "sentence_transformers": {"version": "5"}}, "is a cross-encoder"),
        ({"architectures": [CLASSIFIER], "id2label": {"0": "a", "1": "b", "2": "c"}}, "is a classifier of 3 labels"),
        ({"architectures": [CLASSIFIER]}, "is a classifier of 2 labels"),
        ({"architectures": ["BertForTokenClassification"]}, "is a token classifier"),
        ({"architectures": ["BertForQuestionAnswering"]}, "marks answers in texts"),
        ({"architectures": ["HF_ColBERT"]}, "is a model of late interaction (HF_ColBERT)"),
        ({"model_type": "bart", "architectures": ["BartModel"]}, "is an encoder-decoder (bart)"),
        ({"model_type": "led"}, "is an encoder-decoder (led)"),
        ({"model_type": "own", "is_encoder_decoder": True}, "is an encoder-decoder (own)"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "is quantised (gptq)"),
        ({"quantization_config": {"load_in_8bit": True}}, "is quantised (an unnamed method)"),
    ],
)
def test_a_transformers_folder_is_refused_as_what_it_is(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    assert f"'name' {words}" in refusal(write_folder(tmp_path, **config))


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([("", f"{ST}Transformer"), ("1", "sentence_transformers.sparse_encoder.models.SpladePooling")], "sparse"),
        ([("", "sentence_transformers.sparse_encoder.models.MLMTransformer"), ("1", f"{ST}SpladePooling")], "sparse"),
        ([("", f"{ST}Transformer"), ("1_Dense", "pylate.models.Dense.Dense")], "late interaction (pylate.models"),
        ([*DENSE[:1], ("1", "sentence_transformers.multi_vector_encoder.modules.MultiVectorMask")], "late interaction"),
        ([*DENSE[:1], ("1", "sentence_transformers.cross_encoder.modules.LogitScore")], "cross-encoder"),
    ],
)
def test_modules_tell_a_kind(tmp_path: Path, modules: list[tuple[str, str]], words: str) -> None:
    assert words in refusal(write_folder(tmp_path, modules))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("CrossEncoder", "is a cross-encoder"),
        ("SparseEncoder", "is a sparse encoder"),
        ("MultiVectorEncoder", "is a model of late interaction"),
        ("ColBERT", "is a model of late interaction"),
        ("Ranker", "calls itself a Ranker"),
    ],
)
def test_a_model_type_tells_a_kind(tmp_path: Path, said: str, words: str) -> None:
    assert words in refusal(write_folder(tmp_path, DENSE, {"model_type": said}))


def test_a_quantised_model_is_refused_with_modules_too(tmp_path: Path) -> None:
    assert "quantised" in refusal(write_folder(tmp_path, DENSE, quantization_config={"quant_method": "awq"}))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"architectures": ["BertForMaskedLM"]},
        {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "is_encoder_decoder": True},
        {"model_type": "m2m_100", "is_encoder_decoder": True},
    ],
)
def test_encoders_of_transformers_are_encoders(tmp_path: Path, config: dict[str, Any]) -> None:
    assert kind_of(write_folder(tmp_path, **config)).kind == TRANSFORMER


def test_with_modules_an_encoder_may_be_trained_from_a_classifier(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, DENSE, {"model_type": "SentenceTransformer"}, architectures=[CLASSIFIER])
    assert (kind_of(folder).kind, kind_of(folder).refusal) == (TRANSFORMER, "")


@pytest.mark.parametrize(
    ("modules", "name"),
    [
        ([("", f"{ST}StaticEmbedding")], "static"),
        ([("0_WordEmbeddings", f"{ST}WordEmbeddings"), ("1_Pooling", f"{ST}Pooling")], "static"),
        ([("", f"{ST}Router")], "router"),
        ([("", "sentence_transformers.base.modules.router.Asym")], "router"),
    ],
)
def test_encoders_without_layers_are_not_refused(tmp_path: Path, modules: list[tuple[str, str]], name: str) -> None:
    kind = kind_of(write_folder(tmp_path, modules))
    assert (kind.kind, kind.name, kind.refusal) == (LAYERLESS, name, "")


def test_classes_are_sentence_transformers_own_by_their_full_names(tmp_path: Path) -> None:
    modules = [DENSE[0], ("1_Pooling", "custom_st.Pooling"), ("2", "adaptors.AdaptorModule")]
    kind = kind_of(write_folder(tmp_path, modules))
    assert (kind.kind, kind.foreign) == (TRANSFORMER, ("custom_st.Pooling",))


def test_a_router_of_another_kind_is_seen_through(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [("", f"{ST}Router")])
    routes = {"query_0": f"{ST}Transformer", "document_0": "sentence_transformers.sparse_encoder.models.MLMTransformer"}
    write_json(folder / "router_config.json", {"types": routes, "structure": {}})
    assert "sparse encoder" in refusal(folder)


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '"x"'])
def test_a_malformed_list_of_modules_is_said(tmp_path: Path, text: str) -> None:
    (write_folder(tmp_path) / "modules.json").write_text(text)
    with pytest.raises(ModelError, match=r"modules\.json is malformed"):
        kind_of(tmp_path)


def test_the_families_read_as_encoders_are_sentence_transformers() -> None:
    from sentence_transformers.base.modules import transformer

    from probe.io import model_kinds

    theirs = {config.model_type for config, _, _ in transformer._ENCODER_ONLY_MODELS}
    assert theirs <= set(model_kinds._ENCODER_ONLY.split())


def test_every_family_with_a_decoder_is_known(tmp_path: Path) -> None:
    """A config.json need not say it: transformers leaves out what is its class's default."""
    from transformers import BartConfig

    BartConfig(vocab_size=9, d_model=8).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "bart"
    assert "encoder-decoder" in refusal(tmp_path)
