"""A model with fewer tokens, in memory and as files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from probe.errors import ModelError
from probe.metrics.vectors import Embeddings
from probe.models.info import ModelProfile
from probe.models.tokenization import Role
from surgery.vocabulary.counting import Splitter, TokenChanges, compare_tokens
from surgery.vocabulary.facts import TrimFacts
from surgery.vocabulary.original import Original
from surgery.vocabulary.texts import TextSource, TrimTexts, read_sources

__all__ = ["TrimmedModel", "pick_samples", "prompted"]

_SAMPLES = 16
_WORDS = 50


@dataclass(frozen=True, eq=False, repr=False)
class TrimmedModel:
    """An encoder with fewer tokens.

    Attributes:
        original: The model before.
        pipeline: The model as a SentenceTransformer, in float32 on the CPU.
        folder: Its files, which last as long as this object; `surgery.save` copies them.
        ids: New token ids by old ones, of all kept tokens.
        facts: What was dropped, and what that changes.
        samples: Texts whose tokens were all kept, to check a saved folder with.
    """

    original: Original
    pipeline: Any
    folder: Path
    ids: Mapping[int, int]
    facts: TrimFacts
    samples: tuple[str, ...]

    @property
    def profile(self) -> ModelProfile:
        """Facts about the original."""
        return self.original.profile

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries, prompt included; returns float32 vectors `(N, D)`."""
        return _encode(self.pipeline, texts, self.profile.as_query)

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents, prompt included; returns float32 vectors `(N, D)`."""
        return _encode(self.pipeline, texts, self.profile.as_document)

    def expected(self) -> Embeddings:
        """Return the original's vectors of the samples as queries, then as documents `(2 N, D)`."""
        roles = (self.profile.as_query, self.profile.as_document)
        return np.concatenate([_encode(self.original.pipeline, self.samples, role) for role in roles])

    def measure(self, texts: TrimTexts) -> TokenChanges:
        """Return how the dropped tokens change other texts, which are given as for `surgery.trim`.

        Raises:
            CallError: A file or data set does not exist, or nothing was given.
            DataError: One cannot be read, or has no text.
        """
        name = self.profile.source.name
        before, after = self.original.splitter, Splitter.of(self.pipeline, name)
        return compare_tokens(prompted(read_sources(texts), self.profile), before, after, ids=self.ids, name=name)

    def __repr__(self) -> str:
        tokens = self.facts.tokens
        return f"TrimmedModel({self.profile.source.name!r}, tokens={tokens.after} of {tokens.before})"


def _encode(pipeline: Any, texts: Sequence[str], role: Role) -> Embeddings:
    # One by one: padding changes the last digits of a vector.
    vectors: Embeddings = pipeline.encode(
        list(texts), prompt=role.prompt, task=role.task, batch_size=1, show_progress_bar=False
    ).astype(np.float32)
    return vectors


def prompted(sources: Sequence[TextSource], model: ModelProfile) -> Iterator[str]:
    """Yield the texts of all sources as a model reads them."""
    for source in sources:
        yield from source.prompted(model)


def pick_samples(original: Original, ids: Mapping[int, int], sources: Sequence[TextSource]) -> tuple[str, ...]:
    """Return some texts whose tokens are all kept; if none is, what is left of them, or single characters.

    Raises:
        ModelError: No text can be made of the kept tokens.
    """
    prompts = {original.profile.query_prompt, original.profile.document_prompt}

    def is_kept(text: str) -> bool:
        """Return whether all tokens of a text are kept, with either prompt."""
        return all(one in ids for prompt in prompts for one in original.splitter.ids(prompt + text))

    texts = [text for source in sources for text in _spread(source)]
    parts = (" ".join([word for word in text.split() if is_kept(word)][:_WORDS]) for text in texts)
    candidates = (texts, parts, (letter for text in texts for letter in text[:_SAMPLES]))
    found = ([text for text in tier if text.strip() and is_kept(text)] for tier in candidates)
    samples = tuple(dict.fromkeys(next(filter(None, found), ())))
    if not samples:
        raise ModelError(
            f"no word of the texts keeps its tokens in '{original.profile.source.name}', so the model cannot be "
            "checked: keep more tokens"
        )
    return samples


def _spread(source: TextSource) -> list[str]:
    """Return some texts of a source, spread evenly."""
    return list(islice(source.plain(), 0, None, max(1, len(source) // _SAMPLES)))[:_SAMPLES]
