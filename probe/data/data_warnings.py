"""Faults of a data set's files that leave it usable: gathered by kind, said under the table."""

from dataclasses import dataclass, field

__all__ = ["Defects"]

_ROWS_SHOWN = 3


@dataclass
class Defects:
    """Faults that leave a data set usable, gathered by kind."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Note one fault."""
        self.places.setdefault(kind, []).append(place)

    def summarise(self) -> tuple[str, ...]:
        """Return one line per kind, with its first places."""
        return tuple(
            f"{len(places)} {kind}: {', '.join(places[:_ROWS_SHOWN])}{', ...' if len(places) > _ROWS_SHOWN else ''}"
            for kind, places in self.places.items()
        )
