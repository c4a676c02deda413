"""The options of a map between models."""

from dataclasses import dataclass
from typing import Literal

from probe.errors import GREATEST_SEED, CallError, check_number

__all__ = ["MapOptions"]

_SIDES = ("queries", "documents")


@dataclass(frozen=True)
class MapOptions:
    """How a map between models is fitted.

    Attributes:
        side: The side of a search that is mapped, `queries` or `documents`; the other model embeds the other side.
        rank: Largest rank of the map; default: no limit.
        seed: Random seed of the texts that are drawn and held out.
    """

    side: Literal["queries", "documents"] = "queries"
    rank: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the values are in range.

        Raises:
            CallError: One is not.
        """
        if self.side not in _SIDES:
            raise CallError(f"--map '{self.side}': expected one of {', '.join(_SIDES)}")
        check_number("--rank", self.rank, 1)
        check_number("--seed", self.seed, 0, most=GREATEST_SEED)
