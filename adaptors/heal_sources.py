"""What a cut encoder is healed on, by name: data sets, and any text files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adaptors.gathering import FitTexts, select_fit_data
from probe.dataset import Dataset, refuse_images
from probe.dataset_loading import load_dataset
from probe.errors import DataError
from probe.passages import DOCUMENT_FILES, list_documents, read_passages
from probe.record_files import RECORD_FILES, column_text, read_columns
from probe.texts import Texts

__all__ = ["load_heal_texts"]


def load_heal_texts(names: Sequence[str]) -> list[FitTexts]:
    """Load texts to heal on; no judgement is looked at.

    Args:
        names: Text, Markdown, JSONL or CSV files, or what `load_dataset` takes.

    Returns:
        One value per name. Of a data set, the documents and the queries of its training split. Of a text or Markdown
        file, passages of about 150 words under their headings; of a JSONL or CSV file, the column `text`, whole; each
        text once.

    Raises:
        CallError: There is no such file or data set.
        DataError: It is malformed, or holds no text.
    """
    return [_load(name) for name in names]


def _load(name: str) -> FitTexts:
    path = Path(name)
    if path.suffix.lower() in DOCUMENT_FILES and not path.is_dir():
        return FitTexts(_read_file(path))
    dataset = load_dataset(name)
    refuse_images(dataset, "healing")
    return select_fit_data(name, dataset, "none")


def _read_file(path: Path) -> Dataset:
    """Return a file's texts as documents that nobody asks for."""
    texts = tuple(dict.fromkeys(text for file in list_documents(path) for text in _texts(file) if text))
    if not texts:
        raise DataError(f"'{path}' holds no text: expected at least one")
    ids = tuple(str(number) for number in range(1, len(texts) + 1))
    return Dataset(path.name, split="", documents=Texts(ids, texts), queries=Texts((), ()), qrels={})


def _texts(path: Path) -> Iterator[str]:
    if path.suffix.lower() in RECORD_FILES:
        return (column_text(record, "text", place) for place, record in read_columns(path, ("text",)))
    return (f"{passage.title} {passage.text}".strip() for passage in read_passages(path))
