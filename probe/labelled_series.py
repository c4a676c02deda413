"""What a picture shows of probes on labelled texts: curves over layers, and the levels that mean nothing was learnt."""

from probe.classify_board import MAJORITY, SHUFFLED, ClassifyBoard, ClassifyRow
from probe.series import Chart, Curve, Point
from probe.similarity_board import SimilarityBoard, SimilarityRow

__all__ = ["LabelledBoard", "chart_labelled", "measure_name"]

LabelledBoard = ClassifyBoard | SimilarityBoard

_CONTROLS = {MAJORITY: "the commonest label", SHUFFLED: "shuffled labels"}


def chart_labelled(board: LabelledBoard) -> Chart:
    """Sort the rows of a board into curves over layers and levels; a row without a number is left out.

    Args:
        board: Trained probes, or correlations with gold scores.

    Returns:
        The chart.
    """
    curves: dict[str, list[Point]] = {}
    levels = []
    for row in board.rows:
        value, interval = _read(board, row)
        if value is None:
            continue
        if row.layer is None or (isinstance(row, ClassifyRow) and row.control is not None):
            levels.append(Point(_CONTROLS.get(getattr(row, "control", "") or "", row.encoder), value, None, interval))
            continue
        point = Point(row.encoder, value, row.layer, interval, collapsed=row.collapsed)
        curves.setdefault(f"{row.encoder.rpartition('@')[0]}:{row.pooling}", []).append(point)
    ordered = {name: tuple(sorted(points, key=lambda point: point.place or 0)) for name, points in curves.items()}
    return Chart(tuple(Curve(name, name, points) for name, points in ordered.items()), tuple(levels))


def measure_name(board: LabelledBoard) -> str:
    """Return what is measured, as people write it."""
    if isinstance(board, SimilarityBoard):
        return "Spearman correlation with gold scores"
    return "accuracy" if board.settings["metric"] == "accuracy" else "macro-F1"


def _read(board: LabelledBoard, row: ClassifyRow | SimilarityRow) -> tuple[float | None, tuple[float, float] | None]:
    if isinstance(row, SimilarityRow):
        return row.spearman, row.spearman_ci95
    if board.settings["metric"] == "accuracy":
        return row.accuracy, row.accuracy_ci95
    return row.macro_f1, row.macro_f1_ci95
