"""The commands of `probe store`."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from encoder_surgery.shell.app import app, flag, friendly
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.options import StoreFolder
from encoder_surgery.shell.output import FormatFlag, as_json, say
from encoder_surgery.shell.progress import working
from probe.errors import CallError, ProbeError

if TYPE_CHECKING:
    from probe.store.store import Store

__all__ = ["store_app"]

store_app = app("Inspect, verify and prune the cached vectors.", "probe store list")


@store_app.command("list", epilog="Example: probe store list")
@friendly
def show(store: StoreFolder, output: FormatFlag) -> None:
    """List the cached vectors: model, data set, settings, size, last use."""
    from probe.store.inventory import find_leftovers, list_shelves, store_table

    opened = _open(store)
    shelves = list_shelves(opened)
    found = [{**vars(shelf), "folder": str(shelf.folder)} for shelf in shelves]
    output.show(as_json(found), lambda: [store_table(shelves)])
    if output.format == "table":
        say(f"store: {opened.folder}")
        left = len(find_leftovers(opened))
        if left:
            say(f"{left} incomplete files and folders from interrupted runs: delete them with `probe store prune`")


@store_app.command(epilog="Example: probe store verify")
@friendly
def verify(store: StoreFolder) -> None:
    """Verify every checksum and list damaged files; exit code 1 if there are any. Changes nothing."""
    from probe.store.inventory import verify as verify_store

    opened = _open(store)
    checked = 0
    with working() as report:

        def count(done: int, total: int) -> None:
            """Add to the number of checked files, and show it."""
            nonlocal checked
            checked += done
            report("files", done, total)

        damaged = verify_store(opened, count)
    for message in damaged:
        typer.echo(message)
    if damaged:
        raise ProbeError(
            f"{len(damaged)} of {checked} files are damaged: the next run that needs them encodes their texts again"
        )
    typer.echo(f"{checked} {'file' if checked == 1 else 'files'}, none damaged")


@store_app.command(epilog="Example: probe store prune --unused-for 30 --dry-run")
@friendly
@refuses(
    Idle(("everything",), lambda values: values["model"] is not None, "with --model"),
    Idle(("everything",), lambda values: values["unused_for"] is not None, "with --unused-for"),
    Idle(("yes",), lambda values: values["dry_run"], "with --dry-run"),
)
def prune(
    model: Annotated[str | None, flag("Vectors of this model.", "--model", "-m")] = None,
    unused_for: Annotated[float | None, flag("Vectors not used for this many days.", min=0)] = None,
    everything: Annotated[bool, flag("All vectors.", "--all")] = False,
    dry_run: Annotated[bool, flag("List the files, delete nothing.", "--dry-run")] = False,
    yes: Annotated[bool, flag("Delete without asking.", "--yes", "-y")] = False,
    *,
    store: StoreFolder,
) -> None:
    """Delete damaged and incomplete files, and the vectors selected by options; asks first."""
    from probe.store.inventory import find_rubbish, select_shelves
    from probe.store.inventory import prune as delete

    opened = _open(store)
    _check_model(opened, model)
    shelves = select_shelves(opened, model, unused_for, everything=everything)
    with working() as report:
        rubbish = find_rubbish(opened, partial(report, "files"))
    paths = [*shelves, *(path for path in rubbish if path.parent not in shelves)]
    if dry_run:
        for path in paths:
            typer.echo(path)
        say(f"{len(paths)} folders and files would be deleted")
        return
    _confirm(len(paths), yes)
    files, size = delete(paths)
    typer.echo(f"deleted {files} files, {size / 1e6:.1f} MB")


def _check_model(store: "Store", model: str | None) -> None:
    from probe.store.inventory import list_shelves

    known = sorted({shelf.model for shelf in list_shelves(store)})
    if model is not None and model not in known:
        expected = f"expected one of {', '.join(known)}" if known else "the store is empty"
        raise CallError(f"there are no cached vectors of '{model}': {expected}")


def _confirm(count: int, yes: bool) -> None:
    """Ask before a deletion.

    Raises:
        CallError: There is no terminal to ask.
    """
    if yes or not count:
        return
    if not sys.stdin.isatty():
        raise CallError(f"{count} folders and files would be deleted, and there is no terminal to ask: add --yes")
    if not typer.confirm(f"Delete {count} folders and files?", err=True):
        raise typer.Exit(1)


def _open(folder: StoreFolder) -> "Store":
    opened = folder.open()
    if opened is None:
        raise ProbeError("there is no store: its folder cannot be created")
    return opened
