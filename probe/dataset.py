"""Data sets: documents, judged queries and judgements, from wherever they are named."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from probe.errors import CallError, DataError, did_you_mean
from probe.locations import is_url
from probe.texts import Documents, TextHash, Texts, select

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DEFAULT_DATASET", "ID_RULE", "TITLE_RULE", "Dataset", "Qrels", "load_dataset"]

Qrels = dict[str, dict[str, int]]

DEFAULT_DATASET = "docstrings"
TITLE_RULE = "title + ' ' + text"
ID_RULE = "a document with the query's own id is dropped"


@dataclass(frozen=True)
class Dataset:
    """A retrieval data set in BEIR's terms, for one split.

    Attributes:
        name: Folder's or archive's name, or BEIR's.
        split: Whose judgements these are.
        documents: The corpus, each text by the title rule; read as a stream.
        queries: The judged queries only.
        qrels: Grade per query id and document id; grade 0 is judged and not relevant.
        synthetic: How the queries were made, where nobody asked them; else empty.
        defects: What is wrong with the files without making them useless, with file and line.
        limited: Whether documents were left out by `limit`.
        images: Which side's texts are images (`ImageFile`): `documents`, `queries`, or neither.
    """

    name: str
    split: str
    documents: Documents
    queries: Texts
    qrels: Qrels
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False
    images: str = ""

    @cached_property
    def text_hash(self) -> str:
        """sha256 over ids and texts of documents and queries."""
        return TextHash.of([(self.documents.text_hash, self.queries.text_hash)])

    @cached_property
    def qrels_hash(self) -> str:
        """sha256 over the judgements."""
        rows = [(q, d, str(grade)) for q, docs in self.qrels.items() for d, grade in docs.items()]
        return TextHash.of(sorted(rows))

    def _repr_html_(self) -> str:
        """Return the counts and the first judged queries as HTML."""
        from probe.notebook import dataset_html

        return dataset_html(self)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the judgements with their texts, a row per judged pair of query and document.

        Raises:
            CallError: pandas is not installed.
        """
        from probe.notebook import dataset_frame

        return dataset_frame(self)

    def judgements_per_query(self) -> Counter[int]:
        """Count the queries by their number of relevant documents."""
        return Counter(sum(grade > 0 for grade in docs.values()) for docs in self.qrels.values())


def load_dataset(name: str, split: str | None = None, limit: int | None = None) -> Dataset:
    """Load a data set by name or path.

    Args:
        name: `docstrings`, a BEIR name, a BEIR folder, its URL, or a zip of one; or a folder of images with captions,
            `DIR:captions` where the captions are searched, not the images.
        split: Whose judgements to use; `test` when left out, or the only one there is.
        limit: Keep about this many documents; every judged one is kept, however many those are.

    Returns:
        The data set.

    Raises:
        CallError: There is no such data set or split.
        DataError: Its files are malformed, or it cannot be downloaded.
    """
    dataset = _load(name, split)
    if not dataset.qrels:
        raise DataError(f"'{name}' has no judged query for the split '{dataset.split}': nothing can be scored")
    if not len(dataset.documents):
        raise DataError(f"'{name}' has no documents: nothing can be retrieved")
    return dataset if limit is None else _limit(dataset, limit)


def _load(name: str, split: str | None) -> Dataset:
    from probe.beir_format import read_beir
    from probe.image_folder import find_image_folder, read_image_folder

    images = find_image_folder(name)
    if images is not None:
        return read_image_folder(images, split)
    if os.path.exists(name) or is_url(name):
        return read_beir(name, split)
    if name == DEFAULT_DATASET:
        from probe.docstrings import read_docstrings

        return read_docstrings(split)
    return read_beir(_fetch(name), split, name=name)


def _fetch(name: str) -> str:
    from probe.download import beir_names, download_beir

    if name in beir_names():
        return str(download_beir(name))
    if os.sep in name or name.endswith(".zip") or name.startswith("."):
        raise CallError(f"there is no data set at '{name}': expected a BEIR folder, a zip of one, or a name")
    raise CallError(f"unknown data set '{name}': {did_you_mean(name, [DEFAULT_DATASET, *beir_names()])}")


def _limit(dataset: Dataset, limit: int) -> Dataset:
    if limit < 1:
        raise CallError(f"--limit {limit} is out of range: expected at least 1 document")
    if limit >= len(dataset.documents):
        return dataset
    judged = {doc for docs in dataset.qrels.values() for doc in docs}
    kept = select(dataset.documents, judged, limit)
    return replace(dataset, documents=kept, limited=len(kept) < len(dataset.documents))
