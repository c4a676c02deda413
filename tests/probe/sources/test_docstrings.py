"""The embedded data set: large enough, leak-free, without what differs from process to process."""

import inspect
import re
import sys

import pytest

from probe.data.dataset import Dataset
from probe.errors import CallError
from probe.sources.docstrings import SYNTHETIC, read_docstrings


@pytest.fixture(scope="module")
def docstrings() -> Dataset:
    return read_docstrings()


def test_it_has_thousands_of_documents_each_with_its_query(docstrings: Dataset) -> None:
    assert len(docstrings.documents) > 2000
    assert len(docstrings.queries) == len(docstrings.documents) == len(docstrings.qrels)
    assert docstrings.synthetic == SYNTHETIC


def test_the_query_names_its_document_but_has_another_id(docstrings: Dataset) -> None:
    assert set(docstrings.queries.ids).isdisjoint(docstrings.documents.ids)
    assert docstrings.qrels["? numpy.argsort"] == {"numpy.argsort": 1}


def test_texts_are_unique(docstrings: Dataset) -> None:
    assert len(set(docstrings.documents.texts)) == len(docstrings.documents)
    assert len(set(docstrings.queries.texts)) == len(docstrings.queries)


def test_nothing_made_at_import_is_in_it(docstrings: Dataset) -> None:
    assert not any(re.search(r"at 0x[0-9a-f]{6,}", text) for text in docstrings.documents.texts)


def test_signatures_are_no_queries(docstrings: Dataset) -> None:
    assert not any(re.match(r"[\w.]+\(", text) for text in docstrings.queries.texts)


def test_there_is_only_the_test_split() -> None:
    with pytest.raises(CallError, match="no split 'train'"):
        read_docstrings("train")


def test_what_another_package_puts_into_a_module_of_python_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_docstrings()
    replaced = eval("lambda object: False", {"__name__": None})
    assert replaced.__module__ is None
    monkeypatch.setattr(inspect, "isgenerator", replaced)
    assert "inspect.isgenerator" in before.documents.ids  # type: ignore[attr-defined]
    assert read_docstrings().documents.text_hash == before.documents.text_hash


def test_a_hook_that_another_package_sets_changes_nothing_and_no_stream_is_replaced(
    docstrings: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hook(*args: object) -> None:
        """Handle an uncaught exception in a way of its own.

        Whatever is written here is no part of Python, so that nothing of it may be found among the texts of a data set
        that is to be the same on every machine, whatever was imported before, by whom, and in which order it was.
        """

    hook.__module__ = "elsewhere"
    monkeypatch.setattr(sys, "excepthook", hook)
    streams = sys.stdout, sys.stderr
    assert read_docstrings().text_hash == docstrings.text_hash
    assert (sys.stdout, sys.stderr) == streams
