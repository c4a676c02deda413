"""What the colours of pictures and reports mean, in one place.

Blue is an encoder as it is; orange is one with a lens or another adaptor on top. Neither ever means anything else:
further models and kinds of adaptors have the other colours, grey is for controls and references (BM25, shuffled labels)
and for the Pareto front, a staircase. Cells of a table are tinted green where better than the baseline and purple where
worse. Every colour has a shade for white paper and one for dark pages. Readers who
see no difference between red and green can tell them apart, and lines and markers differ as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "ADAPTED",
    "COLOURS",
    "FROZEN",
    "NEUTRAL",
    "OTHERS",
    "PAPER",
    "TINTS",
    "TINT_STEPS",
    "Colour",
    "luminance",
    "tint_of",
    "tone_of",
]


@dataclass(frozen=True)
class Colour:
    """A colour.

    Attributes:
        light: On white paper, as `#rrggbb`.
        dark: On a dark page.
    """

    light: str
    dark: str

    def on(self, paper: "Colour", share: float) -> "Colour":
        """Return the colour thinned to a share of itself, on a paper."""
        return Colour(_mix(self.light, paper.light, share), _mix(self.dark, paper.dark, share))


def _mix(colour: str, paper: str, share: float) -> str:
    parts = ((int(colour[place : place + 2], 16), int(paper[place : place + 2], 16)) for place in (1, 3, 5))
    return "#" + "".join(f"{round(share * own + (1 - share) * under):02x}" for own, under in parts)


PAPER = Colour("#ffffff", "#14181d")
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
# Backgrounds of the cells of a table, from a small difference to a large one: better than the baseline, and worse.
_SHARES = (0.12, 0.22, 0.33, 0.45)
TINTS = tuple(tuple(colour.on(PAPER, share) for share in _SHARES) for colour in OTHERS[:2])
# The differences from which on a tint is the next one.
TINT_STEPS = (0.005, 0.02, 0.05, 0.1)
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


def tint_of(difference: float) -> int:
    """Return the number of a difference's tint: 0 for none, -4 for much worse than the baseline, 4 for much better."""
    size = sum(abs(difference) >= step for step in TINT_STEPS)
    return size if difference > 0 else -size


def luminance(colour: Sequence[float]) -> float:
    """Return the luminance of an sRGB colour of 0 to 1; above 0.179 black is read better than white (WCAG 2.2)."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
