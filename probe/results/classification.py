"""Trained probes of layers and their controls: ranked rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from probe.results.formats import (
    EMPTY,
    brief_model_line,
    brief_statistics_line,
    curve_lines,
    data_line,
    join_marks,
    model_lines,
    series_name,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.results.result import Column, Result

__all__ = ["MAJORITY", "SHUFFLED", "ClassificationResult", "ClassificationRow"]

MAJORITY = "majority"
SHUFFLED = "shuffled"

_READING = (
    "shuffled: the same procedure on labels that were permuted once: what is left when there is nothing to learn; "
    "selectivity: what shuffling costs (after the control tasks of Hewitt and Liang, EMNLP 2019)",
    "a trained probe shows what can be read off a layer linearly, not what the model uses; majority-class baseline: "
    "what one gets without reading the text",
)


@dataclass(frozen=True)
class ClassificationRow:
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
        delta: Difference to the full model, of the result's metric.
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


@dataclass(frozen=True, repr=False)
class ClassificationResult(Result):
    """Trained probes of any number of layers: best first, controls among them."""

    kind: ClassVar[str] = "classify"
    made_up: ClassVar[str] = "labels"
    column_names: ClassVar[tuple[str, ...]] = (
        *("rank", "encoder", "dim", "accuracy", "accuracy_ci95", "macro_f1", "macro_f1_ci95", "delta", "p", "shuffled"),
        *("selectivity", "c", "fit", "note"),
    )

    rows: tuple[ClassificationRow, ...]

    @property
    def measure(self) -> str:
        """What the rows are ranked by, as it is written in text."""
        return "accuracy" if self._by_accuracy else "macro-F1"

    @property
    def _by_accuracy(self) -> bool:
        return bool(self.settings["metric"] == "accuracy")

    def score_of(self, row: Any) -> float:
        """Return the measure of a row."""
        score: float = row.accuracy if self._by_accuracy else row.macro_f1
        return score

    def interval_of(self, row: Any) -> tuple[float, float] | None:
        """Return the measure's 95 % interval."""
        interval: tuple[float, float] | None = row.accuracy_ci95 if self._by_accuracy else row.macro_f1_ci95
        return interval

    def chance_of(self, row: ClassificationRow) -> float | None:
        """Return the measure on shuffled labels."""
        return row.shuffled_accuracy if self._by_accuracy else row.shuffled_macro_f1

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        starred, ranked = significant(self.rows), self._by_accuracy
        return [
            Column("#", lambda row: str(row.rank), key="rank"),
            Column("encoder", lambda row: row.encoder, left=True),
            Column("dim", lambda row: show_number(row.dim, "d"), drop=7),
            Column("accuracy", lambda row: f"{row.accuracy:.4f}", drop=0 if ranked else 4),
            Column(
                "95% CI", lambda row: show_interval(row.accuracy_ci95), drop=5 if ranked else 8, key="accuracy_ci95"
            ),
            Column("macro-F1", lambda row: f"{row.macro_f1:.4f}", drop=4 if ranked else 0, key="macro_f1"),
            Column(
                "95% CI (F1)",
                lambda row: show_interval(row.macro_f1_ci95),
                drop=8 if ranked else 5,
                key="macro_f1_ci95",
            ),
            Column("Δ full", lambda row: show_number(row.delta, "+.4f"), drop=1, key="delta"),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in starred), drop=1),
            Column("shuffled", lambda row: show_number(self.chance_of(row), ".3f"), drop=3),
            Column("selectivity", lambda row: show_number(row.selectivity, "+.3f"), drop=6),
            Column("C", lambda row: _show_penalties(row.penalties), left=True, drop=10),
            Column("fit s", lambda row: show_number(row.fit_seconds, ".1f"), drop=9, key="fit"),
            Column("note", self._note, left=True, drop=2),
        ]

    def _note(self, row: ClassificationRow) -> str:
        return join_marks(
            {
                "control": row.control is not None,
                "full model": row.encoder == self.settings["baseline"],
                "collapsed": row.collapsed,
                f"{row.unconverged} fits stopped early": bool(row.unconverged),
            }
        )

    def verdict(self) -> str:
        """Return how well the layers read the labels, between the majority class and the full model."""
        full = next((row for row in self.rows if row.encoder == self.settings["baseline"]), None)
        floor = next((row for row in self.rows if row.control == MAJORITY), None)
        if full is None or floor is None:
            return "The full model or the majority-class baseline is missing, so that nothing can be compared."
        interval, base = self.interval_of(full), self.score_of(floor)
        top = f"full model {self.score_of(full):.3f}, majority-class baseline {base:.3f}"
        if full.collapsed or interval is None or interval[0] <= base:
            other = self._other_measure(full, floor)
            return f"Nothing shows that the full model reads the label ({self.measure}: {top}){other}."
        others = [row for row in self.rows if row.control is None and row is not full and not row.collapsed]
        if not others:
            return f"The full model reads the label ({self.measure}: {top})."
        starred = significant(self.rows)
        worse = sum(row.rank in starred and (row.delta or 0) < 0 for row in others)
        tested = (
            f"; {worse} of {len(others)} are significantly below it" if worse else "; none is significantly below it"
        )
        shares = [(self.score_of(row) - base) / (self.score_of(full) - base) for row in others]
        share = _span([f"{100 * share:.0f}" for share in (min(shares), max(shares))]) + "%"
        scores = sorted(self.score_of(row) for row in others)
        span = _span([f"{score:.3f}" for score in (scores[0], scores[-1])])
        gain = f"{share} of the full model's gain over the majority-class baseline"
        return f"{_name_layers(others)} {gain} ({self.measure} {span}, {top}){tested}."

    def _other_measure(self, full: ClassificationRow, floor: ClassificationRow) -> str:
        """Return what the measure that does not rank shows, if it shows that the full model reads the label."""
        measures = {
            "accuracy": (full.accuracy, full.accuracy_ci95, floor.accuracy),
            "macro-f1": (full.macro_f1, full.macro_f1_ci95, floor.macro_f1),
        }
        for name, (score, interval, base) in measures.items():
            if name != self.measure.lower() and interval is not None and interval[0] > base and not full.collapsed:
                return f", but its {name} is above the baseline's ({score:.3f}, {base:.3f}): see --metric {name}"
        return ""

    def warnings(self) -> list[str]:
        """Return the defects of the data, and the rows whose vectors are all equal."""
        collapsed = ", ".join(row.encoder for row in self.rows if row.collapsed)
        return [*super().warnings(), *([f"collapsed: all texts have one vector at {collapsed}"] if collapsed else [])]

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        data, probe = self.settings["dataset"], self.settings["probe"]
        texts = f"data: {data['texts']} texts, {len(data['labels'])} labels"
        folds = f"{probe['folds']} folds, penalty chosen inside the training folds"
        return [f"{texts}; {folds}", brief_model_line(self.settings["models"]), brief_statistics_line()]

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers, and how to read them."""
        data, probe = self.settings["dataset"], self.settings["probe"]
        labels = ", ".join(f"{name} {count / data['texts']:.0%}" for name, count in data["labels"].items())
        more = f", {len(data['labels'])} labels: {labels}"
        return [
            *curve_lines(
                (series_name(row.encoder, row.pooling), row.layer, self.score_of(row))
                for row in self.rows
                if row.control is None and row.layer is not None
            ),
            data_line(data, f"{data['name']}, {data['texts']} texts", more, judged="labels"),
            *model_lines(self.settings["models"]),
            f"probe: {probe['classifier']}, {probe['folds']} stratified folds, seed {probe['seed']}; scaler and C "
            f"({', '.join(f'{penalty:g}' for penalty in probe['grid'])}, the best {probe['chosen_by']} in "
            f"{probe['inner_folds']} inner folds) come from the training folds alone",
            *_READING,
            *statistics_lines(self.settings),
            *self.warnings(),
        ]


def _show_penalties(penalties: tuple[float, ...] | None) -> str:
    """Return the penalties that any fold chose."""
    return " ".join(f"{penalty:g}" for penalty in sorted(set(penalties))) if penalties else EMPTY


def _span(ends: Sequence[str]) -> str:
    """Return two numbers as a range, or as one where they read the same."""
    return ends[0] if ends[0] == ends[1] else "–".join(ends)


def _name_layers(rows: Sequence[ClassificationRow]) -> str:
    """Return which layers are spoken of, with the verb."""
    layers = sorted(row.layer or 0 for row in rows)
    if len(layers) == 1:
        return f"Layer {layers[0]} reaches"
    whole = layers == list(range(layers[0], layers[-1] + 1))
    return f"Layers {layers[0]}–{layers[-1]} reach" if whole else f"The other {len(rows)} rows reach"
