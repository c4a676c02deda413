"""Options that would do nothing in a call, refused by a table of rules that a command is declared with."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Idle", "idle_options", "refuses"]

_RULES = "idle_rules"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Idle:
    """A rule on options that say nothing.

    Attributes:
        options: Names of parameters.
        where: Whether they do nothing, given all parsed values by name.
        how: What makes it so, after `does nothing`: the other option by its name; `{name}` stands for a value.
    """

    options: tuple[str, ...]
    where: Callable[[Mapping[str, Any]], bool]
    how: str


def refuses(*rules: Idle) -> Callable[[Command], Command]:
    """Have a command refuse options that would do nothing."""

    def declare(command: Command) -> Command:
        """Keep the rules where the command's parser finds them."""
        setattr(command, _RULES, rules)
        return command

    return declare


def idle_options(
    command: Any, names: Mapping[str, str], *, given: Collection[str], parsed: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a sentence for every option that was given and does nothing.

    Args:
        command: What the rules were declared with, or its wrapper.
        names: How each parameter is typed.
        given: Names of the parameters that were typed.
        parsed: Values of all parameters, by name.
    """
    for rule in getattr(command, _RULES, ()):
        for option in rule.options:
            if option in given and rule.where(parsed):
                yield f"{names[option]} does nothing {rule.how.format_map(parsed)}: leave it out"
