"""The encoder and the data set may be typed by position or by option, once."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from encoder_surgery.shell.app import app, friendly
from encoder_surgery.shell.positional import positional

House = Annotated[str, positional("A house.", "--house", "-h2")]
Houses = Annotated[list[str], positional("Houses.", "--house", "-x")]


@friendly
def one(house: House = "red") -> None:
    """Paint one."""
    typer.echo(house)


@friendly
def needed(house: House) -> None:
    """Paint one that is named."""
    typer.echo(house)


@friendly
def many(houses: Houses = ["red"]) -> None:  # noqa: B006
    """Paint several."""
    typer.echo(" ".join(houses))


APP = app("Paint.", "paint one", {"paint one": one, "paint needed": needed, "paint many": many})


def run(line: str) -> Result:
    return CliRunner().invoke(APP, line.split(), env={"COLUMNS": "100"})


@pytest.mark.parametrize(
    ("line", "printed"),
    [
        ("one", "red"),
        ("one blue", "blue"),
        ("one --house blue", "blue"),
        ("needed blue", "blue"),
        ("needed --house blue", "blue"),
        ("many", "red"),
        ("many a b", "a b"),
        ("many -x a -x b", "a b"),
        ("many a -x b", "a b"),
    ],
)
def test_a_value_is_taken_from_either_form(line: str, printed: str) -> None:
    result = run(line)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{printed}\n", "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("one blue --house green", "HOUSE 'blue' and --house 'green' are the same parameter: give one"),
        ("needed", "HOUSE is missing: give it as an argument or with --house"),
    ],
)
def test_both_forms_or_none_where_one_is_needed_is_a_wrong_call(line: str, words: str) -> None:
    result = run(line)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"error: {words}\n")


def test_one_call_leaves_nothing_for_the_next() -> None:
    assert run("many a b").stdout == "a b\n"
    assert run("many").stdout == "red\n"


def test_help_shows_both_forms_and_the_default() -> None:
    help = run("one --help").stdout
    assert "[OPTIONS] [HOUSE]" in help
    assert "A house. Default: red." in help
    assert "--house" in help
