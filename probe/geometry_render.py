"""Draw the geometry of layers: a table, maps of how alike the layers are, and a footer."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.cells import draw_table, show_number
from probe.cka_grids import cka_grids
from probe.geometry_board import GeometryBoard, GeometryRow
from probe.heat_map import draw_map
from probe.render import dataset_line, model_lines, print_whole

__all__ = ["geometry_cells", "geometry_lines", "print_geometry"]

_SPARKS = "▁▂▃▄▅▆▇█"
_AXES = 12
_TITLES = (
    "encoder",
    "dim",
    "mean cos",
    "eff. rank",
    "top axis",
    "norm",
    "alignment",
    "uniformity",
    "dominant",
    "spectrum",
)
_WORDS = (
    "mean cos: over all pairs of texts, 1 = all point one way; eff. rank: exponential of the entropy of the singular "
    "values' shares (Roy and Vetterli); top axis: share of the first principal axis, uncentred; norm: mean ± standard "
    "deviation, as pooled",
    "alignment: mean squared distance of judged pairs, uniformity: log mean exp(-2 distance²) (Wang and Isola), both "
    "of vectors of length 1; dominant: dimensions, from 0, with their share of the mean cosine; spectrum: 12 axes",
    "CKA: linear, centred (Kornblith et al.); 1 = alike up to rotation, scale and shift",
)


def print_geometry(board: GeometryBoard, console: Console) -> None:
    """Print the table, the maps and the footer.

    Args:
        board: The measures.
        console: Where to print; the table is whole, however narrow it is.
    """
    print_whole(_table(board), console)
    for grid in cka_grids(board):
        title = f"CKA: layers of {grid.first} (down) and of {grid.second} (across)"
        print_whole(draw_map(grid.values, title), console)
    for line in geometry_lines(board):
        console.print(Text(line, style="dim"))


def geometry_lines(board: GeometryBoard) -> list[str]:
    """Return the footer: what was measured, how, and on what."""
    settings = board.settings
    sample = f"measured: {settings['sample']} documents, spread evenly, and {settings['pairs']} judged pairs"
    models = [line for model in settings["models"] for line in model_lines(model)]
    return [sample, *_WORDS, dataset_line(settings["dataset"]), *models]


def _table(board: GeometryBoard) -> Table:
    data = board.settings["dataset"]
    title = f"geometry on {data['name']} ({data['split']})"
    return draw_table(title, *geometry_cells(board), ("encoder", "dominant", "spectrum"))


def geometry_cells(board: GeometryBoard) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of every row, as text."""
    return list(_TITLES), [_cells(row) for row in board.rows]


def _cells(row: GeometryRow) -> list[str]:
    mark = " collapsed" if row.collapsed else ""
    return [
        row.encoder + mark,
        str(row.dim),
        f"{row.mean_cosine:.3f}",
        f"{row.effective_rank:.1f}",
        f"{row.top_share:.3f}",
        f"{row.norm:.2f} ± {row.norm_deviation:.2f}",
        show_number(row.alignment, ".3f"),
        f"{row.uniformity:.2f}",
        " ".join(f"{dim}:{share:.0%}" for dim, share in row.dominant),
        "".join(_SPARKS[min(7, int(8 * share / max(row.spectrum[0], 1e-12)))] for share in row.spectrum[:_AXES]),
    ]
