"""Groups of options: a dataclass stands for its fields on the command line, and reaches the command as one value."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import pytest
import typer
from typer.testing import CliRunner, Result

from encoder_surgery.shell.app import app, flag, friendly
from encoder_surgery.shell.options import EncodeFlags, StoreFlags
from probe.errors import CallError
from probe.io.staging import scratch_files


@dataclass(frozen=True)
class PaintFlags:
    """Two options."""

    panel: ClassVar[str] = "Paint"

    colour: Annotated[str, flag("Of the wall.", "--colour", "-c")]
    coats: Annotated[int, flag("How many.", min=1)] = 2


@friendly
def paint(wall: Annotated[str, flag("Which one.")] = "north", *, paint: PaintFlags) -> None:
    """Paint a wall."""
    if paint.colour == "plaid":
        raise CallError("no colour")
    typer.echo(f"{wall} {paint}")


APP = app("Paint.", "house paint -c red", {"house paint -c red": paint, "house again": paint})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(APP, ["paint", *arguments], env={"COLUMNS": "80"})


def test_a_command_gets_its_groups() -> None:
    assert run("-c", "red").stdout == "north PaintFlags(colour='red', coats=2)\n"
    assert run("--coats", "3", "--wall", "south", "-c", "red").stdout == "south PaintFlags(colour='red', coats=3)\n"


@pytest.mark.parametrize("arguments", [[], ["-c", "red", "--coats", "0"]])
def test_rules_of_grouped_options_hold(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_help_shows_own_options_first_and_every_group_as_a_panel() -> None:
    help = run("--help").stdout
    found = [help.index(words) for words in ("─ Options ─", "--wall", "--help-all", "─ Paint ─", "--colour", "--coats")]
    assert found == sorted(found)


def test_advanced_options_are_shown_by_help_all_alone() -> None:
    assert "--debug" not in run("--help").stdout
    every = run("--help-all")
    assert every.exit_code == 0
    assert every.stdout.index("─ Advanced ─") < every.stdout.index("--debug")
    assert "--debug" not in run("--help").stdout


def test_an_error_is_a_line_and_a_traceback_with_debug() -> None:
    failed = run("-c", "plaid")
    assert (failed.exit_code, failed.stdout, failed.stderr) == (2, "", "error: no colour\n")
    assert isinstance(run("-c", "plaid", "--debug").exception, CallError)


def test_groups_with_one_option_in_common_are_refused() -> None:
    def both(first: PaintFlags, second: PaintFlags) -> None: ...

    with pytest.raises(ValueError, match="duplicate parameter name: 'colour'"):
        friendly(both)


def test_what_a_group_has_no_option_for_is_given_by_the_command() -> None:
    options = EncodeFlags(max_tokens=9, query_prompt="q: ").load_options()
    assert (options.dtype, options.device, options.max_tokens, options.query_prompt) == ("auto", "auto", 9, "q: ")


def test_settings_of_the_config_are_pairs() -> None:
    options = EncodeFlags(config=["sliding_window=128", "rope.theta= 1=2"], revision="v1").load_options()
    assert options.config == (("sliding_window", "128"), ("rope.theta", " 1=2"))
    assert (options.revision, EncodeFlags().load_options().config) == ("v1", ())
    for wrong in (["sliding_window"], ["=5"]):
        with pytest.raises(CallError, match="expected KEY=VALUE"):
            EncodeFlags(config=wrong).load_options()
    with pytest.raises(CallError, match="--config a is given twice"):
        EncodeFlags(config=["a=1", "a=2"]).load_options()


def test_a_store_and_none_exclude_each_other() -> None:
    with scratch_files():
        store = StoreFlags(no_store=True).open()
        assert store is not None
        assert store.temporary
    with pytest.raises(CallError, match="--store and --no-store exclude each other"):
        StoreFlags(store="somewhere", no_store=True).open()
