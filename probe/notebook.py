"""Boards and data sets in a notebook: as HTML tables, and as pandas data frames."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from probe.errors import CallError
from probe.image_file import shown

if TYPE_CHECKING:
    import pandas as pd

    from probe.dataset import Dataset

__all__ = ["NotebookViews", "dataset_frame", "dataset_html"]

_SHOWN = 5
_LONGEST = 160

_TABLE = """<table><caption style="text-align: left; font-weight: bold">{{ title }}</caption>
<thead><tr>{% for name in header %}<th style="text-align: left">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}
<tr>{% for cell in row %}<td style="text-align: left">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table>
<details><summary>{{ about }}</summary><ul>{% for note in notes %}
<li>{{ note }}</li>{% endfor %}</ul></details>
"""


class NotebookViews:
    """What every board can do in a notebook."""

    def _repr_html_(self) -> str:
        """Return the table and its footer as HTML."""
        from probe.board_texts import board_texts

        texts = board_texts(self)
        about = "Everything that decided these numbers"
        return _fill_table(texts.title, texts.header, texts.cells, (about, texts.notes))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, numbers as numbers.

        Returns:
            A row per row of the table; a leaderboard's columns are those of its CSV.

        Raises:
            CallError: pandas is not installed.
        """
        pandas = _import_pandas()
        flat = getattr(self, "flat_rows", None)
        rows = flat() if flat else [asdict(row) for row in getattr(self, "rows", ())]
        return pandas.DataFrame(rows).convert_dtypes()


def dataset_html(dataset: "Dataset") -> str:
    """Return a data set's counts and first judged queries as HTML."""
    title = f"{dataset.name} ({dataset.split}): {len(dataset.documents)} documents, {len(dataset.queries)} queries"
    texts = dict(dataset.queries)
    rows = [
        [
            query,
            _shorten(shown(texts.get(query, ""))),
            ", ".join(doc for doc, grade in docs.items() if grade > 0)[:_LONGEST],
        ]
        for query, docs in list(dataset.qrels.items())[:_SHOWN]
    ]
    notes = [
        *([f"synthetic queries: {dataset.synthetic}"] if dataset.synthetic else []),
        *(["a part of the corpus"] if dataset.limited else []),
        f"text {dataset.text_hash[:12]}, judgements {dataset.qrels_hash[:12]}",
        *(f"data defect: {defect}" for defect in dataset.defects),
    ]
    return _fill_table(title, ["query id", "query", "relevant documents"], rows, ("About this data set", notes))


def dataset_frame(dataset: "Dataset") -> "pd.DataFrame":
    """Return the judgements of a data set with their texts, a row per judged pair of query and document.

    Raises:
        CallError: pandas is not installed.
    """
    pandas = _import_pandas()
    queries = dict(dataset.queries)
    judged = {doc for docs in dataset.qrels.values() for doc in docs}
    documents = {name: text for name, text in dataset.documents if name in judged}
    rows = [
        (query, queries.get(query), document, documents.get(document), grade)
        for query, docs in dataset.qrels.items()
        for document, grade in docs.items()
    ]
    return pandas.DataFrame(rows, columns=["query_id", "query", "document_id", "document", "grade"])


def _import_pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise CallError(f"a data frame needs pandas: pip install 'encoder-surgery[notebook]' ({error})") from error
    return pandas


def _fill_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], more: tuple[str, Sequence[str]]
) -> str:
    from jinja2 import Environment

    table = Environment(autoescape=True).from_string(_TABLE)
    return table.render(title=title, header=header, rows=rows, about=more[0], notes=more[1])


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
