"""Results and data sets in a notebook: HTML with their numbers, data frames with the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from report_pages import Reported, make_results

from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.errors import CallError
from probe.results.leaderboard import Leaderboard
from probe.results.load import read_result
from probe.sources.loading import load_dataset


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> Reported:
    return make_results(tmp_path_factory.mktemp("notebook"), tiny_folder)


def test_every_board_shows_its_cells_and_footer(made: Reported) -> None:
    for file in (made.layers, made.geometry, made.ladder, made.classify):
        board = read_result(file)
        html = board._repr_html_()
        assert html.count("<tr>") == len(board.rows) + 1
        assert all(row.encoder in html for row in board.rows)
        assert board.settings["models"][0]["weights_sha256"][:12] in html


def test_a_leaderboard_shows_the_cells_of_its_table(made: Reported) -> None:
    board = read_result(made.layers)
    assert isinstance(board, Leaderboard)
    html = board._repr_html_()
    assert all(cell.replace("<", "&lt;") in html for row in board.cells()[1] for cell in row)


def test_a_frame_has_the_numbers_of_the_rows(made: Reported) -> None:
    board = read_result(made.layers)
    frame = board.to_pandas()
    assert isinstance(board, Leaderboard)
    assert frame["ndcg@10"].tolist() == [row.scores["ndcg@10"] for row in board.rows]
    assert [int(layer) for layer in frame["layer"]] == [row.layer for row in board.rows]
    assert frame.columns.tolist() == board.to_csv().splitlines()[0].split(",")
    classified = read_result(made.classify)
    assert classified.to_pandas()["encoder"].tolist() == [row.encoder for row in classified.rows]


def test_a_data_set_shows_itself(dataset: Dataset) -> None:
    html = dataset._repr_html_()
    assert f"{len(dataset.documents)} documents" in html
    assert all(query in html for query in list(dataset.qrels)[:5])
    assert all(dict(dataset.queries)[query] in html for query in list(dataset.qrels)[:5])


def test_words_of_a_data_set_are_never_taken_for_html(dataset: Dataset) -> None:
    evil = replace(dataset, queries=Texts(dataset.queries.ids, ("<img src=x>",) * len(dataset.queries)))
    assert "<img" not in evil._repr_html_()


def test_a_frame_of_judgements_has_their_texts(dataset: Dataset) -> None:
    frame = dataset.to_pandas()
    texts, queries = dict(dataset.documents), dict(dataset.queries)
    assert len(frame) == sum(len(found) for found in dataset.qrels.values())
    for row in frame.itertuples():
        assert row.grade == dataset.qrels[row.query_id][row.document_id]
        assert (row.query, row.document) == (queries[row.query_id], texts[row.document_id])


def test_the_embedded_data_set_says_that_it_is_synthetic() -> None:
    assert "synthetic queries: known-item" in load_dataset("docstrings")._repr_html_()


def test_without_pandas_the_extra_is_named(dataset: Dataset, without: Callable[[str], None]) -> None:
    without("pandas")
    with pytest.raises(CallError, match=r"pip install 'encoder-surgery\[notebook\]'"):
        dataset.to_pandas()
