"""Summary of a data set."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from rich.text import Text

from probe.data.dataset import Dataset
from probe.data.images import ImageFile, shown
from probe.data.texts import Documents

__all__ = ["DataSummary", "summarize", "summarize_images", "summary_table"]

_EXAMPLE_CHARACTERS = 300


@dataclass(frozen=True)
class DataSummary:
    """Counts, lengths and an example of a data set.

    Attributes:
        name: Name of the data set.
        split: Split of the relevance labels.
        documents: Number of documents.
        queries: Number of queries with relevance labels.
        judgements: Number of relevance labels, grade 0 included.
        relevant_per_query: Minimum, mean and maximum number of relevant documents per query.
        document_words: Words per document at the 0th, 25th, 50th, 75th and 100th percentile; None for images.
        query_words: The same for queries.
        images: The side that consists of images, `documents` or `queries`; None without images.
        image_sizes: For images, the result of `summarize_images`.
        example_query: The first query.
        example_document: Beginning of a document relevant to it.
        synthetic: How the queries were generated; empty for queries asked by people.
        text_sha256: Hash of all texts and ids.
        defects: Non-fatal defects of the files.
    """

    name: str
    split: str
    documents: int
    queries: int
    judgements: int
    relevant_per_query: tuple[float, float, float]
    document_words: tuple[int, ...] | None
    query_words: tuple[int, ...] | None
    images: str | None
    image_sizes: dict[str, Any] | None
    example_query: str
    example_document: str
    synthetic: str
    text_sha256: str
    defects: tuple[str, ...]


def summarize(dataset: Dataset) -> DataSummary:
    """Count a data set, measure its texts or images, and take an example."""
    relevant = [sum(grade > 0 for grade in docs.values()) for docs in dataset.qrels.values()]
    images = {"documents": dataset.documents, "queries": dataset.queries}.get(dataset.images)
    return DataSummary(
        name=dataset.name,
        split=dataset.split,
        documents=len(dataset.documents),
        queries=len(dataset.queries),
        judgements=sum(len(docs) for docs in dataset.qrels.values()),
        relevant_per_query=(min(relevant), round(float(np.mean(relevant)), 2), max(relevant)),
        document_words=None if dataset.images == "documents" else _words(dataset.documents),
        query_words=None if dataset.images == "queries" else _words(dataset.queries),
        images=dataset.images or None,
        image_sizes=None if images is None else summarize_images(images),
        example_query=shown(dataset.queries.texts[0]),
        example_document=_find_example(dataset),
        synthetic=dataset.synthetic,
        text_sha256=dataset.text_hash,
        defects=dataset.notices,
    )


def _words(texts: Documents) -> tuple[int, ...]:
    return _percentiles([len(text.split()) for _, text in texts])


def _percentiles(values: list[int]) -> tuple[int, ...]:
    return tuple(int(value) for value in np.percentile(values, [0, 25, 50, 75, 100]))


def summarize_images(images: Documents) -> dict[str, Any]:
    """Summarize the sizes and modes of images from their headers.

    Returns:
        `width` and `height` at the 0th, 25th, 50th, 75th and 100th percentile, before EXIF rotation; `modes` (Pillow's
        names) with their counts, most frequent first.

    Raises:
        DataError: If an image is no longer readable.
    """
    from probe.io.image_pixels import read_header

    headers = [read_header(image.path, name) for name, image in images if isinstance(image, ImageFile)]
    modes = Counter(header.mode for header in headers)
    return {
        "width": _percentiles([header.width for header in headers]),
        "height": _percentiles([header.height for header in headers]),
        "modes": {mode: modes[mode] for mode in sorted(modes, key=lambda mode: (-modes[mode], mode))},
    }


def _find_example(dataset: Dataset) -> str:
    grades = dataset.qrels[dataset.queries.ids[0]]
    relevant = {document for document, grade in grades.items() if grade > 0}
    text = shown(next((text for document, text in dataset.documents if document in relevant), ""))
    return text[:_EXAMPLE_CHARACTERS] + ("…" if len(text) > _EXAMPLE_CHARACTERS else "")


def summary_table(summary: DataSummary, more: Mapping[str, str] | None = None) -> Table:
    """Return the summary as a rich table, with further rows first."""
    least, mean, most = summary.relevant_per_query
    table = Table(title=f"{summary.name} ({summary.split})", show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    rows = {
        **(more or {}),
        "documents": f"{summary.documents}{' images' if summary.images == 'documents' else ''}",
        "queries": f"{summary.queries}{' images' if summary.images == 'queries' else ''}, with relevance labels",
        "origin of queries": f"generated ({summary.synthetic})" if summary.synthetic else "not marked as generated",
        "relevance labels": f"{summary.judgements}; relevant documents per query: {least} to {most}, mean {mean}",
        **_lengths(summary),
        "example query": summary.example_query,
        "example document": summary.example_document or "none of its relevant documents is in the corpus",
        "text sha256": summary.text_sha256,
        "defects": "\n".join(summary.defects) or "none found",
    }
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return table


def _lengths(summary: DataSummary) -> dict[str, str]:
    words = {"words per document": summary.document_words, "words per query": summary.query_words}
    rows = {name: _spread(values) for name, values in words.items() if values is not None}
    sizes = summary.image_sizes
    if sizes is None:
        return rows
    pixels = {f"image {side}": f"{_spread(sizes[side])} pixels" for side in ("width", "height")}
    return {**pixels, "image modes": ", ".join(f"{count} {mode}" for mode, count in sizes["modes"].items()), **rows}


def _spread(values: tuple[int, ...]) -> str:
    return f"{values[2]} (median), {values[1]} to {values[3]} (middle half), {values[0]} to {values[4]}"
