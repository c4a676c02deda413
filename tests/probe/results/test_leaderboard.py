"""The leaderboard's forms: JSON with every key, always, CSV, Markdown, and tables that fit their console."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probe.results.charts import chart_leaderboard
from probe.results.console import print_result
from probe.results.leaderboard import Leaderboard, Row
from probe.results.load import read_result
from probe.results.row import Reading

ROW_KEYS = [
    "rank",
    "encoder",
    "layer",
    "pooling",
    "dim",
    "adaptor",
    "labels",
    "transductive",
    "scores",
    "ci95",
    "delta",
    "p_value",
    "published",
    "collapsed",
    "cost",
    "ms_per_text",
    "parameters",
    "fit_seconds",
    "pca_delta",
    "pca_p_value",
    "bits",
    "mixed",
    "query_bits",
    "bytes",
    "compression",
    "rescore",
    "front",
    "hookpoints",
    "note",
    "population_ci95",
    "datasets",
    "retention",
]


def make_row(rank: int, layer: int, score: float, **more: Any) -> Row:
    scores = {"ndcg@10": score, "recall@100": score / 2}
    return Row(rank, f"minilm@{layer}:mean", layer, "mean", 384, scores=scores, ci95=(score - 0.1, score + 0.1), **more)


@pytest.fixture
def board() -> Leaderboard:
    model = {
        "name": "minilm",
        "hub_id": "owner/minilm",
        "revision": "0123456789abcdef",
        "own_pooling": "mean",
        "weights_sha256": "a" * 64,
        "tokenizer_sha256": "b" * 64,
        "query_prompt": "query: ",
        "document_prompt": "",
        "max_tokens": 256,
        "dtype": "float32",
        "device": "cpu",
        "truncated_documents": 7,
        "truncated_queries": 1,
        "notes": ["a note"],
        "batches": "4096 tokens of 1024 texts",
        "rounding": "float16",
        "vector_key": "c" * 64,
    }
    data = {
        "name": "notes",
        "split": "test",
        "documents": 9,
        "queries": 3,
        "limited": False,
        "synthetic": "known-item",
        "text_sha256": "d" * 64,
        "qrels_sha256": "e" * 64,
        "defects": ["1 empty documents: corpus.jsonl:3"],
        "title_rule": "title + ' ' + text",
        "id_rule": "own id dropped",
    }
    statistics = {"interval": "bootstrap", "test": "paired", "resamples": 10, "seed": 0, "versions": {"torch": "2"}}
    settings = {
        "metric": "ndcg@10",
        "metrics": ["ndcg@10", "recall@100"],
        "baseline": "minilm@6:mean",
        "similarity": "cosine",
        "ties": "id",
        "models": [model],
        "dataset": data,
        "statistics": statistics,
    }
    rows = (
        make_row(1, 6, 0.64508, published=0.64508, ms_per_text=31.7, parameters=22_565_376, cost=1.0),
        make_row(2, 5, 0.18, delta=-0.465, p_value=0.0001, ms_per_text=26.5, parameters=20_790_912, cost=0.84),
        make_row(
            3, 0, 0.1, delta=-0.545, p_value=0.4, collapsed=True, ms_per_text=0.1, parameters=11_918_592, cost=0.01
        ),
    )
    return Leaderboard("probe layers", "2026-01-01T00:00:00+00:00", settings, rows)


def draw(board: Leaderboard, width: int) -> str:
    out = io.StringIO()
    print_result(board, Console(file=out, width=width, highlight=False))
    return out.getvalue()


def test_json_has_every_key_of_the_contract(board: Leaderboard) -> None:
    value = json.loads(board.to_json())
    assert list(value) == ["schema", "kind", "command", "created", "settings", "rows", "verdict", "notices", "examples"]
    assert (value["schema"], value["kind"]) == (1, "leaderboard")
    assert all(list(row) == ROW_KEYS for row in value["rows"])
    assert value["rows"][0]["ci95"] == pytest.approx([0.54508, 0.74508])
    assert value["rows"][0]["p_value"] is None


def test_csv_has_a_column_per_metric_and_a_line_per_row(board: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO(board.to_csv())))
    assert [row["encoder"] for row in rows] == ["minilm@6:mean", "minilm@5:mean", "minilm@0:mean"]
    assert float(rows[1]["ndcg@10"]) == 0.18
    assert float(rows[1]["ci95_low"]) == pytest.approx(0.08)
    assert rows[0]["delta"] == ""


def test_markdown_is_a_table_with_its_footer(board: Leaderboard) -> None:
    lines = board.to_markdown().splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert "minilm@5:mean" in lines[3]
    assert "SYNTHETIC" in board.to_markdown()


def test_the_note_of_a_row_is_in_every_form(board: Leaderboard) -> None:
    first = replace(board.rows[0], note="fitted to few texts; more of it")
    board = replace(board, rows=(first, *board.rows[1:]))
    notes = ["baseline; fitted to few texts; more of it", None, "collapsed"]
    assert [row["note"] for row in json.loads(board.to_json())["rows"]] == notes
    assert [row["note"] or None for row in csv.DictReader(io.StringIO(board.to_csv()))] == notes
    assert [row["note"] for row in board.flat_rows()] == notes
    lines = board.to_markdown().splitlines()
    assert [line.split("|")[-2].strip() or None for line in lines[2:5]] == notes
    assert json.loads(board.to_json())["notices"] == board.warnings()


def test_a_note_that_was_saved_is_not_said_twice(board: Leaderboard, tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text(board.to_json())
    again = read_result(tmp_path / "saved.json")
    assert again.to_json() == board.to_json()


def test_a_plus_or_an_at_sign_in_a_folders_name_splits_no_row(board: Leaderboard) -> None:
    names = ["./a+b", "./c@text"]
    rows = [
        Row(
            number,
            f"{name}@{layer}:mean",
            layer,
            "mean",
            8,
            scores={"ndcg@10": 0.5, "recall@100": 0.5},
            hookpoints=(Reading(name, layer, "mean"),),
        )
        for number, (name, layer) in enumerate([(name, layer) for name in names for layer in range(3)], start=1)
    ]
    pairs = [(Reading("./a+b", i, "mean"), Reading("m", j, "cls")) for i in range(2) for j in range(2)]
    rows += [
        Row(9, "+".join(point.spec for point in pair), scores={"ndcg@10": 0.4, "recall@100": 0.5}, hookpoints=pair)
        for pair in pairs
    ]
    # A saved folder has its own name, whatever it reads.
    rows.append(Row(10, "./f+g", scores={"ndcg@10": 0.1, "recall@100": 0.5}, hookpoints=pairs[0]))
    board = replace(board, rows=tuple(rows))
    assert [line.split("  ")[0] for line in board.notes()[:2]] == [f"layer curve {name}:mean" for name in names]
    (grid,) = board.grids()
    assert (grid.first, grid.second, len(grid.values)) == ("./a+b:mean", "m:cls", 4)
    assert [curve.name for curve in chart_leaderboard(board).curves] == [f"{name}:mean" for name in names]
    assert draw(board, 120)


def test_a_saved_folder_has_a_series_of_its_own(board: Leaderboard) -> None:
    row = Row(1, "./x@y", 2, "mean", 8, adaptor="lens", scores={}, hookpoints=(Reading("./x@y", 2, "mean"),))
    assert row.series == "./x@y:mean"
    towers = (Reading("clip@text", 2, "last"), Reading("clip@image", 3, "cls"))
    assert Row(1, "clip@text.2:last", 2, "last", hookpoints=towers).series == "clip@text:last"
    assert Row(1, "clip@image.3:cls", 3, "cls", hookpoints=towers).series == "clip@image:cls"


def test_an_unknown_form_is_refused(board: Leaderboard) -> None:
    with pytest.raises(KeyError):
        board.render("yaml")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_the_encoder_column_is_whole_in_any_width(board: Leaderboard, width: int) -> None:
    drawn = draw(board, width)
    assert all(row.encoder in drawn for row in board.rows)
    assert all(f"{row.scores['ndcg@10']:.4f}" in drawn for row in board.rows)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_console(board: Leaderboard, width: int) -> None:
    assert max(map(len, draw(board, width).splitlines())) <= width


def test_hidden_columns_are_named(board: Leaderboard) -> None:
    assert "2 columns hidden (terminal too narrow): ci95, recall@100; --columns chooses" in draw(board, 80)
    assert "hidden" not in draw(board, 200)


def test_a_wide_table_has_every_column(board: Leaderboard) -> None:
    header = next(line for line in draw(board, 200).splitlines() if "encoder" in line)
    titles = [
        "#",
        "encoder",
        "nDCG@10",
        "95% CI",
        "Δ base",
        "p",
        "recall@100",
        "curve",
        "cost",
        "params",
        "note",
    ]
    positions = [header.index(title) for title in titles]
    assert positions == sorted(positions)


def test_the_bar_follows_the_score(board: Leaderboard) -> None:
    lines = [line for line in draw(board, 200).splitlines() if "minilm@" in line]
    assert lines[0].count("█") == 8
    assert lines[1].count("█") == 2


def test_notes_and_stars(board: Leaderboard) -> None:
    lines = {row.layer: line for row in board.rows for line in draw(board, 200).splitlines() if row.encoder in line}
    drawn = draw(board, 200)
    assert "collapsed" in next(line for line in drawn.splitlines() if "minilm@0:mean " in line)
    assert "baseline" in next(line for line in drawn.splitlines() if "minilm@6:mean  " in line)
    assert "<.001*" in drawn
    assert "0.400*" not in drawn
    assert set(lines) == {6, 5, 0}


def test_the_footer_says_what_decided_the_numbers(board: Leaderboard) -> None:
    footer = "\n".join(board.notes())
    for part in (
        "layer curve minilm:mean  0 ▂▃█ 6",
        "notes (test), 9 documents, 3 queries with relevance labels (SYNTHETIC: known-item)",
        "owner/minilm @ 0123456789ab",
        "weights aaaaaaaaaaaa",
        "tokenizer bbbbbbbbbbbb",
        "query 'query: '",
        "256 tokens (truncated: 7 documents, 1 queries)",
        "float32 on cpu",
        "vector key cccccccccccc",
        "a note",
        "own id dropped",
        "seed 0",
        "published nDCG@10 of minilm@6:mean: 0.64508 (here 0.64508)",
        "data defect: 1 empty documents: corpus.jsonl:3",
        "collapsed:",
    ):
        assert part in footer


def test_text_in_brackets_is_not_taken_for_markup(board: Leaderboard) -> None:
    board.settings["dataset"]["name"] = "[red]notes[/red]"
    assert "[red]notes[/red] (test)" in draw(board, 200)
