"""How every picture looks: colours that all can tell apart, sizes for print, files with the same bytes every time."""

import io
import re
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure

from probe.io.files import replace_file
from probe.results.colours import COLOURS, NEUTRAL, OTHERS, tone_of

__all__ = [
    "GREY",
    "MAP_COLOURS",
    "WIDTH",
    "LineStyle",
    "Picture",
    "add_legend",
    "house_style",
    "result_title",
    "save_figure",
    "style_of",
    "wrap_name",
]

# Inches, of figures that fill the text width of an A4 page: nothing is scaled down there, and 8 points stay 8 points.
WIDTH = 7.6
GREY = NEUTRAL.light
MAP_COLOURS = "cividis"

_SETTINGS: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.labelsize": 8.5,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "savefig.dpi": 200,
    # A folder's name may hold a dollar sign.
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "encoder-surgery",
    "pdf.fonttype": 42,
}
_METADATA: Mapping[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}

_MARKERS = ("o", "^", "D", "v", "p", "<", ">", "*", "h", "d")
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (8, 2)))


@dataclass(frozen=True)
class LineStyle:
    """How a curve is drawn: colour, marker and line each tell it apart, so that print without colour does as well."""

    colour: str
    marker: str
    line: Any


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        out = io.BytesIO()
        _write(self, out, "png")
        return out.getvalue()


def style_of(family: int, variant: int = 0, *, adapted: bool = False) -> LineStyle:
    """Return the style of a curve.

    Args:
        family: Decides colour and marker.
        variant: Decides the line, together with how often the colours were used up.
        adapted: Whether an adaptor is on top.
    """
    line = variant + 2 * (max(0, family - 1) // len(OTHERS))
    colour = COLOURS[tone_of(family, adapted=adapted)].light
    return LineStyle(colour, _MARKERS[family % len(_MARKERS)], _LINES[line % len(_LINES)])


@contextmanager
def house_style() -> Iterator[None]:
    """Draw in our style, whatever the user's matplotlibrc says."""
    with style.context(["default", _SETTINGS]):
        yield


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as .png, .svg or .pdf, whole or not at all; equal figures give equal bytes."""
    replace_file(path, lambda scratch: _write(figure, scratch, path.suffix.lower().lstrip(".")))


def _write(figure: Figure, out: Any, kind: str) -> None:
    with house_style():
        figure.savefig(out, format=kind, metadata=_METADATA[kind], bbox_inches="tight")


def wrap_name(name: str, width: int) -> str:
    """Break a long name into lines of at most `width`, after a plus sign or a slash where there is one."""
    lines = [""]
    for piece in re.findall(r"[^+/ ]*[+/ ]?", name):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(part for line in lines for part in textwrap.wrap(line, width) or [""]).strip("\n")


def result_title(settings: Mapping[str, Any], what: str) -> str:
    """Return the title of a result's picture: what is drawn, of which data, and whether the data are made up."""
    data = settings["dataset"]
    title = f"{what} on {data['name']} ({data['split']})"
    title += f": {data['queries']:,} queries, {data['documents']:,} documents" + (
        ", limited" if data["limited"] else ""
    )
    if data["synthetic"]:
        title += f"\nSYNTHETIC data: {data['synthetic']}"
    return "\n".join(textwrap.fill(line, 95) for line in title.splitlines())


def add_legend(figure: Figure, handles: Mapping[str, Any]) -> float:
    """Put a legend below all panels, in as many columns as its longest name leaves room for; return its inches."""
    if not handles:
        return 0
    names = [wrap_name(name, 100) for name in handles]
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(4, len(names), 125 // (longest + 9)))
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=columns)
    return 0.19 * max(1, sum(name.count("\n") + 1 for name in names) / columns)
