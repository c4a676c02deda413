"""`adaptors tune` called wrongly: a line or two say what was found and what to do, and nothing is left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import write_lines
from tiny_tuning import tuner
from typer.testing import Result

from surgery.fusing.folder import save
from surgery.fusing.model import fuse


@pytest.fixture
def tune(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Result]:
    """Tune the tiny BERT."""
    return tuner(tiny_folder("bert"), tmp_path / "out")


WRONG = {
    "no rows": (["{none}"], "Missing option '--dataset' / '-d'"),
    "two data sets": (["-d", "docstrings"], "--dataset was given 2 times"),
    "no training split": (["{docstrings}"], "train"),
    "an unknown loss": (["--loss", "ndcg"], "unknown loss 'ndcg': known: infonce, "),
    "a misspelt class": (["--loss", "MultipleNegativeRankingLoss"], "did you mean MultipleNegativesRankingLoss"),
    "an unknown wrapper": (["--wrap", "collapse-guard,cotton"], "unknown loss wrapper 'cotton'"),
    "a loss that cannot use the rows": (["--loss", "triplet"], "the loss 'triplet' cannot use 'pairs.jsonl'"),
    "a loss without its option": (["--loss", "gist"], "gist needs --guide"),
    "an option that the loss has not": (
        ["--margin", "0.2"],
        "--margin does nothing with --loss infonce: leave",
    ),
    "another": (["--loss", "HingeLoss", "--mini-batch", "2"], "--mini-batch does nothing with --loss HingeLoss"),
    "dimensions without prefixes": (["--dims", "8"], "--dims does nothing without --wrap matryoshka"),
    "a margin of another kind": (["--loss", "hinge", "--margin", "big"], "Invalid value for '--margin'"),
    "dimensions of another kind": (["--wrap", "matryoshka", "--dims", "8/4"], "'8/4': expected positive integers"),
    "a temperature of nothing": (["--temperature", "0"], "--temperature 0 is out of range"),
    "columns of no kind": (["--columns", "anchor"], "--columns 'anchor': expected NAME=COLUMN once each"),
    "an unknown column": (["--columns", "anchor=question"], "has no column 'question', found query, positive"),
    "negatives that are not mined": (["--num-negatives", "3"], "--num-negatives does nothing without --rounds"),
    "too few ranks": (["--rounds", "1", "--range-min", "2", "--range-max", "5"], "5 negatives after rank 2"),
    "ranks beyond every corpus": (["--rounds", "1", "--range-max", "9999999999"], "--range-max 1e+10 is out"),
    "a rank that no map has": (
        ["--lora", "1000"],
        "--lora 1000 is out of range: no map in the blocks has a",
    ),
    "tokens that the model does not read": (
        ["--max-tokens", "5000"],
        "--max-tokens 5000 has no effect: the model's maximum length is 66",
    ),
    "more blocks than there are": (["--last-blocks", "99"], "--last-blocks 99 is out of range: '"),
    "a growing rate": (["--layer-decay", "2"], "--layer-decay 2 is out of range: expected more than 0, and 1 at most"),
    "no rate": (["--lr", "0"], "Invalid value for '--lr'"),
    "a rate below nothing": (["--lr", "-1"], "Invalid value for '--lr'"),
    "dimensions that the model has not": (
        ["--wrap", "matryoshka", "--dims", "32,999"],
        "--dims 999 is out of range",
    ),
    "a log of another kind": (["--log", "log.txt"], "--log 'log.txt': expected a file ending in .jsonl"),
    "a picture of no kind": (["--plot", "map"], "--plot 'map'"),
    "a tracker that is not there": (["--report-to", "nonsense"], "--report-to nonsense is unknown or not installed"),
    "a teacher": (["--teacher", "minilm"], "No such option: --teacher"),
    "batches that classes cannot fill": (["--loss", "batch-hard-triplet", "--batch-size", "5"], "--batch-size 5"),
    "an unknown model": (["-m", "nowhere"], "nowhere"),
    "an unknown guide": (["--loss", "gist", "--guide", "nowhere"], "nowhere"),
    "an unknown data set": (["{nowhere}"], "unknown data set 'nowhere'"),
    "a file that is not there": (["{nowhere.jsonl}"], "'nowhere.jsonl' not found"),
}


@pytest.mark.parametrize(("args", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_call_is_said_in_a_line_or_two_and_leaves_nothing(
    args: list[str], words: str, tune: Callable[..., Result], tmp_path: Path
) -> None:
    source = {"source": args.pop()[1:-1]} if args[-1].startswith("{") else {}
    result = tune(*args, **{**source, **({"source": None} if source == {"source": "none"} else {})})
    assert result.exit_code == 2, result.stderr
    assert words in " ".join(result.stderr.split())
    said = result.stderr[result.stderr.rindex("error: ") :] if "error: " in result.stderr else ""
    assert len(said.splitlines()) <= 3
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


DEFECTS = {
    "no positive": ('{"query": "sun"}', 'rows.jsonl:2: expected an object with "query" and "positive", found'),
    "an empty query": ('{"query": " ", "positive": "star"}', 'rows.jsonl:2: "query" is empty: expected a text'),
    "a number": ('{"query": "sun", "positive": 3}', 'rows.jsonl:2: expected a string as "positive", found 3'),
    "no JSON": ('{"query": ', "rows.jsonl:2: not JSON"),
}
LABELLED = [("sun", 0.5), ("ice", 0.6), ("sun", 0.7)]
FORMS = {
    "columns of no form": (['{"question": "sun"}'], "rows.jsonl:1: unknown columns: found question", ()),
    "an unlabelled query": (
        ['{"query": "sun", "document": "star", "label": 0}', '{"query": "ice", "document": "oil", "label": 1}'],
        "rows.jsonl:1: no document is relevant to 'sun': expected a label above 0",
        ("--hold-out", 0),
    ),
    "one document in a list": (
        ['{"query": "sun", "documents": ["star"], "labels": [1]}'],
        "rows.jsonl:1: 1 documents in a list: expected two or more",
        ("--loss", "margin-mse"),
    ),
    "an empty negative": (
        ['{"query": "sun", "positive": "star", "negative": ""}'],
        'rows.jsonl:1: "negative" is empty: expected a text',
        ("--loss", "triplet"),
    ),
    "two labels": (
        [f'{{"query": "{query}", "document": "star", "label": {label}}}' for query, label in LABELLED],
        "rows.jsonl:3: label 0.7 of a document that already has label 0.5",
        ("--loss", "margin-mse"),
    ),
    "no rows": ([], "rows.jsonl", ()),
    **{name: (['{"query": "ice", "positive": "oil"}', line], words, ()) for name, (line, words) in DEFECTS.items()},
}


@pytest.mark.parametrize(("lines", "words", "args"), FORMS.values(), ids=FORMS)
def test_a_fault_in_the_rows_is_named_by_file_and_line(
    lines: list[str], words: str, args: tuple[object, ...], tune: Callable[..., Result], tmp_path: Path
) -> None:
    result = tune(*args, source=write_lines(tmp_path / "rows.jsonl", lines))
    assert result.exit_code == 1, result.stderr
    assert words in result.stderr
    assert len(result.stderr[result.stderr.rindex("error: ") :].splitlines()) <= 2
    assert not (tmp_path / "out").exists()


def test_low_rank_matrices_need_the_extra(
    tune: Callable[..., Result], tmp_path: Path, without: Callable[[str], None]
) -> None:
    without("peft")
    result = tune("--lora", 2)
    assert result.exit_code == 2
    assert result.stderr.endswith("error: --lora needs peft: pip install 'encoder-surgery[lora]'\n")
    assert list(tmp_path.iterdir()) == []


def test_the_members_of_a_fusion_have_lengths_of_their_own(
    tune: Callable[..., Result], tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [f"{tiny_folder(family)}@1:mean" for family in ("bert", "mpnet")]
    both = save(fuse(specs), tmp_path / "both")
    result = tune("--max-tokens", 8, model=both)
    assert result.exit_code == 2
    assert "members of a fused model have their own maximum lengths: leave out --max-tokens" in result.stderr
    for args in (["--wrap", "adaptive-layer"], ["--loss", "gist", "--guide", str(tiny_folder("bert"))]):
        refused = tune(*args, model=both)
        assert refused.exit_code == 2, refused.stderr
        assert f"'{args[1]}' is for encoders of one model" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["both"]
