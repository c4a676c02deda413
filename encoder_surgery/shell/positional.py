"""Values that are typed either by position or by option: `probe layers minilm` and `probe layers --model minilm`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import typer

__all__ = ["Positional", "both_forms", "join_forms", "mark_of", "positional"]

_FORMS = "positional_or_option"
_SUFFIX = "_option"


@dataclass(frozen=True)
class Positional:
    """The mark of a parameter that may be typed either way.

    Attributes:
        help: Help text of the argument.
        names: Names of the option.
        complete: Lists completions of a prefix.
    """

    help: str
    names: tuple[str, ...]
    complete: Callable[[str], list[str]] | None = None


@dataclass(frozen=True)
class _Form:
    """A parameter with two forms: its label, whether it takes several values, and its default, if it has one."""

    label: str
    is_many: bool
    default: Any


def positional(help: str, *names: str, complete: Callable[[str], list[str]] | None = None) -> Positional:
    """Return the mark for `Annotated`.

    Args:
        help: Help text of the argument.
        names: Names of the option, such as `--model`, `-m`.
        complete: Lists completions of a prefix.
    """
    return Positional(help, names, complete)


def mark_of(parameter: inspect.Parameter) -> Positional | None:
    """Return the mark of a parameter, or None."""
    return next((part for part in get_args(parameter.annotation)[1:] if isinstance(part, Positional)), None)


def both_forms(parameters: Sequence[inspect.Parameter], command: Any) -> list[inspect.Parameter]:
    """Return the parameters of a command, those with two forms as an argument and an option.

    Args:
        parameters: Parameters as declared.
        command: The function that typer will call; `join_forms` reads the forms from it.
    """
    forms: dict[str, _Form] = {}
    listed: list[inspect.Parameter] = []
    for parameter in parameters:
        mark = mark_of(parameter)
        if mark is None:
            listed.append(parameter)
            continue
        kind = get_args(parameter.annotation)[0]
        forms[parameter.name] = _Form(mark.names[0], get_origin(kind) is list, parameter.default)
        listed += _split(parameter, kind, mark)
    setattr(command, _FORMS, forms)
    return listed


def _split(parameter: inspect.Parameter, kind: Any, mark: Positional) -> list[inspect.Parameter]:
    """Return the two parameters that typer sees for one."""
    help = mark.help + _describe_default(parameter.default)
    name = parameter.name.upper().removesuffix("S")
    argument = typer.Argument(help=help, metavar=name, autocompletion=mark.complete)
    option = typer.Option(*mark.names, help=f"{name} as an option.", autocompletion=mark.complete)
    made = (parameter.name, argument), (parameter.name + _SUFFIX, option)
    return [parameter.replace(name=name, default=None, annotation=Annotated[kind | None, info]) for name, info in made]


def _describe_default(default: Any) -> str:
    if default is inspect.Parameter.empty or not default:
        return ""
    return f" Default: {', '.join(default) if isinstance(default, list) else default}."


def join_forms(command: Any, params: dict[str, Any], labels: Mapping[str, str]) -> str | None:
    """Put the values of both forms together under the parameter's name, in place.

    Args:
        command: What `both_forms` read, or its wrapper.
        params: Parsed values by name.
        labels: How each parameter is typed.

    Returns:
        What is wrong with them, or None.
    """
    for name, form in getattr(command, _FORMS, {}).items():
        by_place, by_option = params[name], params.pop(name + _SUFFIX)
        if form.is_many:
            values = [*(by_place or ()), *(by_option or ())]
        else:
            values = [value for value in (by_place, by_option) if value is not None]
            if len(values) > 1:
                return f"{labels[name]} '{by_place}' and {form.label} '{by_option}' are the same parameter: give one"
        if not values and form.default is inspect.Parameter.empty:
            return f"{labels[name]} is missing: give it as an argument or with {form.label}"
        params[name] = (values if form.is_many else values[0]) if values else copy(form.default)
    return None
