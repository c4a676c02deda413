"""Load training rows of an encoder: a BEIR data set's training judgements, or a JSONL or CSV file."""

from dataclasses import dataclass
from pathlib import Path

from adaptors.rows.files import read_tuning_file
from adaptors.rows.rows import Pairwise, Row
from probe.data.dataset import Dataset, Defects
from probe.data.loading import load_dataset
from probe.errors import DataError
from probe.io.column_files import RECORD_FILES

__all__ = ["TuningData", "load_tuning_data"]


@dataclass(frozen=True)
class TuningData:
    """Rows to train on, all of one form.

    Attributes:
        name: The file's or the data set's.
        rows: The rows, in order.
        defects: What was left out, with file and line or id.
        corpus: The data set they come from; None where they come from a file.
    """

    name: str
    rows: tuple[Row, ...]
    defects: tuple[str, ...] = ()
    corpus: Dataset | None = None


def load_tuning_data(name: str, split: str = "train") -> TuningData:
    """Load rows to train on, by name or path.

    Args:
        name: A JSONL or CSV file, or what `load_dataset` takes.
        split: Whose judgements to use of a data set.

    Returns:
        Of a file, the form its columns tell: `query, document, label`; `query, positive` with `negative` or
        `negative_1, negative_2, ...`; `query, documents, labels`. Of a data set, a pair for every relevant document;
        documents that were judged and found not relevant are left out.

    Raises:
        CallError: There is no such file, data set or split.
        DataError: It is malformed, or holds no row.
    """
    path = Path(name)
    if path.suffix.lower() in RECORD_FILES:
        rows: tuple[Row, ...] = tuple(read_tuning_file(path))
        data = TuningData(path.name, rows)
    else:
        data = _pair_judged(load_dataset(name, split))
    if not data.rows:
        raise DataError(f"'{name}' holds nothing to train on: expected at least one row")
    return data


def _pair_judged(dataset: Dataset) -> TuningData:
    relevant = {name for judged in dataset.qrels.values() for name, grade in judged.items() if grade > 0}
    texts = {name: text for name, text in dataset.documents if name in relevant}
    defects, rows = Defects(), []
    for query, asked in dataset.queries:
        for name, grade in dataset.qrels[query].items():
            if grade <= 0 or name not in texts or name == query:
                continue
            if not asked.strip() or not texts[name].strip():
                defects.add("pairs with an empty text (left out)", f"{query} {name}")
                continue
            rows.append(Pairwise(asked, texts[name], (), float(grade), f"{dataset.name}:{query}"))
    return TuningData(dataset.name, tuple(rows), (*dataset.defects, *defects.summarize()), dataset)
