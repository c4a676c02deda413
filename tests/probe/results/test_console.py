"""A printed result: the rows, then the verdict, the warnings and three lines of settings; columns that fit."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from probe.errors import CallError
from probe.results.classification import ClassificationResult, ClassificationRow
from probe.results.console import View, print_result
from probe.results.geometry import GeometryResult, GeometryRow
from probe.results.leaderboard import Leaderboard, Row
from probe.results.load import column_names
from probe.results.result import Result
from probe.results.similarity import SimilarityResult, SimilarityRow

MODEL = {
    "name": "minilm",
    "hub_id": "owner/minilm",
    "revision": None,
    "own_pooling": "mean",
    "weights_sha256": "a" * 64,
    "tokenizer_sha256": "b" * 64,
    "query_prompt": "",
    "document_prompt": "",
    "max_tokens": 256,
    "dtype": "float32",
    "device": "cpu",
    "truncated_documents": 0,
    "truncated_queries": 0,
    "notes": [],
    "batches": "4096 tokens of 1024 texts",
    "rounding": "float16",
    "vector_key": "c" * 64,
}
DATA = {
    "name": "notes",
    "split": "test",
    "documents": 2994,
    "queries": 2994,
    "limited": False,
    "synthetic": None,
    "text_sha256": "d" * 64,
    "qrels_sha256": "e" * 64,
    "defects": [],
    "title_rule": "title + ' ' + text",
    "id_rule": "own id dropped",
}
STATISTICS = {"interval": "bootstrap", "test": "paired", "resamples": 10, "seed": 0, "versions": {"torch": "2"}}
FUSION = "minilm@5:mean+all-mpnet-base-v2@12:mean"


def leaderboard(**data: Any) -> Leaderboard:
    """Return a table of adaptors on one fusion, whose name is the same in all rows."""
    rows = [
        Row(
            number,
            FUSION,
            dim=dim,
            adaptor=kind,
            scores={"ndcg@10": score, "recall@100": 0.9},
            ci95=(score - 0.01, score + 0.01),
            delta=None if kind is None else score - 0.5,
            p_value=None if kind is None else 0.0001,
            transductive=kind == "pca",
            cost=1.0,
            parameters=22_000_000,
            fit_seconds=None if kind is None else 1.0,
            pca_delta=0.01 if kind == "distil" else None,
            pca_p_value=0.01 if kind == "distil" else None,
        )
        for number, (kind, dim, score) in enumerate([("distil", 4, 0.6), ("pca", 4, 0.55), (None, 8, 0.5)], 1)
    ]
    settings = {
        "metric": "ndcg@10",
        "metrics": ["ndcg@10", "recall@100"],
        "baseline": FUSION,
        "similarity": "cosine",
        "ties": "id",
        "models": [{**MODEL, **data.pop("model", {})}],
        "dataset": {**DATA, **data},
        "statistics": STATISTICS,
        "recommended": "distil",
        "adaptors": [],
    }
    return Leaderboard("adaptors rank", "now", settings, tuple(rows))


def geometry() -> GeometryResult:
    row = GeometryRow("m@0:mean", 0, "mean", 384, 0.8, 2.0, 0.5, 1.0, 0.1, 0.9, -1.0, ((63, 0.28),), (0.5, 0.1), False)
    rows = (row, replace(row, encoder="m@1:mean", layer=1, mean_cosine=0.2))
    settings = {"sample": 9, "pairs": 5, "models": [MODEL], "dataset": DATA}
    return GeometryResult("probe geometry", "now", settings, rows, ((1.0, 0.5), (0.5, 1.0)))


def classification() -> ClassificationResult:
    names = ["m@0:mean", "m@1:mean"]
    rows = [
        ClassificationRow(n + 1, name, None, n, "mean", 384, 0.9, (0.8, 1.0), 0.9, (0.8, 1.0), penalties=(0.1, 1.0))
        for n, name in enumerate(names)
    ]
    rows.append(ClassificationRow(3, "majority-class baseline", "majority", accuracy=0.4, accuracy_ci95=(0.3, 0.5)))
    probe = {"classifier": "LR", "folds": 5, "seed": 0, "grid": [0.1], "chosen_by": "accuracy", "inner_folds": 3}
    data = {**DATA, "texts": 9, "labels": {"a": 5, "b": 4}, "labels_sha256": "f" * 64}
    settings = {"metric": "accuracy", "baseline": "m@1:mean", "models": [MODEL], "dataset": data, "probe": probe}
    return ClassificationResult("probe classify", "now", {**settings, "statistics": STATISTICS}, tuple(rows))


def similarity() -> SimilarityResult:
    rows = (SimilarityRow(1, "m@1:mean", 1, "mean", 384, 0.8, (0.7, 0.9)), SimilarityRow(2, "m@0:mean", 0, "mean", 384))
    data = {**DATA, "pairs": 9, "sentences": 12, "scores": [0, 5], "scores_sha256": "f" * 64}
    settings = {"baseline": "m@1:mean", "models": [MODEL], "dataset": data, "highest": 1.0, "statistics": STATISTICS}
    return SimilarityResult("probe similarity", "now", settings, rows)


EVERY = {"leaderboard": leaderboard, "geometry": geometry, "classify": classification, "similarity": similarity}


def draw(result: Result, width: int, view: View | None = None) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=width, highlight=False), view)
    return out.getvalue()


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("width", [80, 110, 160])
def test_rows_come_first_then_the_verdict_then_three_lines(kind: str, width: int) -> None:
    result = EVERY[kind]()
    text = " ".join(draw(result, width).split())
    assert text.startswith(result.title())
    places = [text.index(part) for part in (result.rows[0].encoder, result.verdict(), result.brief()[0])]
    assert places == sorted(places)
    assert len(result.brief()) == 3
    assert text.endswith("all settings: --details")
    assert all(line not in text for line in result.notes() if line.startswith("versions"))


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("width", [80, 110, 160])
def test_a_table_fits_its_terminal_and_names_what_it_hides(kind: str, width: int) -> None:
    result = EVERY[kind]()
    drawn = draw(result, width)
    assert max(map(len, drawn.splitlines())) <= width
    assert all(row.encoder in drawn for row in result.rows)
    wide = draw(result, 300)
    assert "hidden" not in wide
    header, whole = (text.splitlines()[2] for text in (drawn, wide))
    assert ("hidden (terminal too narrow): " in drawn) == (len(header.split()) < len(whole.split()))


@pytest.mark.parametrize("kind", EVERY)
def test_details_are_the_whole_footer(kind: str) -> None:
    result = EVERY[kind]()
    drawn = " ".join(draw(result, 500, View(details=True)).split())
    assert all(" ".join(note.split()) in drawn for note in result.notes())
    assert "--details" not in drawn


def test_what_all_rows_share_is_in_the_title() -> None:
    title, *rest = draw(leaderboard(), 110).splitlines()
    assert title == f"notes (test) · {FUSION} · labels none · cost 100% · params 22.0M"
    header = rest[1]
    assert all(name in header for name in ("adaptor", "Δ pca, p", "dim", "nDCG@10", "95% CI", "Δ base", " p "))
    assert not any(name in header for name in ("encoder", "labels", "cost", "params"))


def test_a_name_in_the_title_is_never_cut() -> None:
    lines = draw(leaderboard(), 40).splitlines()
    assert lines[:3] == ["notes (test)", FUSION, "labels none · cost 100% · params 22.0M"]


def test_a_single_row_has_all_of_its_columns() -> None:
    board = leaderboard()
    header = draw(replace(board, rows=board.rows[:1]), 200).splitlines()[2]
    assert all(name in header for name in ("encoder", "labels", "dim", "cost", "params"))


def test_difference_p_value_and_cost_outlive_the_interval() -> None:
    board = leaderboard()
    varied = [replace(row, encoder=f"{row.encoder}{row.rank}", cost=row.rank / 3, dim=row.rank) for row in board.rows]
    board = replace(board, rows=tuple(varied))
    widths = {
        name: next(w for w in range(20, 300) if f" {name} " in draw(board, w).splitlines()[2] + " ")
        for name in ("Δ base", "cost", "95% CI")
    }
    assert widths["Δ base"] < widths["95% CI"]
    assert widths["cost"] < widths["95% CI"]


WARNINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "synthetic": ({"synthetic": "known-item"}, ["synthetic queries (known-item)"]),
    "limited": ({"limited": True}, ["limited to 2994 documents: scores are higher than on the whole corpus"]),
    "cut": (
        {"model": {"truncated_documents": 7, "truncated_queries": 1}},
        ["minilm: 7 documents and 1 queries truncated to 256 tokens"],
    ),
    "defects": (
        {"defects": ["1 empty documents: a", "2 empty queries: b", "3 c", "4 d"]},
        ["data defect: 1 empty documents: a", "data defect: 2 empty queries: b", "2 more data defects"],
    ),
    "a single query": ({"queries": 1}, ["a single query: no interval and no test is possible"]),
}


@pytest.mark.parametrize("case", WARNINGS.values(), ids=WARNINGS)
def test_warnings_stand_below_every_table(case: tuple[dict[str, Any], list[str]]) -> None:
    data, expected = case
    drawn = draw(leaderboard(**data), 200)
    assert all(f"\n{line}\n" in drawn for line in expected)
    assert (
        "transductive (row 2 of 3): fitted on these same documents (not on relevance labels); expect less on "
        "documents added later"
    ) in drawn


def test_columns_are_those_asked_for_in_that_order() -> None:
    drawn = draw(leaderboard(), 80, View(columns=("ndcg@10", "encoder", "recall@100")))
    assert drawn.splitlines()[2].split() == ["nDCG@10", "encoder", "recall@100"]
    assert leaderboard().to_markdown(("rank", "p")).splitlines()[0] == "| # | p |"
    with pytest.raises(CallError, match=r"unknown column 'foo': expected some of rank, encoder, .*recall@100"):
        draw(leaderboard(), 80, View(columns=("foo",)))


@pytest.mark.parametrize("kind", EVERY)
def test_every_column_has_a_name_that_is_known_before_the_work(kind: str) -> None:
    result = EVERY[kind]()
    if isinstance(result, Leaderboard):  # sizes of stored vectors have columns where some were compared
        result = replace(result, rows=tuple(replace(row, bits=4, bytes=48) for row in result.rows))
    names = [column.name for column in result.columns()]
    assert len(set(names)) == len(names)
    assert {name for name in names if "@" not in name} == set(column_names(kind))
    assert not any(" " in name or "," in name for name in names)


@pytest.mark.parametrize("kind", EVERY)
def test_every_kind_has_every_form(kind: str) -> None:
    result = EVERY[kind]()
    lines = result.to_csv().splitlines()
    assert len(lines) == len(result.rows) + 1
    assert all(row.encoder in line for row, line in zip(result.rows, lines[1:], strict=True))
    markdown = result.render("markdown")
    assert result.verdict() in markdown
    assert all(f"- {note}" in markdown for note in result.notes())
    assert result.to_dict()["verdict"] == result.verdict()


@pytest.mark.parametrize("kind", EVERY)
def test_python_prints_the_table(kind: str) -> None:
    result = EVERY[kind]()
    assert str(result) == repr(result)
    assert str(result).startswith(result.title())
    assert " ".join(result.verdict().split()) in " ".join(str(result).split())
    assert max(map(len, str(result).splitlines())) <= 100
    assert "\x1b" not in str(result)


def test_geometry_says_which_direction_is_good() -> None:
    drawn = draw(geometry(), 160)
    assert all(title in drawn for title in ("mean cos ↓", "eff. rank ↑", "alignment ↓", "uniformity ↓"))
    assert "↑ higher, ↓ lower: usually better for retrieval" in drawn


def test_a_recommendation_stands_below_the_verdict() -> None:
    board = leaderboard()
    board = replace(board, settings={**board.settings, "recommendation": "m@2:mean is not worse"})
    assert f"{board.verdict()}\nRecommendation: m@2:mean is not worse\n" in draw(board, 400)


def test_no_colour_is_left_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    print_result(leaderboard(), Console(file=out, width=110, highlight=False, force_terminal=True))
    assert not any(f"\x1b[{code}m" in out.getvalue() for code in ("31", "32", "33", "1;33"))
