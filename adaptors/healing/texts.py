"""Texts that a cut encoder is healed on, with the full model's vectors; no label is read."""

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
from probe.data.loading import load_dataset
from probe.data.texts import Texts
from probe.documents.passages import DOCUMENT_FILES, list_documents, read_passages
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
from probe.errors import CallError, DataError, ModelError, check_type, wrong_type
from probe.io.column_files import RECORD_FILES, column_text, read_columns
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

# Batches whose texts are sorted by length together, so that little of a batch is padding.
_WINDOW = 16
_MOST_HELD_OUT = 256
_BATCH = 32

# Texts as a caller may give them.
HealData = str | Path | Dataset | Sequence[str | Path | Dataset] | Mapping[str, Sequence[str]]


def load_heal_texts(data: HealData) -> list[FitTexts]:
    """Load texts to heal on; judgements are not used.

    Args:
        data: Text, Markdown, JSONL or CSV files, or what `load_dataset` takes or gave; one or several. A mapping from a
            name to texts stands for those.

    Returns:
        One value per name. Of a data set, the documents and the queries of its training split. Of a text or Markdown
        file, passages of about 150 words under their headings; of a JSONL or CSV file, the column `text`, whole; each
        text once.

    Raises:
        CallError: There is no such file or data set.
        DataError: It is malformed, or holds no text.
    """
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
    if path.suffix.lower() in DOCUMENT_FILES and not path.is_dir():
        return FitTexts(_read_file(path))
    dataset = load_dataset(name)
    refuse_images(dataset, "healing")
    return select_fit_data(name, dataset, "none")


def _read_file(path: Path) -> Dataset:
    """Return a file's texts as documents without queries."""
    return _as_documents(path.name, [text for file in list_documents(path) for text in _texts(file)], str(path))


def _as_documents(name: str, given: Sequence[str], source: str = "") -> Dataset:
    check_type("texts", given, Sequence, expected="a list of strings")
    others = [text for text in given if not isinstance(text, str)]
    if isinstance(given, str) or others:
        raise wrong_type("texts", others[0] if others else given, "a list of strings")
    texts = tuple(dict.fromkeys(text for text in given if text))
    if not texts:
        raise DataError(f"'{source or name}' holds no text: expected at least one")
    ids = tuple(str(number) for number in range(1, len(texts) + 1))
    return Dataset(name, split="", documents=Texts(ids, texts), queries=Texts((), ()), qrels={})


def _texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() in RECORD_FILES:
        return (column_text(record, "text", location) for location, record in read_columns(path, ("text",)))
    return (f"{passage.title} {passage.text}".strip() for passage in read_passages(path))


@dataclass(frozen=True)
class HealTexts:
    """Texts with their teacher's vectors.

    Attributes:
        texts: The texts, with their prompts before them.
        targets: The full model's final embeddings of length 1 `(N, F)`.
        seen: Name of every data set they come from, and sha256 of its documents.
    """

    texts: tuple[str, ...]
    targets: Tensor
    seen: tuple[tuple[str, str], ...]

    def distinct_rows(self) -> list[int]:
        """Return one row of every different text."""
        return list({text: row for row, text in enumerate(self.texts)}.values())

    def hold_out(self, seed: int) -> tuple["HealTexts", "HealTexts"]:
        """Return texts to train on, and different ones that only judge: a tenth, 256 at most.

        Raises:
            CallError: There are not two different texts.
        """
        different = self.distinct_rows()
        if len(different) < 2:
            raise CallError(f"healing needs at least 2 different texts, found {len(different)}")
        count = min(_MOST_HELD_OUT, max(1, len(different) // 10))
        held = np.random.default_rng(seed).choice(different, count, replace=False).tolist()
        judging = {self.texts[row] for row in held}
        return self._pick([row for row, text in enumerate(self.texts) if text not in judging]), self._pick(held)

    def _pick(self, rows: Sequence[int]) -> "HealTexts":
        return replace(self, texts=tuple(self.texts[row] for row in rows), targets=self.targets[list(rows)])


def gather_heal_texts(
    teacher: LayerReader, data: Sequence[FitTexts], store: Store | None = None, *, progress: Progress = silent
) -> HealTexts:
    """Read the full model's vectors of corpora and training queries, from the store where they are there.

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
    """Refuse a cut encoder whose vectors have another dimension than its teacher's.

    Raises:
        ModelError: They have another.
    """
    width = model.get_embedding_dimension()
    if width != texts.targets.shape[1]:
        raise ModelError(
            f"it gives vectors of {width} dimensions, and its teacher of {texts.targets.shape[1]}: name the model that "
            "it was cut from as --teacher, or a cut without an adaptor of its own, which gets a map on the way"
        )


def embed_texts(
    model: SentenceTransformer, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Embed texts, which have their prompts already, in evaluation mode.

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
    """Draw batches of texts that are about equally long; every text comes once before any comes again.

    Args:
        lengths: Tokens of every text `(N,)`.
        batch: Texts in a batch.
        steps: Batches to draw.
        seed: Of the order.
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
