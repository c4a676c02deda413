"""Folders name their modules as sentence-transformers did before 5.4, which other servers read; it reads both forms."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from tiny_models import make_texts

import surgery
from adaptors.finetuning.encoder import open_trainable
from surgery.saving.old_form import write_old_form

TEXTS = make_texts(6)
OLD = "sentence_transformers.models."


def write_new(folder: Path, source: Path, pooling: Any = "mean", above: tuple[Any, ...] = (Normalize(),)) -> Path:
    """Write a model as the installed sentence-transformers does."""
    first = Transformer(str(source))
    modules = [first, Pooling(first.get_embedding_dimension(), pooling), *above]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def types(folder: Path) -> list[str]:
    return [module["type"] for module in json.loads((folder / "modules.json").read_text())]


def encode(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu").encode(TEXTS, batch_size=1)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "lasttoken", ("cls", "mean")])
def test_the_earlier_form_gives_the_same_vectors(
    tiny_folder: Callable[[str], Path], tmp_path: Path, pooling: Any
) -> None:
    folder = write_new(tmp_path / "new", tiny_folder("bert"), pooling)
    before = encode(folder)
    assert not any(kind.startswith(OLD) for kind in types(folder))
    write_old_form(folder)
    assert types(folder) == [f"{OLD}{name}" for name in ("Transformer", "Pooling", "Normalize")]
    config = json.loads((folder / "1_Pooling" / "config.json").read_text())
    chosen = {"cls": "cls_token", "max": "max_tokens", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    named = [pooling] if isinstance(pooling, str) else pooling
    expected = {f"pooling_mode_{chosen[name]}" for name in named}
    assert {name for name, value in config.items() if value is True} - {"include_prompt"} == expected
    assert config["word_embedding_dimension"] == 32
    assert "pooling_mode" not in config
    np.testing.assert_array_equal(encode(folder), before)
    write_old_form(folder)
    np.testing.assert_array_equal(encode(folder), before)


def test_what_the_earlier_form_cannot_say_stays(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    above = (Normalize("token_embeddings"), Dense(64, 64, use_residual=True), Normalize())
    folder = write_new(tmp_path / "new", tiny_folder("bert"), ("mean", "cls"), above)
    before, kinds = encode(folder), types(folder)
    write_old_form(folder)
    assert types(folder) == [f"{OLD}Transformer", *kinds[1:4], f"{OLD}Normalize"]
    np.testing.assert_array_equal(encode(folder), before)


def test_cuts_and_trained_encoders_have_the_earlier_form(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    source = write_new(tmp_path / "new", tiny_folder("bert"))
    expected = [f"{OLD}{name}" for name in ("Transformer", "Pooling", "Normalize")]
    assert types(surgery.save(surgery.cut(str(source), 2), tmp_path / "cut")) == expected
    opened = open_trainable(str(source), tmp_path / "scratch")
    assert types(opened.folder) == expected
    sizes = json.loads((opened.folder / "sentence_bert_config.json").read_text())
    assert {"max_seq_length", "do_lower_case"} <= sizes.keys()
