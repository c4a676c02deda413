"""Queries written by a tiny random T5: always the same, one per passage, and only those that read like a query."""

from pathlib import Path

import pytest
import torch
from own_documents import write_documents
from tiny_tokenizers import count_tokens, special_ids, write_make
from transformers import T5Config, T5ForConditionalGeneration

from probe.documents.build import BuildOptions, build_dataset
from probe.documents.generated import QueryGenerator, generate_queries, open_generator
from probe.documents.passages import Passage
from probe.errors import ModelError
from probe.formats.document import Block


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a random T5."""
    folder = write_make(tmp_path_factory.mktemp("t5"), "gemma", model_max_length=64)
    ids = special_ids("gemma")
    torch.manual_seed(3)
    config = T5Config(
        vocab_size=count_tokens("gemma"), d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        decoder_start_token_id=ids["pad_token"], pad_token_id=ids["pad_token"], eos_token_id=ids["eos_token"],
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return str(folder)


def passage(number: int, text: str) -> Passage:
    return Passage("a.md", "a.md", ("River",), (Block(text),), id=f"a.md#{number}")


def test_each_text_gets_the_same_words_every_time(writer: str) -> None:
    texts = ["stone river cloud", "gold", "milk and salt " * 50]
    first, again = (open_generator(writer).write(texts) for _ in range(2))
    assert len(first) == 3
    assert first == again
    assert open_generator(writer).write(texts[:1]) == pytest.approx(first[:1])


class Spoken(QueryGenerator):
    """A generator that says given words."""

    def __init__(self, *words: str) -> None:
        super().__init__("spoken", None, None)
        object.__setattr__(self, "words", iter(words))
        object.__setattr__(self, "read", [])

    def write(self, texts: list[str]) -> list[str]:  # type: ignore[override]
        self.read.extend(texts)  # type: ignore[attr-defined]
        return [next(self.words) for _ in texts]  # type: ignore[attr-defined]


def test_unusable_texts_are_no_queries() -> None:
    spoken = Spoken("where does the river end", "", "x", "<b>what</b> is a river", "the river ends here")
    passages = [passage(number, "Look: the river ends here, by the sea.") for number in range(5)]
    found = list(generate_queries(spoken, passages))
    assert [query.text if query else None for query in found] == ["where does the river end", None, None, None, None]
    assert (found[0].kind, found[0].relevant, found[0].document) == ("generated", ("a.md#0",), "a.md")  # type: ignore[union-attr]


def test_the_title_is_read_before_the_text() -> None:
    spoken = Spoken("where does the river end")
    list(generate_queries(spoken, [passage(1, "By the sea.")]))
    assert spoken.read == ["River By the sea."]  # type: ignore[attr-defined]


def test_a_build_counts_them(writer: str, tmp_path: Path) -> None:
    options = BuildOptions(generate=writer, kinds=("question", "generated"))
    built = build_dataset(write_documents(tmp_path / "in"), tmp_path / "out", options=options)
    usable = sum(one.kind == "generated" for one in built.splits["test"])
    assert usable + built.made.unusable + built.made.ambiguous == built.documents


@pytest.mark.parametrize("name", ["missing-folder/model", "empty"])
def test_a_model_that_cannot_write_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    given = str(tmp_path / name) if name == "empty" else name
    with pytest.raises(ModelError, match="cannot generate queries") as error:
        open_generator(given)
    assert len(str(error.value).splitlines()) == 1
