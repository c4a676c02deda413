"""`--drop-same-id` in every command that scores retrieval, and what the table says of ids by accident."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import write_beir
from tiny_models import make_texts
from typer.testing import CliRunner, Result

import cli

NOTICE = "1 queries share their id with a document of another text (kept; to drop it: --drop-same-id): 1"


def run(app: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], env={"COLUMNS": "300"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Query 1 asks, word for word, for document 2, and has the id of another; query 5 is document 5."""
    texts = dict(zip("12345", dict.fromkeys(make_texts(20, longest=6)), strict=False))
    queries = {"1": texts["2"], "5": texts["5"]}
    qrels = {"1": {"1": 1, "2": 2}, "5": {"1": 1}}
    return str(write_beir(tmp_path_factory.mktemp("data") / "numbered", texts, queries, qrels))


@pytest.mark.parametrize(
    "command",
    [
        ("probe", "layers", "-m", "{model}", "--layers", "3", "--baseline", "bm25"),
        ("probe", "rank", "{model}"),
        ("adaptors", "rank", "-m", "{model}", "--kinds", "pca", "--dims", "8"),
    ],
)
def test_documents_with_the_querys_id_by_accident_stay_unless_asked_for(
    command: tuple[str, ...], data: str, tiny_folder: Callable[[str], Path]
) -> None:
    app, *words = (word.format(model=tiny_folder("bert")) for word in command)
    words += ["--dataset", data, "--metric", "recall@4", "--format", "json"]
    plain, beir = (json.loads(run(app, *words, *more).stdout) for more in ((), ("--drop-same-id",)))
    assert plain["settings"]["dataset"]["id_rule"] == "a document with the query's own id and text is dropped"
    assert plain["settings"]["dataset"]["defects"] == [NOTICE]
    assert beir["settings"]["dataset"]["id_rule"] == "a document with the query's own id is dropped"
    assert beir["settings"]["dataset"]["defects"] == []
    assert max(row["scores"]["recall@100"] for row in plain["rows"]) == 1
    # Both queries keep one relevant document that can be found: the judged document 1 is query 1's no more.
    assert max(row["scores"]["recall@100"] for row in beir["rows"]) == 0.75


def test_the_line_stands_under_the_table(data: str, tiny_folder: Callable[[str], Path]) -> None:
    result = run("probe", "rank", tiny_folder("bert"), "--dataset", data)
    assert NOTICE in " ".join(result.stdout.split())
    assert NOTICE in " ".join(run("probe", "data", "show", data).stdout.replace("│", " ").split())
