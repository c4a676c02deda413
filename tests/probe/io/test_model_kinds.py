"""Kinds of models by their files: encoders with layers, without any, and those that are refused as what they are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import write_json, write_model

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
        ({"architectures": [CLASSIFIER], "id2label": {"0": "a", "1": "b", "2": "c"}}, "is a classifier with 3 labels"),
        ({"architectures": [CLASSIFIER]}, "is a classifier with 2 labels"),
        ({"architectures": ["BertForTokenClassification"]}, "is a token classifier"),
        ({"architectures": ["BertForQuestionAnswering"]}, "is a question-answering model"),
        ({"architectures": ["HF_ColBERT"]}, "is a late-interaction model (HF_ColBERT)"),
        ({"model_type": "bart", "architectures": ["BartModel"]}, "is an encoder-decoder (bart)"),
        ({"model_type": "led"}, "is an encoder-decoder (led)"),
        ({"model_type": "own", "is_encoder_decoder": True}, "is an encoder-decoder (own)"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "is quantized (gptq)"),
        ({"quantization_config": {"load_in_8bit": True}}, "is quantized (unknown method)"),
    ],
)
def test_a_transformers_folder_is_refused_as_what_it_is(tmp_path: Path, config: dict[str, Any], words: str) -> None:
    assert f"'name' {words}" in refusal(write_folder(tmp_path, **config))


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([("", f"{ST}Transformer"), ("1", "sentence_transformers.sparse_encoder.models.SpladePooling")], "sparse"),
        ([("", "sentence_transformers.sparse_encoder.models.MLMTransformer"), ("1", f"{ST}SpladePooling")], "sparse"),
        ([("", f"{ST}Transformer"), ("1_Dense", "pylate.models.Dense.Dense")], "late-interaction model (pylate.models"),
        ([*DENSE[:1], ("1", "sentence_transformers.multi_vector_encoder.modules.MultiVectorMask")], "late-interaction"),
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
        ("MultiVectorEncoder", "is a late-interaction model"),
        ("ColBERT", "is a late-interaction model"),
        ("Ranker", "has the unknown model_type Ranker"),
    ],
)
def test_a_model_type_tells_a_kind(tmp_path: Path, said: str, words: str) -> None:
    assert words in refusal(write_folder(tmp_path, DENSE, {"model_type": said}))


def test_a_quantised_model_is_refused_with_modules_too(tmp_path: Path) -> None:
    assert "quantized" in refusal(write_folder(tmp_path, DENSE, quantization_config={"quant_method": "awq"}))


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


def save_cross_encoder(base: Path, out: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(base), num_labels=1, device="cpu").save_pretrained(str(out))


def save_sparse_encoder(base: Path, out: Path) -> None:
    from sentence_transformers import SparseEncoder

    SparseEncoder(str(base), device="cpu").save_pretrained(str(out), create_model_card=False)


def save_multi_vector_encoder(base: Path, out: Path) -> None:
    from sentence_transformers import MultiVectorEncoder

    MultiVectorEncoder(str(base), device="cpu").save_pretrained(str(out), create_model_card=False)


def save_classifier(base: Path, out: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    AutoModelForSequenceClassification.from_pretrained(str(base), num_labels=3).save_pretrained(str(out))


@pytest.mark.parametrize(
    ("save", "words"),
    [
        (save_cross_encoder, "is a cross-encoder"),
        (save_sparse_encoder, "is a sparse encoder"),
        (save_multi_vector_encoder, "is a late-interaction model"),
        (save_classifier, "is a classifier with 3 labels"),
    ],
)
def test_what_the_libraries_save_is_refused_as_what_it_is(
    tmp_path: Path, save: Callable[[Path, Path], None], words: str
) -> None:
    save(write_model(tmp_path / "base", "bert"), tmp_path / "saved")
    assert words in refusal(tmp_path / "saved")


def test_a_static_encoder_that_was_saved_is_none_to_refuse(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from transformers import AutoTokenizer

    from probe.models.sources import find_source

    tokenizer = AutoTokenizer.from_pretrained(str(write_model(tmp_path / "base", "bert")))
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    static.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    assert kind_of(tmp_path / "static").name == "static"
    assert find_source(str(tmp_path / "static")).folder == tmp_path / "static"


def test_a_router_that_was_saved_is_none_to_refuse(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    from probe.models.sources import find_source

    base = str(write_model(tmp_path / "base", "bert"))
    routes = {"query": [Transformer(base), Pooling(32)], "document": [Transformer(base), Pooling(32)]}
    router = SentenceTransformer(modules=[Router(routes, default_route="document")], device="cpu")
    router.save_pretrained(str(tmp_path / "router"), create_model_card=False)
    assert kind_of(tmp_path / "router").name == "router"
    assert find_source(str(tmp_path / "router")).folder == tmp_path / "router"
    part = next((tmp_path / "router").glob("document_*Pooling"))
    (part / "config.json").unlink()
    with pytest.raises(ModelError, match=r"Pooling in its modules.json\) has no config\.json"):
        find_source(str(tmp_path / "router"))
