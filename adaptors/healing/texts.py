"""Texts for healing a cut encoder, with the full model's vectors; no labels are read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.fitting.data import FitTexts, select_fit_data
from adaptors.healing.spans import draw_spans
from probe.data.dataset import Dataset, refuse_images
from probe.data.texts import Texts
from probe.documents.intake import is_document_file, read_texts
from probe.encoding.chunk_states import (
    Progress,
    PromptedTexts,
    RunContext,
    prompted_documents,
    prompted_queries,
    read_states,
    silent,
)
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, check_type
from probe.io.column_files import RECORD_FILES, column_text, read_columns
from probe.layers.hookpoint import LayerPooling
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = [
    "HealData",
    "HealTexts",
    "SpanTexts",
    "check_width",
    "gather_heal_texts",
    "load_heal_texts",
]

_MOST_HELD_OUT = 256
_DOCUMENTS = "documents"

# The types accepted as texts.
HealData = str | Path | Dataset | Sequence[str | Path | Dataset] | Mapping[str, Sequence[str]]


def load_heal_texts(data: HealData) -> list[FitTexts]:
    """Load texts for healing; relevance labels are not used.

    Args:
        data: One or several text, Markdown, JSONL or CSV files, or data sets as for `load_dataset` or loaded ones; or a
            mapping from names to texts.

    Returns:
        One value per name. For the name of a data set, the documents and the queries of its training split; for
        a loaded one, only the documents. For a text or Markdown
        file, passages of about 150 words with their headings; for a JSONL or CSV file, the full column `text`; without
        duplicates.

    Raises:
        CallError: The file or data set does not exist.
        DataError: It is malformed or has no text.
    """
    if isinstance(data, Sequence | Mapping) and not data:
        raise CallError("data is empty: expected a file, a data set, a list of them, or texts as {'mine': texts}")
    if isinstance(data, Mapping):
        return [FitTexts(_as_documents(name, texts)) for name, texts in data.items()]
    several = [data] if isinstance(data, str | Path | Dataset) else data
    check_type("data", several, Sequence, expected="a file, a data set, a list of them, or texts as {'mine': texts}")
    return [_load(one) for one in several]


def _load(given: str | Path | Dataset) -> FitTexts:
    if isinstance(given, Dataset):
        refuse_images(given, "healing")
        return FitTexts(given)
    check_type("data", given, str | Path, expected="a file, or a data set or its name or path")
    name, path = str(given), Path(given)
    if is_document_file(path) and not path.is_dir():
        if not path.exists():
            raise CallError(f"file '{path}' not found")
        return FitTexts(_as_documents(path.name, list(_texts(path)), str(path)))
    dataset = load_dataset(name)
    refuse_images(dataset, "healing")
    return select_fit_data(name, dataset, "none")


def _as_documents(name: str, given: Sequence[str], source: str = "") -> Dataset:
    texts = Texts.number(given, source or name)
    return Dataset(name, split="", documents=texts, queries=Texts((), ()), qrels={})


def _texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() in RECORD_FILES:
        return (column_text(record, "text", location) for location, record in read_columns(path, ("text",)))
    return read_texts(path)


@dataclass(frozen=True)
class SpanTexts:
    """Spans of documents with their teacher's vectors.

    Attributes:
        texts: The spans, with the prompt of a document.
        targets: The full model's final embeddings, normalized to length 1 `(S, F)`.
        rows: For every span, the row of its document among the whole texts.
    """

    texts: tuple[str, ...]
    targets: Tensor
    rows: tuple[int, ...]

    def pick(self, rows: Sequence[int]) -> "SpanTexts":
        """Return the spans of documents, which get new rows: their positions in `rows`."""
        positions = {row: position for position, row in enumerate(rows)}
        kept = [number for number, row in enumerate(self.rows) if row in positions]
        texts = tuple(self.texts[number] for number in kept)
        return SpanTexts(texts, self.targets[kept], tuple(positions[self.rows[number]] for number in kept))


@dataclass(frozen=True)
class HealTexts:
    """Texts with their teacher's vectors.

    Attributes:
        texts: The texts, with prompts.
        targets: The full model's final embeddings, normalized to length 1 `(N, F)`.
        seen: Name of every source data set, and sha256 of its documents.
        spans: Short spans of the documents, to train on as well.
    """

    texts: tuple[str, ...]
    targets: Tensor
    seen: tuple[tuple[str, str], ...]
    spans: "SpanTexts | None" = None

    def distinct_rows(self) -> list[int]:
        """Return one row for every distinct text."""
        return list({text: row for row, text in enumerate(self.texts)}.values())

    def hold_out(self, seed: int) -> tuple["HealTexts", "HealTexts"]:
        """Return texts to train on, and different held-out ones: a tenth, at most 256.

        Raises:
            CallError: There are fewer than two different texts.
        """
        different = self.distinct_rows()
        if len(different) < 2:
            raise CallError(f"healing needs at least 2 different texts, found {len(different)}")
        count = min(_MOST_HELD_OUT, max(1, len(different) // 10))
        held = np.random.default_rng(seed).choice(different, count, replace=False).tolist()
        judging = {self.texts[row] for row in held}
        train = self.pick([row for row, text in enumerate(self.texts) if text not in judging])
        return train, replace(self.pick(held), spans=None)

    def pick(self, rows: Sequence[int]) -> "HealTexts":
        """Return the texts of rows, with the spans of these texts alone."""
        spans = None if self.spans is None else self.spans.pick(rows)
        texts = tuple(self.texts[row] for row in rows)
        return replace(self, texts=texts, targets=self.targets[list(rows)], spans=spans)

    def with_spans(self) -> "HealTexts":
        """Return the texts followed by their spans, as texts of the same kind."""
        if self.spans is None:
            return self
        targets = torch.cat([self.targets, self.spans.targets])
        return replace(self, texts=self.texts + self.spans.texts, targets=targets, spans=None)


def gather_heal_texts(
    teacher: LayerReader,
    data: Sequence[FitTexts],
    store: Store | None = None,
    *,
    progress: Progress = silent,
    span_characters: int = 0,
    seed: int = 0,
    also: Sequence[LayerPooling] = (),
) -> HealTexts:
    """Return the full model's vectors of corpora and training queries, from the store if cached.

    Args:
        teacher: Reader of the full model.
        data: The corpora and queries.
        store: Store of the vectors, if any.
        progress: Called after every batch.
        span_characters: About how many characters the spans of the documents have together; 0 for no spans.
        seed: Random seed of the spans.
        also: Layers and poolings that are read afterwards, so that the texts pass through the model once.

    Returns:
        The texts, documents before queries, one data set after another; and the spans of the documents.
    """
    context = RunContext(store, progress, again=True)
    texts: list[str] = []
    vectors: list[Tensor] = []
    documents: dict[int, str] = {}
    for one in data:
        for side in _sides(teacher, one):
            plain = [text for _, text in side.texts]
            if side.name == _DOCUMENTS:
                documents |= enumerate(plain, start=len(texts))
            vectors.append(_embed_side(teacher, side, context, also=also))
            texts += [side.role.prompt + text for text in plain]
    seen = tuple((one.corpus.name, one.corpus.documents.text_hash) for one in data)
    spans = None
    if found := draw_spans(list(documents.values()), span_characters, seed) if span_characters else []:
        rows = list(documents)
        spans = _embed_spans(teacher, [(rows[span.document], span.text) for span in found], seen, context=context)
    return HealTexts(tuple(texts), torch.cat(vectors), seen, spans)


def _embed_spans(
    teacher: LayerReader,
    spans: Sequence[tuple[int, str]],
    seen: Sequence[tuple[str, str]],
    *,
    context: RunContext,
) -> SpanTexts:
    """Return the full model's vectors of spans, given as the row of the document and the text."""
    names = "+".join(name for name, _ in seen)
    numbered = Texts.number([text for _, text in spans], names)
    side = PromptedTexts("spans", numbered, teacher.model.as_document, names)
    texts = tuple(side.role.prompt + text for _, text in spans)
    return SpanTexts(texts, _embed_side(teacher, side, context), tuple(row for row, _ in spans))


def _embed_side(
    teacher: LayerReader, side: PromptedTexts, context: RunContext, *, also: Sequence[LayerPooling] = ()
) -> Tensor:
    """Return the full model's unit vectors `(N, F)`."""
    final = (teacher.model.depth, own_pooling(teacher.model))
    wanted = list(dict.fromkeys([final, *also]))
    vectors = [chunk.vectors[final] for chunk in read_states(teacher, side, wanted, context=context)]
    return normalize(torch.from_numpy(np.concatenate(vectors)), dim=1)


def _sides(teacher: LayerReader, data: FitTexts) -> Iterator[PromptedTexts]:
    yield prompted_documents(teacher, data.corpus)
    if data.train is not None:
        yield prompted_queries(teacher, data.train)


def check_width(model: SentenceTransformer, texts: HealTexts) -> None:
    """Check that a cut encoder has the dimension of its teacher.

    Raises:
        ModelError: It has a different one.
    """
    width = model.get_embedding_dimension()
    if width != texts.targets.shape[1]:
        raise ModelError(
            f"the cut has {width} dimensions and its teacher {texts.targets.shape[1]}: give the original of the cut as "
            "--teacher, or use a cut without an adaptor, which then gets a lens"
        )
