"""The section of a report on the geometry of layers."""

from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

from probe.report.curves import lay_out
from probe.report.panels import Dot, Line, Panel
from probe.report.parts import Section, make_map, make_table
from probe.results.colours import tone_of
from probe.results.geometry import GeometryResult, GeometryRow
from probe.results.row import Grid

__all__ = ["geometry_section"]

_LOWER, _HIGHER = "{} by layer (lower is better)", "{} by layer (higher is better)"
_AXES = 64
# A spectrum is drawn down to this share; below it is rounding.
_LEAST_SHARE = 1e-6


def geometry_section(result: GeometryResult, source: Path) -> Section:
    """Return the section of a geometry read from a file."""
    data = result.settings["dataset"]
    models = " and ".join(model["name"] for model in result.settings["models"])
    title = f"Geometry of {models} on {data['name']} ({data['split']})"
    panels = [
        _by_layer(result, _LOWER.format("Anisotropy"), "mean cosine of all pairs", value=lambda row: row.mean_cosine),
        _by_layer(result, _HIGHER.format("Effective rank"), "dimensions", value=lambda row: row.effective_rank),
        _by_layer(
            result,
            _LOWER.format("Alignment of relevant pairs"),
            "mean squared distance",
            value=lambda row: row.alignment,
        ),
        _by_layer(result, _LOWER.format("Uniformity"), "log mean exp(-2 distance²)", value=lambda row: row.uniformity),
        _spectra(result),
    ]
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(_summary(result)),
        warnings=tuple(result.cautions()),
        table=make_table(
            f"{title}, layer by layer; ↑ higher is better, ↓ lower is better", result, without=("spectrum",)
        ),
        drawings=tuple(lay_out(panel) for panel in panels if panel is not None),
        maps=tuple(make_map(f"{grid.measure}: {grid.caption}", grid.values) for grid in result.grids()),
    )


def _summary(result: GeometryResult) -> Iterable[str]:
    yield from result.conclusions()
    for grid in result.grids():
        yield from _least_alike(grid)


def _least_alike(grid: Grid) -> Iterable[str]:
    layers = sorted({row for row, _ in grid.values})
    if grid.first != grid.second or len(layers) < 3:
        return
    neighbours = {(a, b): grid.values[a, b] for a, b in pairwise(layers)}
    least, value = min(neighbours.items(), key=lambda item: item[1])
    yield (
        f"{grid.first}: of neighbouring layers, {least[0]} and {least[1]} are least alike (CKA {value:.2f}); "
        f"the others have {min(v for k, v in neighbours.items() if k != least):.2f} or more."
    )


def _by_layer(
    result: GeometryResult, title: str, label: str, *, value: Callable[[GeometryRow], float | None]
) -> Panel | None:
    lines = []
    for number, (name, rows) in enumerate(result.by_model().items()):
        known = [(row, found) for row in rows if (found := value(row)) is not None]
        dots = [Dot(row.layer, v, f"{row.encoder}: {v:.4g}", hollow=row.collapsed) for row, v in known]
        lines.append(Line(name, tuple(dots), tone=tone_of(number)))
    if max(len(one.dots) for one in lines) < 2:
        return None
    return Panel(title, "layer (0 = embeddings)", label, tuple(lines), whole=True)


def _spectra(result: GeometryResult) -> Panel | None:
    """Return the spectra of the first, the middle and the last two layers of every model."""
    lines: list[Line] = []
    for rows in result.by_model().values():
        chosen = sorted({0, len(rows) // 2, max(0, len(rows) - 2), len(rows) - 1})
        for row in (rows[number] for number in chosen):
            shares = [(axis, share) for axis, share in enumerate(row.spectrum[:_AXES], 1) if share > _LEAST_SHARE]
            dots = [Dot(axis, share, f"{row.encoder}, axis {axis}: {share:.2%}") for axis, share in shares]
            lines.append(Line(row.encoder, tuple(dots), tone=tone_of(len(lines))))
    lines = [one for one in lines if one.dots]
    if not lines:
        return None
    return Panel(
        "Spectrum (flatter is better)",
        "principal axis, largest first",
        "share of the energy",
        tuple(lines),
        whole=True,
        logarithmic=True,
    )
