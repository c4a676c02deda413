"""Texts for healing a cut encoder, with the full model's vectors; no labels are read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.fitting.data import FitTexts, select_fit_data
from adaptors.training.evaluation import evaluation_mode
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
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = [
    "HealData",
    "HealTexts",
    "check_width",
    "draw_batches",
    "embed_texts",
    "gather_heal_texts",
    "load_heal_texts",
]

# Number of batches whose texts are sorted by length together, to reduce padding.
_WINDOW = 16
_MOST_HELD_OUT = 256
_BATCH = 32

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
class HealTexts:
    """Texts with their teacher's vectors.

    Attributes:
        texts: The texts, with prompts.
        targets: The full model's final embeddings, normalized to length 1 `(N, F)`.
        seen: Name of every source data set, and sha256 of its documents.
    """

    texts: tuple[str, ...]
    targets: Tensor
    seen: tuple[tuple[str, str], ...]

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
        return self.pick([row for row, text in enumerate(self.texts) if text not in judging]), self.pick(held)

    def pick(self, rows: Sequence[int]) -> "HealTexts":
        """Return the texts of rows."""
        return replace(self, texts=tuple(self.texts[row] for row in rows), targets=self.targets[list(rows)])


def gather_heal_texts(
    teacher: LayerReader, data: Sequence[FitTexts], store: Store | None = None, *, progress: Progress = silent
) -> HealTexts:
    """Return the full model's vectors of corpora and training queries, from the store if cached.

    Returns:
        The texts, documents before queries, one data set after another.
    """
    final = (teacher.model.depth, own_pooling(teacher.model))
    texts: list[str] = []
    vectors = []
    for side in (side for one in data for side in _sides(teacher, one)):
        vectors += [
            chunk.vectors[final] for chunk in read_states(teacher, side, [final], context=RunContext(store, progress))
        ]
        texts += [side.role.prompt + text for _, text in side.texts]
    targets = normalize(torch.from_numpy(np.concatenate(vectors)), dim=1)
    seen = tuple((one.corpus.name, one.corpus.documents.text_hash) for one in data)
    return HealTexts(tuple(texts), targets, seen)


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


def embed_texts(
    model: SentenceTransformer, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Encode texts with prompts, in evaluation mode.

    Args:
        model: The model.
        texts: N texts.
        progress: Called after every batch with its number of texts and N.

    Returns:
        Unit vectors `(N, D)`.
    """
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    pieces = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    found = []
    with evaluation_mode(model):
        for piece in pieces:
            features = batch_to_device(model.preprocess([texts[row] for row in piece]), model.device)
            found.append(model(features)["sentence_embedding"].float().cpu())
            if progress is not None:
                progress(len(piece), len(texts))
    return normalize(torch.cat(found)[torch.tensor(order).argsort()], dim=1)


def draw_batches(lengths: Sequence[int], batch: int, steps: int, *, seed: int) -> list[list[int]]:
    """Draw batches of texts of similar length; every text is used once before any is repeated.

    Args:
        lengths: Tokens of every text `(N,)`.
        batch: Texts per batch.
        steps: Batches to draw.
        seed: Random seed of the order.
    """
    rng, sizes = np.random.default_rng(seed), np.array(lengths)
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        order = rng.permutation(len(sizes))
        windows = [order[start : start + batch * _WINDOW] for start in range(0, len(order), batch * _WINDOW)]
        pieces = [
            rows[start : start + batch].tolist()
            for rows in (window[np.argsort(sizes[window], kind="stable")] for window in windows)
            for start in range(0, len(rows), batch)
        ]
        drawn += [pieces[index] for index in rng.permutation(len(pieces))]
    return drawn[:steps]
