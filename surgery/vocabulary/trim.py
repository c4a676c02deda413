"""Trim an encoder's vocabulary: drop the tokens that given texts never need."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.encoding.opening import Openable
from probe.errors import CallError, wrong_type
from probe.io.model_files import weight_files
from probe.models.options import LoadOptions
from probe.models.tokenization import preprocess
from surgery.vocabulary.counting import Splitter, TokenChanges, compare_tokens, count_tokens
from surgery.vocabulary.facts import BeforeAfter, TrimFacts
from surgery.vocabulary.folder import config_tokens, refuse_other_tables, write_trimmed
from surgery.vocabulary.model import TrimmedModel, pick_samples, prompted
from surgery.vocabulary.original import Original, find_embedding, open_original
from surgery.vocabulary.texts import TextSource, TrimTexts, read_sources
from surgery.vocabulary.tokenizer_file import TokenizerFile, parse_tokenizer, renumber

__all__ = ["trim"]

Progress = Callable[[str, int, int], None]


def trim(
    model: Openable,
    texts: TrimTexts,
    keep_tokens: int | None = None,
    *,
    options: LoadOptions | None = None,
    progress: Progress = lambda step, done, total: None,
) -> TrimmedModel:
    """Drop the tokens that texts never need from an encoder's tokenizer and table of embeddings.

    Special tokens, bytes and single characters stay, so that no text becomes unknown that was not. A text whose tokens
    all stay keeps its tokens and its vector; in others, dropped tokens become several shorter ones.

    Args:
        model: The model, which is not changed: its name or folder, or the model in memory. A single transformer with a
            fast tokenizer (WordPiece, BPE or Unigram), or static embeddings.
        texts: Files of any format that `probe data build` reads, folders of them, or data sets by name, path or value,
            one or several; or a mapping from names to texts. Relevance labels are not read.
        keep_tokens: Keep this many of the texts' most frequent tokens instead of all, besides those that always stay.
        options: How to load a model given by name; default: in float32 on the CPU.
        progress: Called with a step, the work done since the last call, and the total.

    Returns:
        A new model.

    Raises:
        CallError: There are no texts, they need every token, or `keep_tokens` is out of range.
        DataError: Texts cannot be read.
        ModelError: The model has another kind of tokenizer, or more than one table with a row per token.
    """
    if keep_tokens is not None and (not isinstance(keep_tokens, Integral) or keep_tokens < 1):
        raise wrong_type("keep_tokens", keep_tokens, "a number of tokens, 1 or more, or None")
    sources = read_sources(texts)
    made = TemporaryDirectory(prefix="encoder-surgery-", ignore_cleanup_errors=True)
    try:
        original = open_original(model, Path(made.name, "original"), options)
        trimmed = _Trimming(original, sources, progress).run(keep_tokens)
    except BaseException:
        made.cleanup()
        raise
    weakref.finalize(trimmed, made.cleanup)
    return trimmed


@dataclass(frozen=True)
class _Trimming:
    """A model, the texts that decide, and where progress is shown."""

    original: Original
    sources: Sequence[TextSource]
    progress: Progress

    @property
    def name(self) -> str:
        """The model's name in messages."""
        return self.original.profile.source.name

    def run(self, keep_tokens: int | None) -> TrimmedModel:
        """Choose the tokens, write and load the folder, and compare the tokens of all texts."""
        from sentence_transformers import SentenceTransformer

        original, splitter = self.original, self.original.splitter
        file = self._read_file(splitter)
        refuse_other_tables(original)
        counts = count_tokens(splitter, self._texts("counting tokens"), splitter.size)
        kept = self._choose(file, counts, keep_tokens)
        ids = renumber(kept, original.padding, file)
        folder = original.folder.with_name("trimmed")
        write_trimmed(original, file, folder, ids=ids)
        pipeline = SentenceTransformer(str(folder), device="cpu", trust_remote_code=original.profile.trust).eval()
        after, texts = Splitter.of(pipeline, self.name), self._texts("comparing tokens")
        changes = compare_tokens(texts, splitter, after, ids=ids, name=self.name)
        facts = self._describe(pipeline, folder, counts, kept=kept, changes=changes, keep_tokens=keep_tokens)
        return TrimmedModel(original, pipeline, folder, ids, facts, pick_samples(original, ids, self.sources))

    def _read_file(self, splitter: Splitter) -> TokenizerFile:
        path = self.original.part / "tokenizer.json"
        return parse_tokenizer(path.read_text("utf-8") if path.is_file() else splitter.tokenizer.to_str(), self.name)

    def _texts(self, step: str) -> Iterator[str]:
        total = sum(source.count(self.original.profile) for source in self.sources)
        for text in prompted(self.sources, self.original.profile):
            yield text
            self.progress(step, 1, total)

    def _choose(self, file: TokenizerFile, counts: NDArray[np.int64], wanted: int | None) -> set[int]:
        """Return the ids of the tokens to keep.

        Raises:
            CallError: More tokens are wanted than there are, or all are needed.
        """
        splitter = self.original.splitter
        known = splitter.known_ids
        if wanted is not None and wanted > len(known):
            raise CallError(
                f"--keep-tokens {wanted:,}: '{self.name}' has {len(known):,} tokens, and the texts use "
                f"{np.count_nonzero(counts):,}: expected fewer"
            )
        order = sorted(np.flatnonzero(counts).tolist(), key=lambda one: (-counts[one], one))
        fixed = file.fixed() | splitter.added_ids | self._prompt_tokens() | config_tokens(self.original) & known
        kept = file.close(fixed | set(order[:wanted]))
        if kept >= known:
            raise CallError(
                f"the texts need all {len(known):,} tokens of '{self.name}', special tokens and single characters "
                "included: nothing can be dropped; give fewer --texts, or --keep-tokens"
            )
        return kept

    def _prompt_tokens(self) -> set[int]:
        """Return the tokens of the model's prompts, and of its template if it has one."""
        pipeline, profile = self.original.pipeline, self.original.profile
        prompts = {profile.query_prompt, profile.document_prompt, *filter(None, pipeline.prompts.values())}
        found = {one for prompt in prompts for one in self.original.splitter.ids(prompt)}
        if self.original.transformer is None:
            return found
        features = (preprocess(pipeline, ["a"], role) for role in (profile.as_query, profile.as_document))
        return found.union(*(row["input_ids"].tolist() for one in features for row in one.rows))

    def _describe(
        self,
        pipeline: Any,
        folder: Path,
        counts: NDArray[np.int64],
        *,
        kept: set[int],
        changes: TokenChanges,
        keep_tokens: int | None,
    ) -> TrimFacts:
        original = self.original
        used = np.flatnonzero(counts).tolist()
        rare = sum(one in kept and counts[one] == 1 for one in used)
        return TrimFacts(
            tokens=BeforeAfter(len(original.embedding.weight), len(find_embedding(pipeline).weight)),
            parameters=BeforeAfter(_count_parameters(original.pipeline), _count_parameters(pipeline)),
            weight_bytes=BeforeAfter(original.weight_bytes, sum(path.stat().st_size for path in weight_files(folder))),
            texts={source.name: len(source) for source in self.sources},
            keep_tokens=keep_tokens if keep_tokens and keep_tokens < len(used) else None,
            changes=changes,
            unseen=changes.share + rare / max(1, changes.tokens),
        )


def _count_parameters(pipeline: Any) -> int:
    return sum(one.numel() for one in pipeline.parameters())
