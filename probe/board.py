"""The head that the JSON of every board begins with."""

from dataclasses import asdict
from typing import Any, Protocol

__all__ = ["SCHEMA", "Board", "board_dict"]

SCHEMA = 1


class Board(Protocol):
    """Rows and everything that decided them."""

    @property
    def command(self) -> str:
        """The command line, or the call, that made it."""
        ...

    @property
    def created(self) -> str:
        """When, in ISO 8601."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """Everything of the footer."""
        ...

    @property
    def rows(self) -> tuple[Any, ...]:
        """Frozen dataclasses, in the order of the table."""
        ...


def board_dict(kind: str, board: Board) -> dict[str, Any]:
    """Return a board as plain values, in the order of the JSON form.

    Args:
        kind: What its rows are: `leaderboard`, `geometry`, `classify`, `similarity`.
        board: The board.

    Returns:
        Plain values; every key of a row is there, null where it does not apply.
    """
    return {
        "schema": SCHEMA,
        "kind": kind,
        "command": board.command,
        "created": board.created,
        "settings": board.settings,
        "rows": [asdict(row) for row in board.rows],
    }
