"""The result of a search: what its verdict says and does not say, its table, and its JSON."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from slim_results import make_slim, slim_examples

from probe.errors import DataError
from probe.results.console import View, print_result
from probe.results.formats import p_words
from probe.results.load import column_names, read_result
from probe.results.query_examples import Example, Examples, Finding, before_and_after
from probe.results.slim import SlimResult

LONG = "/home/someone/models/company/mpnet-base-tuned-on-tickets-with-hard-negatives"
LOST = "it keeps 93.1% of the full model's score on 40 test queries, 0.95 demanded"
HEAVY = "its weights have 19.3 MB, 10 allowed"


def saved(result: SlimResult, folder: Path) -> Path:
    file = folder / "slim.json"
    file.write_text(result.to_json())
    return file


def printed(result: SlimResult, width: int) -> str:
    out = io.StringIO()
    print_result(result, Console(file=out, width=width, color_system=None, highlight=False), View())
    return out.getvalue()


@pytest.mark.parametrize("result", [make_slim(examples=slim_examples()), make_slim(p_value=None), make_slim(LONG)])
def test_json_is_read_back_without_a_loss(result: SlimResult, tmp_path: Path) -> None:
    assert read_result(saved(result, tmp_path)) == result


def test_json_has_the_folder_and_whether_the_goal_is_met() -> None:
    assert json.loads(make_slim().to_json()) | {"folder": "small", "met": True} == json.loads(make_slim().to_json())
    failed = json.loads(make_slim(p_value=0.2, unmet=(LOST,)).to_json())
    assert (failed["folder"], failed["met"]) == ("", False)


def test_a_file_that_lacks_a_setting_is_refused(tmp_path: Path) -> None:
    payload = json.loads(make_slim().to_json())
    del payload["settings"]["margin"]
    file = tmp_path / "old.json"
    file.write_text(json.dumps(payload))
    with pytest.raises(DataError, match="lack 'margin'"):
        read_result(file)


def test_a_verdict_on_quality_says_what_the_test_rules_out() -> None:
    assert make_slim().verdict() == (
        "The goal is shown to be met by 2 blocks, 8,000 tokens: nDCG@10 0.6912 against the full model's 0.7000 (98.7% "
        "of it); a loss of 0.0350 or more is ruled out (p < .001). The smaller model has 19.3 MB of weights instead of "
        "90.9, takes 2.90 ms per query instead of 7.70 and encodes 2.4 times as many documents per second."
    )


@pytest.mark.parametrize(
    ("p_value", "unmet", "expected"),
    [
        (0.213, (LOST,), "The goal is not shown to be met by the best candidate"),
        (0.0004, (HEAVY,), "The goal is not met by the best candidate"),
        (0.213, (LOST, HEAVY), "The goal is not met by the best candidate"),
        (None, (HEAVY,), "The goal is not met by the best candidate"),
        (None, (), "The goal is met by 2 blocks"),
    ],
)
def test_what_is_measured_is_not_met_and_what_is_tested_is_not_shown(
    p_value: float | None, unmet: tuple[str, ...], expected: str
) -> None:
    verdict = make_slim(p_value=p_value, unmet=unmet).verdict()
    assert verdict.startswith(expected)
    assert all(demand in verdict for demand in unmet)
    assert ("not ruled out (p = 0.213)" in verdict) is (p_value == 0.213)
    assert ("not tested because the goal demands no quality" in verdict) is (p_value is None)


def test_a_p_value_is_a_statement() -> None:
    assert [p_words(value) for value in (0.0004, 0.012, 1.0)] == ["p < .001", "p = 0.012", "p = 1.000"]


def test_a_full_model_that_scores_nothing_has_no_share() -> None:
    result = make_slim()
    full = replace(result.full, scores={"ndcg@10": 0.0})
    nothing = replace(result, rows=(full, *result.rows[1:]))
    assert (nothing.share, nothing.demanded) == (None, None)
    assert "% of it" not in nothing.verdict()


@pytest.mark.parametrize("width", [80, 110, 160])
@pytest.mark.parametrize("name", ["minilm", LONG, "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_table_fits_and_names_its_models(name: str, width: int) -> None:
    lines = printed(make_slim(name), width).splitlines()
    start = next(number for number, line in enumerate(lines) if "estimate" in line)
    assert max(map(len, lines[start : start + 8])) <= width
    assert "best" in lines[start + 5]
    assert "0.6912" in lines[start + 5]
    assert ("<.001" in lines[start + 5]) is ("p" in lines[start].split())


def test_of_a_long_path_the_end_is_shown_and_the_whole_is_in_the_notes() -> None:
    for name, short in ((LONG, "…n-tickets-with-hard-negatives"), ("a/very-long-organisation-name/minilm", "…/minilm")):
        result = make_slim(name)
        assert result.name(result.full).endswith(short[1:])
        assert len(result.name(result.full)) <= 32
        assert any(name in line for line in result.notes())
        assert result.to_dict()["rows"][0]["model"] == name


def test_the_columns_have_the_names_of_the_command_line() -> None:
    assert tuple(column.name for column in make_slim().columns()) == column_names("slim")


def test_a_csv_has_a_column_of_the_metric_and_gaps_where_nothing_was_tested() -> None:
    header, *lines = csv.reader(io.StringIO(make_slim().to_csv()))
    scores = [line[header.index("ndcg@10")] for line in lines]
    assert scores == ["0.7", "", "", "0.6912", "", ""]
    assert "scores" not in header


def test_it_is_always_said_that_the_texts_were_seen() -> None:
    assert any(line.startswith("transductive") for line in make_slim().cautions())
    assert make_slim().notes()[-1].startswith("transductive")


def test_labels_are_named_wherever_the_training_is_described() -> None:
    without, labelled = make_slim(), make_slim(labels="train")
    assert "labels" not in without.title()
    assert labelled.title().endswith(" · labels train")
    assert any("without labels, on 12,345 texts" in line for line in without.notes())
    assert any("and to rank as the relevance labels of train say, on" in line for line in labelled.notes())
    assert "(not on relevance labels)" in without.notes()[-1]
    assert "(and on relevance labels of train)" in labelled.notes()[-1]
    older = replace(without, settings={name: value for name, value in without.settings.items() if name != "labels"})
    assert older.labels == "none"


def test_queries_before_and_after_are_those_that_differ_most_and_lost_first() -> None:
    def example(query: str, chosen: str, first: float, second: float) -> Example:
        findings = (Finding(1, first, (f"{query}-a",)), Finding(2, second, (f"{query}-b",)))
        return Example(query, query, chosen, {}, findings)

    pairs = [("small", 0.5, 0.6), ("gain", 0.9, 0.1), ("large", 0.1, 0.9)]
    queries = [*(example(name, "divided", *scores) for name, *scores in pairs), example("same", "worst", 0.0, 0.0)]
    texts = {f"{one.query}-{side}": "text" for one in queries for side in "ab"}
    # The candidate was ranked first, the full model second.
    shown = before_and_after(Examples(tuple(queries), texts, {"same-a": "file"}), before=2, after=1)
    assert [(one.query, one.chosen) for one in shown.queries] == [
        ("large", "lost"),
        ("small", "lost"),
        ("gain", "gained"),
    ]
    before, after = shown.queries[0].findings
    assert (before.rank, before.score, after.rank, after.score) == (1, 0.9, 2, 0.1)
    assert set(shown.texts) == {f"{name}-{side}" for name, *_ in pairs for side in "ab"}
    assert shown.sources == {}
