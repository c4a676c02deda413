"""Check the arguments of a call before the command runs: no duplicates, not empty, UTF-8, finite numbers."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from encoder_surgery.shell.idle import idle_options
from encoder_surgery.shell.panels import hidden_advanced
from encoder_surgery.shell.positional import join_forms
from probe.errors import CallError

__all__ = ["CheckedCommand", "choices_of", "parse_numbers"]

# An empty value is valid here: no prompt.
_MAY_BE_EMPTY = frozenset({"query_prompt", "document_prompt"})
# Larger numbers are typing errors, which would overflow in libraries.
_GREATEST = 10**15


class CheckedCommand(TyperCommand):
    """A command that rejects invalid arguments in one line with the option's name."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help; advanced options are hidden unless all are requested."""
        with hidden_advanced(ctx):
            super().format_help(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, or end the call with the first error in them."""
        names = {parameter.name: _label(parameter) for parameter in self.params}
        if not ctx.resilient_parsing:
            # A separate parser, because parsing keeps the last of repeated values and turns an empty path into `.`.
            values, _, order = self.make_parser(ctx).parse_args(list(args))
            if not any(parameter.is_eager for parameter in order):
                _refuse(_faults(names, values, order))
                _refuse(_faults_of_choices(order, values))
        rest: list[str] = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            fault = join_forms(self.callback, ctx.params, names)
            _refuse(iter([fault] if fault else []))
            _refuse(_faults_of_numbers(names, ctx.params))
            _refuse(idle_options(self.callback, names, given=values, parsed=ctx.params))
        return rest


def _refuse(faults: Iterator[str]) -> None:
    """End the call with the first error, if any."""
    for fault in faults:
        typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(2)


def _label(parameter: Any) -> str:
    """Return a parameter's name for messages: its longest option, or the name of an argument."""
    name = str(max(parameter.opts, key=len))
    return name if name.startswith("-") else name.upper()


def _faults(names: Mapping[str, str], values: Mapping[str, Any], order: list[Any]) -> Iterator[str]:
    """Yield errors in the raw values, each a string or a list of strings; flags have no value."""
    times = Counter(parameter.name for parameter in order)
    for name, value in values.items():
        if isinstance(value, str) and times[name] > 1:
            yield f"{names[name]} was given {times[name]} times: expected it once"
        for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else ():
            if any("\udc80" <= letter <= "\udcff" for letter in text):
                shown = text.encode("utf-8", "replace").decode()
                yield f"{names[name]} '{shown}' has bytes that are not UTF-8: expected a text or a path in UTF-8"
            if not text.strip() and name not in _MAY_BE_EMPTY:
                yield f"{names[name]} is empty: give it a value, or leave it out"


def _faults_of_choices(parameters: list[Any], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield errors in values outside a parameter's choices, in one line instead of typer's box."""
    for parameter in parameters:
        choices = choices_of(parameter)
        value = values.get(parameter.name)
        for text in value if isinstance(value, list) else [value]:
            if choices and text not in choices:
                yield f"unknown {_label(parameter)} '{text}': expected one of {', '.join(choices)}"


def choices_of(parameter: Any) -> tuple[str, ...]:
    """Return the choices of a parameter, if it has any."""
    kind = parameter.type_descriptor.annotation
    return get_args(kind) if get_origin(kind) is Literal else ()


def _faults_of_numbers(names: Mapping[str, str], values: Mapping[str, Any]) -> Iterator[str]:
    """Yield errors in parsed numbers that range checks miss, such as `nan`."""
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{names[name]} {value} is out of range: expected a finite number"
        elif isinstance(value, int | float) and abs(value) > _GREATEST:
            yield f"{names[name]} {value} is out of range: expected at most {_GREATEST:.0e}"


def parse_numbers(option: str, text: str, example: str) -> tuple[int, ...]:
    """Return different positive numbers in the order given, from comma-separated ones."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"{option} '{text}': expected positive integers, such as {example}")
    return tuple(dict.fromkeys(int(part) for part in parts))
