"""Draw the list of a store's shelves."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from probe.store.inventory import ShelfSummary

__all__ = ["store_table"]


def store_table(shelves: Sequence[ShelfSummary]) -> Table:
    """Return the shelves as a rich table with their sizes in megabytes."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for title in ("model", "data set", "side", "dtype"):
        table.add_column(title, no_wrap=True)
    for title in ("tokens", "texts", "hookpoints", "chunks", "MB", "last used"):
        table.add_column(title, justify="right", no_wrap=True)
    for shelf in shelves:
        numbers = (shelf.max_tokens, shelf.texts, shelf.hookpoints, shelf.chunks)
        words = (shelf.model, shelf.dataset, shelf.side, shelf.dtype)
        table.add_row(*map(Text, words), *map(str, numbers), f"{shelf.bytes / 1e6:.1f}", shelf.used[:16])
    total = sum(shelf.bytes for shelf in shelves) / 1e6
    table.caption = f"{len(shelves)} shelves, {total:.1f} MB"
    return table
