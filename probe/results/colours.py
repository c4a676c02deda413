"""What the colours of pictures and reports mean, in one place.

Blue is an encoder as it is; orange is one with a lens or another adaptor on top. Neither ever means anything else:
further models and kinds of adaptors have the other colours, grey is for controls and references (BM25, shuffled labels)
and for the Pareto front, a staircase. Every colour has a shade for white paper and one for dark pages. Readers who
see no difference between red and green can tell them apart, and lines and markers differ as well.
"""

from dataclasses import dataclass

__all__ = ["ADAPTED", "COLOURS", "FROZEN", "NEUTRAL", "OTHERS", "Colour", "tone_of"]


@dataclass(frozen=True)
class Colour:
    """A colour.

    Attributes:
        light: On white paper, as `#rrggbb`.
        dark: On a dark page.
    """

    light: str
    dark: str


FROZEN = Colour("#0072b2", "#56b4e9")
ADAPTED = Colour("#c04f00", "#ff9b52")
OTHERS = (
    Colour("#007a5c", "#3ccf9f"),
    Colour("#a8478a", "#e59cc9"),
    Colour("#7a6a00", "#f0e442"),
    Colour("#6a4fb3", "#b9a7f2"),
    Colour("#8c2d2d", "#f2a3a3"),
)
NEUTRAL = Colour("#59636e", "#a5afba")
# A tone is an index into these.
COLOURS = (FROZEN, ADAPTED, *OTHERS)


def tone_of(family: int, *, adapted: bool = False) -> int:
    """Return the index of a curve's colour.

    Args:
        family: Number of its model, or of its kind of adaptor, from 0.
        adapted: Whether an adaptor is on top; only the first model has a colour of its own for that.
    """
    if family == 0:
        return 1 if adapted else 0
    return 2 + (family - 1) % len(OTHERS)
