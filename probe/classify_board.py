"""Trained probes of layers: data first; how it is drawn is another file's work."""

import json
from dataclasses import dataclass
from typing import Any

from probe.board import board_dict
from probe.notebook import NotebookViews

__all__ = ["MAJORITY", "SHUFFLED", "ClassifyBoard", "ClassifyRow"]

MAJORITY = "majority"
SHUFFLED = "shuffled"


@dataclass(frozen=True)
class ClassifyRow:
    """One layer and pooling, or a control; what does not apply is None.

    Attributes:
        rank: 1 for the best.
        encoder: The full spec, or the control's name.
        control: `majority`, `shuffled`, or None for a layer.
        layer: Its layer.
        pooling: Its pooling.
        dim: Dimension D.
        accuracy: Share of held-out texts whose label was predicted.
        accuracy_ci95: Its 95 % interval.
        macro_f1: Mean of the labels' F1 on held-out texts.
        macro_f1_ci95: Its 95 % interval.
        delta: Difference to the full model, of the board's metric.
        p_value: Of a paired test against the full model, not corrected.
        shuffled_accuracy: Accuracy of the same procedure on shuffled labels.
        shuffled_macro_f1: Macro-F1 of that.
        selectivity: What the metric loses when the labels are shuffled.
        penalties: The C chosen in each outer fold.
        unconverged: Outer folds whose fit was stopped before it converged.
        collapsed: Whether all vectors are equal.
        fit_seconds: Time of all fits, those on shuffled labels aside.
    """

    rank: int
    encoder: str
    control: str | None = None
    layer: int | None = None
    pooling: str | None = None
    dim: int | None = None
    accuracy: float = 0.0
    accuracy_ci95: tuple[float, float] | None = None
    macro_f1: float = 0.0
    macro_f1_ci95: tuple[float, float] | None = None
    delta: float | None = None
    p_value: float | None = None
    shuffled_accuracy: float | None = None
    shuffled_macro_f1: float | None = None
    selectivity: float | None = None
    penalties: tuple[float, ...] | None = None
    unconverged: int | None = None
    collapsed: bool = False
    fit_seconds: float | None = None


@dataclass(frozen=True)
class ClassifyBoard(NotebookViews):
    """Trained probes of any number of layers, and their controls.

    Attributes:
        command: What made it.
        created: When, in UTC.
        settings: Everything that decided the numbers.
        rows: Best first, controls among them.
    """

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[ClassifyRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in the JSON form's order."""
        return board_dict("classify", self)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
