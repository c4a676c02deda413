"""Reject options that would have no effect, by rules declared with each command."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

__all__ = ["Idle", "idle_options", "refuses"]

_RULES = "idle_rules"

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Idle:
    """A rule on options without effect.

    Attributes:
        options: Parameter names.
        where: Returns whether they have no effect, given all parsed values by name.
        how: The reason, which follows `does nothing` in the message; `{name}` is replaced by a parsed value.
    """

    options: tuple[str, ...]
    where: Callable[[Mapping[str, Any]], bool]
    how: str


def refuses(*rules: Idle) -> Callable[[Command], Command]:
    """Make a command reject options that would have no effect."""

    def declare(command: Command) -> Command:
        """Attach the rules to the command for its parser."""
        setattr(command, _RULES, rules)
        return command

    return declare


def idle_options(
    command: Any, names: Mapping[str, str], *, given: Collection[str], parsed: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a message for every given option that has no effect.

    Args:
        command: The decorated command, or its wrapper.
        names: Option name of each parameter.
        given: Names of the parameters given on the command line.
        parsed: Values of all parameters by name.
    """
    for rule in getattr(command, _RULES, ()):
        for option in rule.options:
            if option in given and rule.where(parsed):
                yield f"{names[option]} does nothing {rule.how.format_map(parsed)}: leave it out"
