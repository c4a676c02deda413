"""The wrapper around every command: app, options, errors, exit codes, and commands run by several processes."""

import functools
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from copy import copy
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, get_args

import typer
from typer.models import ArgumentInfo

from encoder_surgery.shell.given import CheckedCommand
from encoder_surgery.shell.log_lines import set_verbosity
from encoder_surgery.shell.panels import ADVANCED_PANEL, RUN_PANEL, show_all, unwrap
from encoder_surgery.shell.positional import Positional, both_forms, mark_of
from encoder_surgery.shell.process import (
    PIPE_CLOSED,
    Terminated,
    check_names,
    discard_output,
    end_pipes,
    is_pipe_closed,
    open_streams,
    prepare_process,
    terminable,
    with_threads,
)
from probe.errors import ProbeError, first_line
from probe.io.files import as_refusal, reason
from probe.io.staging import scratch_files

__all__ = ["advanced", "app", "flag", "friendly", "leave_to_first", "shared"]

Command = Callable[..., None]

# Part of torch's message when the CPU is out of memory.
_NO_MEMORY = "can't allocate memory"
_SHARED = "shares_work"
# Name, help, panel and option names of the flags that every command has.
_COMMON = (
    ("quiet", "Print only warnings and errors on stderr.", RUN_PANEL, "--quiet", "-q"),
    ("verbose", "Print every detail on stderr.", ADVANCED_PANEL, "--verbose", "-v"),
    ("debug", "Show the traceback of an error.", ADVANCED_PANEL, "--debug"),
)
# torchrun sets these; a library that sees them waits for the other processes.
_CALLS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Seconds within which the launcher ends this process if the first one failed.
_GRACE = 30.0


class _App(typer.Typer):
    """An app that handles closed streams and pipes."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Run it on the command line."""
        open_streams()
        with end_pipes():
            return super().__call__(*args, **named)


def app(help: str, example: str, commands: Mapping[str, Command] | None = None) -> typer.Typer:
    """Return an app whose help ends with an example.

    Args:
        help: Purpose of the app.
        example: Example command line.
        commands: Its commands, keyed by the example at the end of each command's help.
    """
    made = _App(
        help=help,
        epilog=f"Example: {example}",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    made.command = functools.partial(made.command, cls=CheckedCommand)  # type: ignore[method-assign]
    made.callback()(_root)
    for line, command in (commands or {}).items():
        made.command(epilog=f"Example: {line}")(command)
    return made


def flag(help: str, *names: str, panel: str | None = None, **rules: Any) -> Any:
    """Return an option for `Annotated`.

    Args:
        help: Help text.
        names: Names of the option, unless they follow from the parameter's.
        panel: Panel of the help; default: that of the option's group.
        rules: Further arguments of `typer.Option`.
    """
    return typer.Option(*names, help=help, rich_help_panel=panel, **rules)


def advanced(help: str, *names: str, **rules: Any) -> Any:
    """Return an option for `Annotated` that only `--help-all` shows; arguments as in `flag`."""
    return flag(help, *names, panel=ADVANCED_PANEL, **rules)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"encoder-surgery {version('encoder-surgery')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, flag("Show the version and exit.", "--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options of the program itself."""


def friendly(command: Command) -> Command:
    """Turn a function into a command for typer.

    A parameter annotated with a dataclass is a group of options, one per field. An error becomes a message on stderr
    and the matching exit code; `--debug`, which every command has, shows the traceback instead.
    """

    @functools.wraps(command)
    def run(*, debug: bool = False, quiet: bool = False, verbose: bool = False, **values: Any) -> None:
        """Run the command."""
        prepare_process(verbose)
        set_verbosity(quiet=quiet, verbose=verbose)
        if not getattr(command, _SHARED, False):
            leave_to_first()
        try:
            threads = with_threads(values["threads"]) if "threads" in values else nullcontext()
            with _silence_others(), terminable(), threads, scratch_files():
                check_names(values)
                command(**_group_values(command, values))
            sys.stdout.flush()
        except typer.Exit:
            raise
        except BrokenPipeError as error:
            if not is_pipe_closed():  # another pipe was broken
                raise _failed(_describe_refusal(error), 1) from error
            discard_output()
            raise typer.Exit(PIPE_CLOSED) from None
        except (KeyboardInterrupt, Terminated) as error:
            raise _stopped(error) from None
        except Exception as error:
            if debug:
                raise
            raise _failed(*_explain(error)) from error

    run.__doc__ = unwrap(command.__doc__)
    options = both_forms(_list_options(command), run)
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    run.__annotations__ = {option.name: option.annotation for option in options}
    return run


def _list_options(command: Command) -> list[inspect.Parameter]:
    """Return the parameters of a command: its own, those of its groups, then the common ones."""
    parameters = inspect.signature(command).parameters.values()
    own = [parameter for parameter in parameters if not is_dataclass(parameter.annotation)]
    groups: list[Any] = [parameter.annotation for parameter in parameters if is_dataclass(parameter.annotation)]
    grouped = [_in_panel(option, group) for group in groups for option in inspect.signature(group).parameters.values()]
    listed = [*sorted([*own, *grouped], key=_prominence), _help_all(), *(_common(*one) for one in _COMMON)]
    return [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in listed]


def _common(name: str, help: str, panel: str, *names: str) -> inspect.Parameter:
    """Return a flag that every command has."""
    annotation = Annotated[bool, flag(help, *names, panel=panel)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


def _help_all() -> inspect.Parameter:
    annotation = Annotated[
        bool, flag("Show all options, including advanced ones.", "--help-all", callback=show_all, is_eager=True)
    ]
    return inspect.Parameter("help_all", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)


def _prominence(option: inspect.Parameter) -> int:
    """Return the rank of a parameter in the help: arguments first, then the data set, then all others."""
    if mark_of(option) or any(isinstance(part, ArgumentInfo) for part in get_args(option.annotation)):
        return 0
    return 1 if option.name == "dataset" else 2


def _in_panel(option: inspect.Parameter, group: Any) -> inspect.Parameter:
    """Return an option that `--help` shows in the panel of its group, unless it has its own panel."""
    kind, info = get_args(option.annotation)
    if isinstance(info, Positional) or info.rich_help_panel:
        return option
    info = copy(info)
    info.rich_help_panel = group.panel
    return option.replace(annotation=Annotated[kind, info])


def _group_values(command: Command, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a command from the values of its options."""
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(command).parameters.items():
        group = parameter.annotation
        is_group = is_dataclass(group)
        arguments[name] = group(**{one.name: values[one.name] for one in fields(group)}) if is_group else values[name]
    return arguments


def _explain(error: Exception) -> tuple[str, int]:
    """Return the message and exit code of an error."""
    if isinstance(error, ProbeError):
        return str(error), error.exit_code
    refusal = error if isinstance(error, OSError) else as_refusal(error)
    if refusal is not None:
        return _describe_refusal(refusal), 1
    kind, words = type(error).__name__, first_line(error)
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError" or _NO_MEMORY in str(error):
        return f"out of memory ({words}): use smaller batches or a machine with more memory", 1
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply ({words})", 1
    if isinstance(error, ImportError):
        return f"a package cannot be imported ({words}): the installation may be incomplete", 1
    return f"internal error, please report (--debug for the traceback): {kind}: {words}", 1


def _describe_refusal(error: OSError) -> str:
    name = f"'{os.fsdecode(error.filename)}': " if isinstance(error.filename, str | bytes) else ""
    return f"system error: {name}{reason(error)}"


def _stopped(error: KeyboardInterrupt | Terminated) -> typer.Exit:
    """Report that the command was stopped and what it saved, in the first process only."""
    words, exit_code = ("terminated", error.exit_code) if isinstance(error, Terminated) else ("interrupted", 130)
    if not _process_rank():
        _print_error(": ".join([words, *getattr(error, "__notes__", ())]))
    return typer.Exit(exit_code)


def _failed(message: str, exit_code: int) -> typer.Exit:
    if _process_rank():
        _report_late(message)
    else:
        _print_error(message)
    return typer.Exit(exit_code)


def _print_error(message: str) -> None:
    with suppress(OSError):  # the exit code reports the failure as well
        typer.echo(f"error: {message}", err=True)


def shared(command: Command) -> Command:
    """Mark a command whose work is shared by several processes."""
    setattr(command, _SHARED, True)
    return command


def _process_rank() -> int:
    return int(os.environ.get("RANK", "0"))


def leave_to_first() -> None:
    """Continue in the first of several processes as if it were the only one, and exit in the others."""
    if _process_rank():
        raise typer.Exit
    for name in _CALLS:
        os.environ.pop(name, None)


@contextmanager
def _silence_others() -> Iterator[None]:
    """Discard the output of all processes except the first."""
    if not _process_rank():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _report_late(message: str) -> None:
    """Report an error of another process after a delay, in which the launcher ends it if the first process failed."""
    time.sleep(_GRACE)
    print(f"error: process {_process_rank()}: {message}", file=sys.__stderr__)
