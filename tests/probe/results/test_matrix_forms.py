"""Several data sets in one table, as Markdown, CSV, data frame, HTML and text."""

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from set_boards import LAYERS, NAMES, RIVALS, make_board, make_matrix
from typer.testing import CliRunner

import cli
from probe.errors import CallError
from probe.results.console import View, print_result
from probe.results.matrix import DatasetMatrix


@pytest.fixture(scope="module")
def matrix() -> DatasetMatrix:
    return make_matrix(3, RIVALS)


def table_of(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [line.strip("|").split("|") for line in lines]


def test_markdown_sets_numbers_flush_right_and_has_no_odd_blanks(matrix: DatasetMatrix) -> None:
    markdown = matrix.to_markdown()
    header, sides, *rows = table_of(markdown)
    named = dict(zip((cell.strip() for cell in header), (cell.strip() for cell in sides), strict=False))
    assert [named[name] for name in ("encoder", "adaptor", "note")] == ["---"] * 3
    assert [named[name] for name in ("dim", "mean", "arguana", "Δ", "p", "95% CI")] == ["---:"] * 6
    for cell in (cell for line in (header, sides, *rows) for cell in line):
        assert cell == (f" {cell.strip()} " if cell.strip() else " ")
    assert "  " not in markdown.split("\n\n")[0]
    assert len({len(line) for line in (header, sides, *rows)}) == 1


def test_markdown_explains_its_marks_and_its_scores(matrix: DatasetMatrix) -> None:
    notes = matrix.to_markdown().split("\n\n")[-1]
    assert "▲▼: significantly better, worse than the baseline" in notes
    assert "▲ = ▼: number of data sets where" in notes
    assert "scores: nDCG@10; mean: every data set counts the same" in notes
    assert "p: paired" in notes


def test_markdown_leaves_out_empty_columns_unless_they_are_asked_for(matrix: DatasetMatrix) -> None:
    header = [cell.strip() for cell in table_of(matrix.to_markdown())[0]]
    assert "ms/text" not in header
    assert "Δ pca, p" not in header
    assert table_of(matrix.to_markdown(("encoder", "ms")))[0] == [" encoder ", " ms/text "]


def test_the_table_of_notes_is_a_choice_of_columns(matrix: DatasetMatrix) -> None:
    header, sides, *rows = table_of(matrix.to_markdown(("encoder", "dim", "params", "climate-fever", "arguana")))
    assert header == [" encoder ", " dim ", " params ", " climate-fever ", " arguana "]
    assert sides == [" --- ", *[" ---: "] * 4]
    row = matrix.rows[0]
    score = matrix.score_on(row, "arguana")
    assert rows[0] == [f" {row.encoder} ", " 8 ", " 1.0M ", rows[0][3], f" {score.score:.4f}{score.sign} "]
    with pytest.raises(CallError, match=r"unknown column 'foo': expected some of .*arguana, delta:arguana"):
        matrix.to_markdown(("foo",))


def test_every_column_has_one_name_in_csv_and_frame(matrix: DatasetMatrix) -> None:
    header, *lines = csv.reader(io.StringIO(matrix.to_csv()))
    assert len(set(header)) == len(header)
    assert len(lines) == len(matrix.rows)
    frame = matrix.to_pandas()
    assert frame.columns.tolist() == header
    assert frame.columns.is_unique
    for name in matrix.datasets:
        assert frame[f"{name} ndcg@10"].tolist() == [matrix.score_on(row, name).score for row in matrix.rows]
        assert frame[f"{name} delta"].isna().sum() == 1
        assert str(frame[f"{name} p_value"].dtype) == "Float64"
    assert frame["ndcg@10"].tolist() == [row.scores["ndcg@10"] for row in matrix.rows]


def test_html_sets_numbers_flush_right_and_has_every_score(matrix: DatasetMatrix) -> None:
    html = matrix._repr_html_()
    assert html.count("<tr>") == len(matrix.rows) + 1
    for row in matrix.rows:
        for name in matrix.datasets:
            score = matrix.score_on(row, name)
            assert f'<td style="text-align: right; white-space: nowrap">{score.score:.4f}{score.sign}</td>' in html
    assert f'<td style="text-align: left">{RIVALS[1].encoder}</td>' in html
    assert "ms/text" not in html


def test_python_prints_every_data_set_however_many_they_are() -> None:
    text = repr(make_matrix(15))
    assert text.startswith("nDCG@10 on 15 data sets: arguana (test), ")
    assert all(re.search(rf"^ .*\b{re.escape(name)}\b", text, re.MULTILINE) for name in NAMES)
    tables = text.partition("Mean of 15 data sets")[0].partition("\n\n")[2]
    assert max(map(len, tables.splitlines())) <= 100
    assert all(tables.count(row.encoder) == tables.count(" encoder ") for row in LAYERS)


def test_scores_with_and_without_a_mark_are_aligned_in_a_terminal(matrix: DatasetMatrix) -> None:
    out = io.StringIO()
    print_result(matrix, Console(file=out, width=160), View(columns=("encoder", "arguana")))
    lines = [line for line in out.getvalue().splitlines() if re.search(r"0\.\d{4}", line)]
    assert len({re.search(r"0\.\d{4}", line).start() for line in lines}) == 1  # type: ignore[union-attr]
    assert any("▼" in line for line in lines)


def test_numbers_are_flush_right_in_a_terminal(matrix: DatasetMatrix) -> None:
    out = io.StringIO()
    print_result(matrix, Console(file=out, width=160), View(columns=("encoder", "delta:arguana", "note")))
    table = [line for line in out.getvalue().splitlines() if re.match(r"\s*(tiny|\./models)\S* ", line)]
    ends = {re.match(r"\s*\S+\s+\S+", line).end() for line in table}  # type: ignore[union-attr]
    assert len(table) == len(matrix.rows)
    assert len(ends) == 1


def test_columns_of_data_sets_may_be_named_on_the_command_line(
    tiny_folder: object, tmp_path: Path, dataset_folders: tuple[str, str]
) -> None:
    model = str(tiny_folder("bert"))  # type: ignore[operator]
    common = ["rank", f"{model}@2:mean", f"{model}@1:mean", "--no-store", "-f", "markdown"]
    data = [part for folder in dataset_folders for part in ("-d", folder)]
    found = CliRunner().invoke(cli.probe_app, [*common, *data, "--columns", "encoder,Two,one"])
    assert found.exit_code == 0, found.stderr
    assert found.stdout.startswith("| encoder | two | one |\n| --- | ---: | ---: |\n")
    wrong = CliRunner().invoke(cli.probe_app, [*common, *data, "--columns", "encoder,three"])
    assert wrong.exit_code == 2
    assert "unknown column 'three': expected some of rank, encoder, " in wrong.stderr
    assert "Cache" not in wrong.stderr
    alone = CliRunner().invoke(cli.probe_app, [*common, *data[:2], "--columns", "encoder,one"])
    assert alone.exit_code == 2
    assert "unknown column 'one'" in alone.stderr


@pytest.fixture(scope="module")
def dataset_folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    from tiny_data import make_dataset, write_lines

    folder = tmp_path_factory.mktemp("sets")
    paths = make_dataset(folder / "one"), make_dataset(folder / "two")
    corpus = paths[1] / "corpus.jsonl"
    write_lines(corpus, [*corpus.read_text().splitlines(), '{"_id": "more", "title": "", "text": "another text"}'])
    return str(paths[0]), str(paths[1])


def test_a_single_data_set_is_set_as_before_with_numbers_flush_right() -> None:
    board = make_board("arguana")
    header, sides, *_ = table_of(board.to_markdown())
    assert dict(zip(header, sides, strict=True))[" nDCG@10 "] == " ---: "
    assert table_of(replace(board, rows=board.rows[:1]).to_markdown())[0][:2] == [" # ", " encoder "]
