"""Results as pictures; matplotlib is imported where one is drawn, and never its pyplot."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import CallError
from probe.results.charts import PairMap
from probe.results.classification import ClassificationResult
from probe.results.gate import GateResult
from probe.results.geometry import GeometryResult
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import DatasetMatrix
from probe.results.similarity import SimilarityResult
from probe.results.slim import SlimResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SUFFIXES", "check_matplotlib", "plot", "save_picture"]

SUFFIXES = (".png", ".svg", ".pdf")

# Per kind of result, the module whose `draw(result)` draws it.
_HOMES: dict[type, str] = {
    DatasetMatrix: "matrix",  # before the leaderboard, which it is one of
    Leaderboard: "leaderboard",
    GeometryResult: "geometry",
    ClassificationResult: "labelled",
    SimilarityResult: "labelled",
    SlimResult: "slim",
    GateResult: "gate",
    PairMap: "similarity_map",
}


def check_matplotlib(wanted_by: str = "a picture") -> None:
    """Fail early where the extra is not installed; the message says what wants it.

    Raises:
        CallError: It is not.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise CallError(f"{wanted_by} needs matplotlib: pip install 'encoder-surgery[plot]'") from error


def plot(result: Any) -> "Figure":
    """Draw a result; a notebook shows the figure, and `savefig` writes it.

    Args:
        result: A leaderboard, or another result of this package.

    Returns:
        A matplotlib figure that pyplot knows nothing of.

    Raises:
        CallError: There is nothing to draw, or no matplotlib to draw with.
    """
    home = next((home for kind, home in _HOMES.items() if isinstance(result, kind)), None)
    if home is None:
        raise CallError(f"a {type(result).__name__} cannot be drawn: expected {_names()}")
    check_matplotlib()
    figure: Figure = import_module(f"probe.plots.{home}").draw(result)
    return figure


def _names() -> str:
    return " or ".join(kind.__name__ for kind in _HOMES)


def save_picture(result: Any, path: Path) -> None:
    """Draw a result into a file, whole or not at all; equal results give equal bytes.

    Args:
        result: What `plot` takes.
        path: A file ending in one of `SUFFIXES`.

    Raises:
        CallError: There is nothing to draw, or the suffix is another.
        OSError: The file cannot be written.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise CallError(f"'{path}' is no picture: expected a file ending in {', '.join(SUFFIXES)}")
    figure = plot(result)
    from probe.plots.style import save_figure

    save_figure(figure, path)
