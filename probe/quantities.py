"""Numbers as people read them: 13.2M, 6.8 GB, 9.6 h."""

__all__ = ["brief", "duration", "size"]

_STEP = 1000
_PREFIXES = ("", "k", "M", "G", "T", "P", "E", "Z")
# From how many seconds on a unit is used, and how long it is; the longest first.
_SPANS = (
    (2 * 365 * 86_400, 365 * 86_400, "years"),
    (2 * 86_400, 86_400, "days"),
    (3600, 3600, "h"),
    (60, 60, "min"),
    (0, 1, "s"),
)


def brief(number: float, gap: str = "") -> str:
    """Return a number in three digits, with a decimal prefix: `13.2M`.

    Args:
        number: Zero or more.
        gap: Stands before the prefix.
    """
    power = 0
    while _round(number) >= _STEP and power < len(_PREFIXES) - 1:
        number, power = number / _STEP, power + 1
    return f"{_digits(_round(number))}{gap}{_PREFIXES[power]}"


def size(count: float) -> str:
    """Return a number of bytes: `6.81 GB`."""
    return f"{brief(count, ' ')}B"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: `9.60 h`."""
    length, unit = next((length, unit) for least, length, unit in _SPANS if seconds >= least)
    return f"{_digits(_round(seconds / length))} {unit}"


def _round(number: float) -> float:
    """Return a number with three digits that count; a greater one whole."""
    return float(f"{number:.3g}") if number < _STEP else float(round(number))


def _digits(number: float) -> str:
    if number == int(number):
        return f"{number:,.0f}"
    return f"{number:.{2 if number < 10 else 1}f}"
