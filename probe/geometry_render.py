"""Draw the geometry of layers: a table, maps of how alike the layers are, and a footer."""

from itertools import combinations_with_replacement

from rich.console import Console
from rich.table import Table
from rich.text import Text

from probe.cells import draw_table, show_number
from probe.geometry_board import GeometryBoard, GeometryRow
from probe.heat_map import draw_map
from probe.render import dataset_line, model_lines, print_whole

__all__ = ["print_geometry"]

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
    for table in _maps(board):
        print_whole(table, console)
    data, models = board.settings["dataset"], board.settings["models"]
    sample = (
        f"measured: {board.settings['sample']} documents, spread evenly, and {board.settings['pairs']} judged pairs"
    )
    for line in (sample, *_WORDS, dataset_line(data), *(line for model in models for line in model_lines(model))):
        console.print(Text(line, style="dim"))


def _table(board: GeometryBoard) -> Table:
    data = board.settings["dataset"]
    title = f"geometry on {data['name']} ({data['split']})"
    return draw_table(title, _TITLES, [_cells(row) for row in board.rows], ("encoder", "dominant", "spectrum"))


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


def _maps(board: GeometryBoard) -> list[Table]:
    """Return one map per pair of models and poolings, where there is more than one number."""
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(board.rows):
        groups.setdefault(f"{row.encoder.rpartition('@')[0]}:{row.pooling}", []).append(place)
    tables = []
    for first, second in combinations_with_replacement(groups, 2):
        grid = {
            (board.rows[i].layer, board.rows[j].layer): board.cka[i][j] for i in groups[first] for j in groups[second]
        }
        if len(grid) > 1:
            tables.append(draw_map(grid, f"CKA: layers of {first} (down) and of {second} (across)"))
    return tables
