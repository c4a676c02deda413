"""Queries that a text-to-text model writes for passages, as in doc2query (Nogueira and Lin, 2019)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.errors import ModelError, first_line

__all__ = ["QueryGenerator", "generate_queries", "open_generator"]

_BATCH = 16
_MOST_TOKENS = 512
_NEW_TOKENS = 48
_WORDS = range(3, 31)


@dataclass(frozen=True)
class QueryGenerator:
    """A model that writes one query per passage, always the same one.

    Attributes:
        name: Its name as given.
        model: A sequence-to-sequence model of transformers.
        tokenizer: Its tokenizer.
    """

    name: str
    model: Any
    tokenizer: Any

    def write(self, texts: Sequence[str]) -> list[str]:
        """Return a query per text, by greedy decoding."""
        import torch

        longest = min(self.tokenizer.model_max_length, _MOST_TOKENS)
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        inputs = {name: tokens[name] for name in ("input_ids", "attention_mask")}
        with torch.inference_mode():
            made = self.model.generate(**inputs, max_new_tokens=_NEW_TOKENS, do_sample=False, num_beams=1)
        return [" ".join(text.split()) for text in self.tokenizer.batch_decode(made, skip_special_tokens=True)]


def open_generator(name: str) -> QueryGenerator:
    """Open a text-to-text model: a folder or a hub id, with weights in safetensors; no code of its own is run.

    Raises:
        ModelError: If it is not available or not such a model.
    """
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    where = {"local_files_only": True} if Path(name).is_dir() else {}
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(name, use_safetensors=True, trust_remote_code=False, **where)
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **where)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"'{name}' cannot generate queries ({first_line(error)}): expected a text-to-text model with safetensors, "
            "such as a doc2query T5"
        ) from error
    return QueryGenerator(name, model.eval(), tokenizer)


def generate_queries(generator: QueryGenerator, passages: Sequence[Passage]) -> Iterator[Query | None]:
    """Yield a query per passage, or None where the model wrote nothing that reads like one.

    Args:
        generator: The model.
        passages: Passages, each with its title before its text.
    """
    for start in range(0, len(passages), _BATCH):
        batch = passages[start : start + _BATCH]
        texts = generator.write([f"{' '.join(one.headings)} {one.text}".strip() for one in batch])
        for passage, text in zip(batch, texts, strict=True):
            usable = is_readable(text, _WORDS) and text.lower() not in passage.text.lower()
            yield Query(text, "generated", (passage.id,), passage.document) if usable else None
