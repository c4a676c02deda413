"""Trimmed models: texts whose tokens all stay have the original's vectors, in plain sentence-transformers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fresh_forks import FreshForks
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding
from tiny_families import FAMILIES, write_family
from tiny_models import PROMPTS, WORDS, change_json, make_texts, write_model, write_sentence_transformer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, RobertaTokenizer, XLMRobertaTokenizer

import surgery
from probe.data.dataset import Dataset
from probe.errors import CallError, ModelError
from probe.models.options import LoadOptions
from surgery.vocabulary.model import TrimmedModel
from surgery.vocabulary.tokenizer_file import TokenizerFile

KEPT = [" ".join(WORDS[start : start + 5]) for start in range(3, 33, 3)]
TEXTS = {"mine": KEPT}


def write(folder: Path, family: str, **settings: Any) -> Path:
    made = write_sentence_transformer(write_family(folder / family, family, **settings), prompts=PROMPTS)
    change_json(made / "1_Pooling" / "config.json", embedding_dimension=16)
    return made


def write_static(folder: Path) -> Path:
    source = write_family(folder / "source", "bert")
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    table = torch.randn(tokenizer.get_vocab_size(), 8, generator=torch.Generator().manual_seed(3))
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=table), Normalize()])
    model.save_pretrained(str(folder / "static"), create_model_card=False)
    return folder / "static"


def load(folder: Path) -> Any:
    return SentenceTransformer(str(folder), device="cpu")


def vectors(model: Any, texts: list[str]) -> Any:
    options = {"batch_size": 1, "show_progress_bar": False}
    return np.concatenate([model.encode_query(texts, **options), model.encode_document(texts, **options)])


@pytest.mark.parametrize(
    "family", ["bert", "roberta", "mpnet", "xlm-roberta", "modernbert", "t5-encoder", "qwen3", "deberta-v2", "static"]
)
def test_texts_whose_tokens_stay_keep_their_vectors(family: str, tmp_path: Path) -> None:
    folder = write_static(tmp_path) if family == "static" else write(tmp_path, family)
    trimmed = surgery.trim(str(folder), TEXTS)
    saved = load(surgery.save(trimmed, tmp_path / "trimmed"))
    original = load(folder)
    np.testing.assert_allclose(vectors(saved, KEPT), vectors(original, KEPT), atol=1e-6)
    np.testing.assert_allclose(
        np.concatenate([trimmed.encode_query(KEPT), trimmed.encode_document(KEPT)]), vectors(original, KEPT), atol=1e-6
    )
    facts = trimmed.facts
    assert facts.tokens.after < facts.tokens.before
    assert facts.parameters.before - facts.parameters.after == (facts.tokens.before - facts.tokens.after) * (
        8 if family == "static" else 16
    )
    assert facts.changes.changed_texts == 0
    others = trimmed.measure({"others": make_texts(50)})
    assert 0 < others.changed_texts <= others.texts
    assert 0 < others.share < 1
    assert np.isfinite(vectors(saved, make_texts(20))).all()


@pytest.mark.parametrize("family", ["bert", "static"])
def test_a_fresh_process_gives_the_same(family: str, tmp_path: Path, fresh_forks: FreshForks) -> None:
    from surgery.vocabulary.save import check_trimmed

    folder = write_static(tmp_path) if family == "static" else write(tmp_path, family)
    trimmed = surgery.trim(folder, TEXTS)
    surgery.save(trimmed, tmp_path / "out", check=lambda made: check_trimmed(made, trimmed, fresh=True))
    assert (tmp_path / "out" / "README.md").is_file()


def test_other_vectors_are_not_saved(tmp_path: Path) -> None:
    trimmed = surgery.trim(write(tmp_path, "bert"), TEXTS)
    weights = load_file(trimmed.folder / "model.safetensors")
    table = "embeddings.word_embeddings.weight"
    save_file({**weights, table: weights[table] * 1.0001}, trimmed.folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"vectors differ.*nothing was saved"):
        surgery.save(trimmed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_config_counts_the_tokens_that_are_left(tmp_path: Path) -> None:
    folder = write(tmp_path, "modernbert", cls_token_id=2, sep_token_id=3, mask_token_id=4)
    change_json(folder / "sentence_bert_config.json", config_args={"vocab_size": 160, "pad_token_id": 0})
    trimmed = surgery.trim(folder, TEXTS)
    config = json.loads((trimmed.folder / "config.json").read_text())
    tokenizer = load(trimmed.folder).tokenizer
    assert config["vocab_size"] == trimmed.facts.tokens.after == len(tokenizer)
    assert [config[f"{name}_token_id"] for name in ("cls", "sep", "mask")] == [
        tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id,
    ]  # fmt: skip
    assert json.loads((trimmed.folder / "sentence_bert_config.json").read_text())["config_args"] == {}


def late_specials(folder: Path) -> Path:
    """A RoBERTa whose padding and unknown tokens stand behind words, and whose mask was only added."""
    from tokenizers import models, pre_tokenizers, processors

    letters = sorted({letter for word in WORDS for letter in word})
    names = ["<s>", *WORDS[:6], "<pad>", "</s>", "<unk>", *WORDS[6:]]
    names += [form for letter in letters for form in (letter, f"##{letter}") if form not in names]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", vocabulary["</s>"]), ("<s>", 0))
    fast: Any = PreTrainedTokenizerFast
    specials = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}
    made = fast(tokenizer_object=tokenizer, **specials, cls_token="<s>", sep_token="</s>")
    model = FAMILIES["roberta"].build(vocab_size=len(made), pad_token_id=vocabulary["<pad>"])
    model.save_pretrained(folder)
    made.save_pretrained(folder)
    change_json(write_sentence_transformer(folder) / "1_Pooling" / "config.json", embedding_dimension=16)
    return folder


def test_positions_are_counted_from_the_padding_as_before(tmp_path: Path) -> None:
    folder = late_specials(tmp_path / "late")
    texts = [" ".join(WORDS[20:30]), "moon"]
    trimmed = surgery.trim(folder, {"mine": texts})
    assert trimmed.ids[load(folder).tokenizer.pad_token_id] == 7
    saved = load(surgery.save(trimmed, tmp_path / "out"))
    np.testing.assert_allclose(vectors(saved, texts), vectors(load(folder), texts), atol=1e-6)
    settings = json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())
    assert saved.tokenizer.mask_token_id == trimmed.facts.tokens.after - 1
    assert settings.get("mask_token") == "<mask>"


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta"])
def test_tokenizers_of_their_own_class_lose_their_other_files(kind: str, tmp_path: Path) -> None:
    """Vocabularies in other forms would disagree with tokenizer.json."""
    folder = write(tmp_path, kind)
    content = json.loads((folder / "tokenizer.json").read_text())["model"]
    made: Any = (
        RobertaTokenizer(vocab=content["vocab"], merges=[tuple(pair) for pair in content["merges"]])
        if kind == "roberta"
        else XLMRobertaTokenizer(vocab=[tuple(entry) for entry in content["vocab"]])
    )
    made.save_pretrained(folder)
    for stale in ("vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model"):
        (folder / stale).write_text("{}")
    trimmed = surgery.trim(folder, TEXTS)
    out = surgery.save(trimmed, tmp_path / "out")
    assert {"vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model"}.isdisjoint(
        path.name for path in out.iterdir()
    )
    assert type(load(out).tokenizer) is type(made)
    np.testing.assert_allclose(vectors(load(out), KEPT), vectors(load(folder), KEPT), atol=1e-6)


def test_heads_of_a_language_model_are_left_out(tmp_path: Path) -> None:
    folder = write(tmp_path, "bert")
    weights = load_file(folder / "model.safetensors")
    named = {f"bert.{name}": tensor for name, tensor in weights.items()}
    table = named["bert.embeddings.word_embeddings.weight"]
    heads = {"cls.predictions.bias": torch.zeros(len(table)), "cls.predictions.decoder.weight": table.clone()}
    save_file({**named, **heads}, folder / "model.safetensors", {"format": "pt"})
    out = surgery.save(surgery.trim(folder, TEXTS), tmp_path / "out")
    kept = load_file(out / "model.safetensors")
    assert not any("predictions" in name for name in kept)
    np.testing.assert_allclose(vectors(load(out), KEPT), vectors(load(folder), KEPT), atol=1e-6)


def test_the_most_frequent_tokens_stay_and_ties_go_by_id(tmp_path: Path) -> None:
    folder = write(tmp_path, "bert")
    texts = ["rain rain rain", "moon moon", "snow snow", "wind"]
    tokenizer = load(folder).tokenizer
    every = surgery.trim(folder, {"mine": texts})
    # [CLS], [SEP] and the prompts' tokens are the most frequent.
    counts: dict[int, int] = {}
    for text in texts:
        for prompt in PROMPTS.values():
            for one in tokenizer(prompt + text)["input_ids"]:
                counts[one] = counts.get(one, 0) + 1
    order = sorted(counts, key=lambda one: (-counts[one], one))
    for number in range(1, len(order)):
        kept = surgery.trim(folder, {"mine": texts}, number).ids if number in (5, len(order) - 1) else None
        if kept is not None:
            assert set(order[:number]) <= kept.keys()
            assert kept.keys() <= every.ids.keys()
    fewer = surgery.trim(folder, {"mine": texts}, 5)
    assert fewer.facts.changes.changed_texts > 0
    assert fewer.facts.changes.share > 0
    assert fewer.facts.unseen >= 0
    assert f"{fewer.facts.changes.share:.2%} in these 4 texts, of which" in fewer.facts.loss
    assert "none in these 4 texts, about" in every.facts.loss


def test_tokens_of_prompts_always_stay(tmp_path: Path) -> None:
    folder = write(tmp_path, "bert")
    change_json(folder / "config_sentence_transformers.json", prompts={**PROMPTS, "cluster": "valley storm: "})
    trimmed = surgery.trim(folder, {"mine": ["rain"]}, 1)
    tokenizer = load(folder).tokenizer
    for prompt in (*PROMPTS.values(), "valley storm: "):
        assert set(tokenizer(prompt)["input_ids"]) <= trimmed.ids.keys()


def test_overrides_of_the_config_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CallError, match="--config"):
        surgery.trim(write(tmp_path, "bert"), TEXTS, options=LoadOptions(config=(("hidden_act", "relu"),)))


FAULTS: dict[str, tuple[Callable[[Path], Any], type[Exception], str]] = {
    "no texts": (lambda folder: surgery.trim(folder, []), CallError, "no texts: expected a file, a folder"),
    "no number": (lambda folder: surgery.trim(folder, TEXTS, 0), CallError, "keep_tokens"),
    "too many": (lambda folder: surgery.trim(folder, TEXTS, 1000), CallError, r"1,000: '.*' has 160 tokens.*use \d+"),
    "a tower": (lambda folder: surgery.trim(f"{folder}@text", TEXTS), CallError, "text"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told(fault: str, tmp_path: Path) -> None:
    call, kind, words = FAULTS[fault]
    with pytest.raises(kind, match=words):
        call(write(tmp_path, "bert"))


def test_texts_that_need_every_token_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TokenizerFile, "fixed", lambda file: set(range(160)))
    with pytest.raises(CallError, match=r"the texts need all 160 tokens.*nothing can be dropped"):
        surgery.trim(write(tmp_path, "bert"), TEXTS)


def test_more_tokens_than_the_texts_use_are_all_of_them(tmp_path: Path) -> None:
    folder = write(tmp_path, "bert")
    every, most = surgery.trim(folder, TEXTS), surgery.trim(folder, TEXTS, 150)
    assert most.ids == every.ids
    assert most.facts.keep_tokens is None


def test_a_second_table_with_a_row_per_token_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path, "bert", max_position_embeddings=160)
    with pytest.raises(ModelError, match=r"second tensor with a row per token.*position_embeddings.*\(160, 16\)"):
        surgery.trim(folder, TEXTS)


def test_words_without_pieces_are_refused(tmp_path: Path) -> None:
    folder = write_sentence_transformer(write_model(tmp_path / "words"))
    with pytest.raises(ModelError, match="type WordLevel"):
        surgery.trim(folder, TEXTS)


def test_a_slow_tokenizer_is_refused_with_what_to_do() -> None:
    from surgery.vocabulary.counting import Splitter

    class Slow:
        """A tokenizer written in Python."""

    with pytest.raises(ModelError, match=r"'m' has a slow tokenizer, Slow: expected a fast one.*use_fast=True"):
        Splitter.of(type("Model", (), {"tokenizer": Slow()})(), "m")


def test_models_in_memory_are_trimmed_and_not_changed(tmp_path: Path) -> None:
    held = load(write(tmp_path, "bert"))
    before = vectors(held, KEPT)
    trimmed = surgery.trim(held, TEXTS)
    assert isinstance(trimmed, TrimmedModel)
    assert len(held.tokenizer) == 160
    np.testing.assert_allclose(vectors(load(surgery.save(trimmed, tmp_path / "a")), KEPT), before, atol=1e-6)
    cut = surgery.cut(held, 2)
    short = load(surgery.save(surgery.trim(cut, TEXTS), tmp_path / "b"))
    assert short[0].auto_model.config.num_hidden_layers == 2
    static = load(write_static(tmp_path))
    again = load(surgery.save(surgery.trim(static, TEXTS), tmp_path / "c"))
    np.testing.assert_allclose(vectors(again, KEPT), vectors(static, KEPT), atol=1e-6)


def test_a_trimmed_model_is_an_encoder_that_can_be_ranked(dataset: Dataset, tmp_path: Path) -> None:
    import probe

    trimmed = surgery.trim(write(tmp_path, "bert"), dataset)
    board = probe.rank({"whole": trimmed.original.pipeline, "trimmed": trimmed}, dataset)
    scores = {row.encoder.partition("@")[0]: row.scores[str(board.metric)] for row in board.rows}
    assert scores["trimmed"] == pytest.approx(scores["whole"], abs=1e-6)


def test_the_card_says_which_texts_and_what_it_means(tmp_path: Path) -> None:
    trimmed = surgery.trim(write(tmp_path, "bert"), TEXTS)
    out = surgery.save(trimmed, tmp_path / "out", scores="## Retrieval\n\n| none |")
    card = (out / "README.md").read_text()
    assert "- mine: 10 texts" in card
    assert "## Retrieval" in card
    assert f"with {trimmed.facts.tokens.after} of its 160 tokens" in card
    assert "become" in card
    assert "unknown" in card
    facts = json.loads((out / "surgery.json").read_text())["vocabulary"]
    assert facts["texts"] == {"mine": 10}
    assert facts["tokens"] == trimmed.facts.tokens.after


def test_the_files_go_with_the_object(tmp_path: Path) -> None:
    trimmed = surgery.trim(write(tmp_path, "bert"), TEXTS)
    folder = trimmed.folder
    assert folder.is_dir()
    del trimmed
    assert not folder.exists()
