"""Values that no option could mean are refused in a line, for every command there is, before it does anything."""

from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

import cli

APPS = {"probe": cli.probe_app, "surgery": cli.surgery_app, "adaptors": cli.adaptors_app}


def walk(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from walk((*words, name), child)
    if not hasattr(command, "commands"):
        yield words, command


COMMANDS = {" ".join(words): one for name, app in APPS.items() for words, one in walk((name,), get_command(app))}
# Without these typer says first that something is missing.
NEEDED = {
    "surgery cut": ["--after", "1"],
    "surgery trim": ["--texts", "docstrings"],
    "surgery keep": ["--blocks", "1"],
    "surgery fuse": ["a", "b"],
    "surgery pair": ["a", "b"],
    "adaptors fit": ["pca"],
    "adaptors tune": ["--dataset", "d"],
    "adaptors heal": ["c"],
    "probe gate": ["--baseline", "b"],
    "probe plan": ["--texts", "3"],
    "probe report": ["a.json"],
    "probe data build": ["a"],
}


def run(words: str, *more: str) -> Result:
    program, *rest = words.split()
    needed = list(NEEDED.get(words, []))
    # What is given below is not given twice.
    for option in {word for word in more if word.startswith("-")} & {*needed}:
        del needed[needed.index(option) : needed.index(option) + 2]
    return CliRunner().invoke(APPS[program], [*rest, *needed, *more], env={"COLUMNS": "200"})


def options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and not one.is_flag and one.name != "help"]


def longest(option: Any) -> str:
    return str(max(option.opts, key=len))


EVERY = [(words, longest(one), one) for words, command in COMMANDS.items() for one in options(command)]
each_option = pytest.mark.parametrize(("words", "name", "option"), EVERY, ids=[f"{w} {n}" for w, n, _ in EVERY])


def refusal(result: Result) -> str:
    assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


@each_option
def test_one_value_is_given_once_and_none_is_empty_or_of_other_bytes(words: str, name: str, option: Any) -> None:
    said = refusal(run(words, name, "1", name, "1")) if not option.multiple else ""
    assert option.multiple or said == f"error: {name} was given 2 times: expected it once\n"
    if option.name not in ("query_prompt", "document_prompt"):
        assert refusal(run(words, name, " ")) == f"error: {name} is empty: give it a value, or leave it out\n"
    said = refusal(run(words, name, "a\udcff"))
    assert said == f"error: {name} 'a?' has bytes that are not UTF-8: expected a text or a path in UTF-8\n"


NUMBERS = [one for one in EVERY if one[2].bare_type() in ("int", "float")]


@pytest.mark.parametrize(("words", "name", "option"), NUMBERS, ids=[f"{w} {n}" for w, n, _ in NUMBERS])
def test_no_number_is_infinite_or_beyond_all_measure(words: str, name: str, option: Any) -> None:
    for text in ("nan", "inf", "-inf", "1" + "0" * 30):
        said = refusal(run(words, name, text))
        assert "out of range" in said or "Invalid value" in said


def test_prompts_may_be_empty() -> None:
    result = CliRunner().invoke(cli.probe_app, ["layers", "--query-prompt", "", "--recommend", "2"])
    assert result.stderr == "error: --recommend 2: expected a margin above 0 and below 1, such as 0.01\n"


def test_lists_are_given_as_often_as_wanted() -> None:
    result = CliRunner().invoke(cli.adaptors_app, ["rank", "-m", "a", "-m", "b", "--format", "none"])
    assert "unknown --format 'none'" in result.stderr
