"""All texts of a data set: documents and every query, judged or not; relevance labels are not read."""

from dataclasses import dataclass
from pathlib import Path

from probe.data.corpus import scan_corpus
from probe.data.dataset import Dataset, Defects, refuse_images
from probe.data.texts import Documents, Texts
from probe.sources.assembly import read_queries
from probe.sources.beir import find_records, find_root, list_files
from probe.sources.loading import find_beir, load_dataset
from probe.sources.saved_tables import find_saved_tables

__all__ = ["DatasetTexts", "holds_dataset", "read_all_texts"]


@dataclass(frozen=True)
class DatasetTexts:
    """The texts of a data set.

    Attributes:
        name: Its name.
        documents: The corpus.
        queries: Queries.
    """

    name: str
    documents: Documents
    queries: Texts


def holds_dataset(folder: Path) -> bool:
    """Return whether a folder is a data set; one in a subfolder does not count, as documents may be beside it."""
    return bool(list_files(folder, "corpus")) or find_saved_tables(str(folder)) is not None


def read_all_texts(dataset: str | Dataset) -> DatasetTexts:
    """Return all texts of a data set.

    Args:
        dataset: A name, path or address as for `load_dataset`, or a loaded data set. In BEIR's format it needs neither
            queries nor relevance labels, and queries of all splits are read; of other forms, those with labels in the
            default split.

    Raises:
        CallError: If it does not exist, or consists of images.
        DataError: If its files are malformed or cannot be downloaded.
    """
    path = None if isinstance(dataset, Dataset) else find_beir(dataset)
    if path is None:
        loaded = dataset if isinstance(dataset, Dataset) else load_dataset(dataset)
        refuse_images(loaded, "the vocabulary")
        return DatasetTexts(loaded.name, loaded.documents, loaded.queries)
    root, defects = find_root(path), Defects()
    queries = read_queries(find_records(root, "queries"), defects)[0] if list_files(root, "queries") else Texts((), ())
    scan = scan_corpus(find_records(root, "corpus"), (), {}, defects=defects)
    return DatasetTexts(str(dataset), scan.corpus, queries)
