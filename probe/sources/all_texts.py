"""All texts of a data set: documents and every query, judged or not; relevance labels are not read."""

import os
from dataclasses import dataclass
from pathlib import Path

from probe.data.corpus import scan_corpus
from probe.data.dataset import DEFAULT_DATASET, Dataset, Defects, refuse_images
from probe.data.texts import Documents, Texts
from probe.io.locations import is_url
from probe.sources.beir import find_records, find_root, list_files, read_queries
from probe.sources.loading import find_or_fetch, load_dataset

__all__ = ["DatasetTexts", "holds_corpus", "read_all_texts"]


@dataclass(frozen=True)
class DatasetTexts:
    """The texts of a data set.

    Attributes:
        name: Its name.
        documents: The corpus.
        queries: All queries.
    """

    name: str
    documents: Documents
    queries: Texts


def holds_corpus(folder: Path) -> bool:
    """Return whether a folder is a data set in BEIR's format, or holds one in a subfolder."""
    inner = (child for child in folder.iterdir() if child.is_dir())
    return any(list_files(one, "corpus") for one in (folder, *inner))


def read_all_texts(dataset: str | Dataset) -> DatasetTexts:
    """Return all texts of a data set.

    Args:
        dataset: `docstrings`, a BEIR name, a BEIR folder with or without queries, a zip or a URL of one; or a loaded
            data set, of which only the queries with relevance labels are known.

    Raises:
        CallError: If it does not exist, or consists of images.
        DataError: If its files are malformed or cannot be downloaded.
    """
    if isinstance(dataset, Dataset) or dataset == DEFAULT_DATASET:
        loaded = load_dataset(dataset) if isinstance(dataset, str) else dataset
        refuse_images(loaded, "the vocabulary")
        return DatasetTexts(loaded.name, loaded.documents, loaded.queries)
    is_path = os.path.exists(dataset) or is_url(dataset)
    root, defects = find_root(dataset if is_path else find_or_fetch(dataset)), Defects()
    queries = read_queries(find_records(root, "queries"), defects)[0] if list_files(root, "queries") else Texts((), ())
    scan = scan_corpus(find_records(root, "corpus"), (), {}, defects=defects)
    return DatasetTexts(dataset, scan.corpus, queries)
