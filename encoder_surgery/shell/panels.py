"""Panels of options in a command's help: the usual ones in `--help`, the advanced ones in `--help-all` too."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

__all__ = ["ADVANCED_PANEL", "MAIN_PANEL", "RUN_PANEL", "hidden_advanced", "show_all", "unwrap"]

# The panel that typer opens for options without one.
MAIN_PANEL = "Options"
RUN_PANEL = "Run"
ADVANCED_PANEL = "Advanced"
# Panels whose options all are advanced.
_ADVANCED = frozenset({ADVANCED_PANEL, "Loss", "Hard negatives"})

_ALL = "encoder_surgery.help_all"


def show_all(context: typer.Context, asked: bool) -> None:
    """Print the help with every panel and exit; the callback of `--help-all`."""
    if asked:
        context.meta[_ALL] = True
        typer.echo(context.get_help())
        raise typer.Exit


@contextmanager
def hidden_advanced(context: Any) -> Iterator[None]:
    """Hide the advanced options while the help is formatted, unless all are to be shown."""
    advanced = [] if _ALL in context.meta else list(filter(_is_advanced, context.command.params))
    for parameter in advanced:
        parameter.hidden = True
    try:
        yield
    finally:
        for parameter in advanced:
            parameter.hidden = False


def _is_advanced(parameter: Any) -> bool:
    return getattr(parameter, "rich_help_panel", None) in _ADVANCED


def unwrap(text: str | None) -> str:
    """Return a docstring with one line per paragraph, as the help wraps lines itself."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text or "").split("\n\n"))
