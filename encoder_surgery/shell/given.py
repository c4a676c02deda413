"""What was typed, looked at before any command runs: every value once, none empty, in UTF-8, finite where a number."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand

from encoder_surgery.shell.idle import idle_options
from encoder_surgery.shell.panels import hidden_advanced
from encoder_surgery.shell.positional import join_forms

__all__ = ["CheckedCommand"]

# Of these an empty value says something: that nothing is put before the texts.
_MAY_BE_EMPTY = frozenset({"query_prompt", "document_prompt"})
# Numbers beyond this are slips, which libraries would answer with an overflow.
_GREATEST = 10**15


class CheckedCommand(TyperCommand):
    """A command that refuses what no option could mean, by the option's name and in a line."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, without the advanced options unless all are to be shown."""
        with hidden_advanced(ctx):
            super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed, unless something is wrong with it."""
        names = {parameter.name: _label(parameter) for parameter in self.params}
        if not ctx.resilient_parsing:
            # A parser of its own: parsed values keep the last of several, and an empty path is the current folder.
            values, _, order = self.make_parser(ctx).parse_args(list(args))
            if not any(parameter.is_eager for parameter in order):
                _refuse(_faults(names, values, order))
        rest: list[str] = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            fault = join_forms(self.callback, ctx.params, names)
            _refuse(iter([fault] if fault else []))
            _refuse(_faults_of_numbers(names, ctx.params))
            _refuse(idle_options(self.callback, names, given=values, parsed=ctx.params))
        return rest


def _refuse(faults: Iterator[str]) -> None:
    """End the call at the first fault."""
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(2)


def _label(parameter: Any) -> str:
    """Return how a parameter is typed: its longest option, or the name of an argument."""
    name = str(max(parameter.opts, key=len))
    return name if name.startswith("-") else name.upper()


def _faults(names: Mapping[str, str], values: Mapping[str, Any], order: list[Any]) -> Iterator[str]:
    """Yield what is wrong with the values as typed, each a text or several; flags have none."""
    times = Counter(parameter.name for parameter in order)
    for name, value in values.items():
        if isinstance(value, str) and times[name] > 1:
            yield f"{names[name]} takes one value and is given {times[name]} times: leave all but one out"
        for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
            if any("\udc80" <= letter <= "\udcff" for letter in text):
                shown = text.encode("utf-8", "replace").decode()
                yield f"{names[name]} '{shown}' holds bytes that are no UTF-8: expected a text or a path in UTF-8"
            if not text.strip() and name not in _MAY_BE_EMPTY:
                yield f"{names[name]} is empty: give it a value, or leave it out"


def _faults_of_numbers(names: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with parsed numbers that no range excludes, for `nan` is in all of them."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{names[name]} {value} is out of range: expected a finite number"
        elif isinstance(value, int | float) and abs(value) > _GREATEST:
            yield f"{names[name]} {value} is out of range: expected {_GREATEST:.0e} at most"
