"""Encoders ranked over several data sets: a column per data set, and the mean."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

from probe.results.formats import (
    ALPHA,
    EMPTY,
    brief_model_line,
    metric_title,
    model_lines,
    retrieval_data_line,
    show_interval,
    show_number,
    show_p_value,
    show_signed_interval,
    significant,
    statistics_lines,
)
from probe.results.leaderboard import Leaderboard, Row, describe_ranks, score_column, show_parameters
from probe.results.query_examples import Examples
from probe.results.result import Column

__all__ = ["MEAN", "DatasetMatrix", "SetCount", "SetScore"]

MEAN = "mean"
BETTER, WORSE = "▲", "▼"
_LEGEND = f"{BETTER}{WORSE}: significantly better, worse than the baseline (paired test, p < {ALPHA}, Holm)"
_COUNTS = f"{BETTER} = {WORSE}"
_COUNTS_LEGEND = f"{_COUNTS}: number of data sets where it is significantly better, not shown to differ, worse"
# Data sets whose detectable difference is named.
_MOST_NAMED = 3


@dataclass(frozen=True)
class SetCount:
    """Number of data sets on which an encoder differs from the baseline, or is not shown to.

    Attributes:
        better: Significantly better there.
        alike: No significant difference.
        worse: Significantly worse there.
    """

    better: int
    alike: int
    worse: int

    def __str__(self) -> str:
        return f"{self.better} {self.alike} {self.worse}"


@dataclass(frozen=True)
class SetScore:
    """The score of an encoder on a data set, or its mean, beside the baseline's.

    Attributes:
        score: The score.
        delta: Its difference to the baseline; None for the baseline.
        sign: `▲` or `▼` for a significant difference, or nothing.
        is_tested: Whether the difference was tested.
    """

    score: float
    delta: float | None
    sign: str
    is_tested: bool


@dataclass(frozen=True, repr=False)
class DatasetMatrix(Leaderboard):
    """Rows whose scores are means over data sets, with the row of every data set inside.

    Attributes:
        set_examples: Queries to look at, by data set.
    """

    column_names: ClassVar[tuple[str, ...]] = (
        *("rank", "encoder", "adaptor", "labels", "fit", "pca", "kept", "dim", "bits", "bytes", "compression", "front"),
        *(MEAN, "delta", "p", "sets", "ci95", "population", "cost", "ms", "params", "note"),
    )

    set_examples: dict[str, Examples] = field(default_factory=dict)

    @staticmethod
    def names_on(name: str) -> tuple[str, ...]:
        """Return the names of the columns of a data set."""
        return name.lower(), f"delta:{name.lower()}"

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of the data sets, in the order they were given."""
        return tuple(self._settings_of)

    @property
    def _settings_of(self) -> Mapping[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.settings["datasets"]
        return found

    def single(self, name: str) -> Leaderboard:
        """Return the leaderboard of one data set, best first, as if it had been ranked alone."""
        board = self.aligned(name)
        return replace(board, rows=tuple(sorted(board.rows, key=lambda row: row.rank)))

    def aligned(self, name: str) -> Leaderboard:
        """Return the leaderboard of one data set with its rows in the order of this table."""
        rows = tuple(_row_on(row, name) for row in self.rows)
        return Leaderboard(self.command, self.created, self._settings_of[name], rows, self.set_examples.get(name))

    def score_on(self, row: Row, name: str) -> SetScore:
        """Return a row's score on a data set, or its mean.

        Args:
            row: One of the rows.
            name: The name of a data set, or `mean`.
        """
        found = row if name == MEAN else _row_on(row, name)
        sign = _sign(found.delta, row.rank in self._starred[name])
        return SetScore(found.scores[self.metric], found.delta, sign, found.p_value is not None)

    def count_of(self, row: Row) -> SetCount | None:
        """Return on how many data sets a row is better or worse than the baseline; None for the baseline."""
        if self._is_baseline(row):
            return None
        signs = [self.score_on(row, name).sign for name in self.datasets]
        better, worse = signs.count(BETTER), signs.count(WORSE)
        return SetCount(better, len(signs) - better - worse, worse)

    @cached_property
    def _starred(self) -> dict[str, set[int]]:
        """Ranks with a significant difference, of the mean and by data set; every cell of the table asks for them."""
        return {MEAN: significant(self.rows), **{name: self._find_starred(name) for name in self.datasets}}

    def _find_starred(self, name: str) -> set[int]:
        return significant(self.rows, lambda row: _row_on(row, name).p_value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; `datasets` names the data sets, and every row has its row on each of them."""
        examples = {name: asdict(found) for name, found in self.set_examples.items()}
        return {**super().to_dict(), "datasets": list(self.datasets), "set_examples": examples}

    def columns(self) -> list[Column]:
        """Return the columns of the table: the mean and its test, then one column per data set."""
        named = len({row.encoder for row in self.rows}) == len(self.rows)
        return [
            Column("#", lambda row: str(row.rank), key="rank", drop=1),
            Column("encoder", lambda row: row.encoder, left=True, label="", break_at="+"),
            *self._adaptor_columns(named),
            Column("dim", lambda row: show_number(row.dim, "d"), drop=6 if named else 0, label="dim"),
            *self._storage_columns(),
            Column(MEAN, lambda row: self._show_score(row, MEAN), key=MEAN),
            Column("Δ mean", lambda row: show_number(row.delta, "+.4f"), drop=2, key="delta"),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in self._starred[MEAN]), drop=2),
            *(column for name in self.datasets for column in self._set_columns(name)),
            Column(_COUNTS, self._show_count, drop=3, key="sets"),
            Column("95% CI", lambda row: show_interval(row.ci95), drop=7, key="ci95"),
            Column("Δ in general", lambda row: show_signed_interval(row.population_ci95), drop=8, key="population"),
            *(score_column(name, drop=9) for name in self.settings["metrics"] if name != self.metric),
            Column("cost", lambda row: show_number(row.cost, ".0%"), drop=5, label="cost"),
            Column("ms/text", lambda row: show_number(row.ms_per_text, ".2f"), drop=10, key="ms"),
            Column("params", show_parameters, drop=6, label="params"),
            Column("note", self._marks, left=True, drop=6),
        ]

    def _set_columns(self, name: str) -> list[Column]:
        """Return the score on a data set, and its difference to the baseline."""
        key, delta = self.names_on(name)
        return [
            Column(name, lambda row: self._show_score(row, name), key=key, wraps=True),
            Column("Δ", lambda row: show_number(_row_on(row, name).delta, "+.4f"), drop=4, key=delta),
        ]

    def _show_score(self, row: Row, name: str) -> str:
        """Return a score with its mark; without one, a blank keeps it aligned in a table of fixed width."""
        found = self.score_on(row, name)
        return f"{found.score:.4f}{found.sign or ' '}"

    def _show_count(self, row: Row) -> str:
        return str(self.count_of(row) or EMPTY)

    def title(self) -> str:
        """Return the metric, and the data sets with their splits."""
        named = [f"{name} ({found['dataset']['split']})" for name, found in self._settings_of.items()]
        synthetic = " · synthetic queries" if self.settings["dataset"]["synthetic"] else ""
        return f"{metric_title(self.metric)} on {len(named)} data sets: {', '.join(named)}{synthetic}"

    def verdict(self) -> str:
        """Return what the means show."""
        rivals = [row for row in self.rows if row.delta is not None and not row.collapsed]
        untested = bool(rivals) and all(row.p_value is None for row in rivals)
        words = self._describe_untested(max(rivals, key=self.score_of)) if untested else super().verdict()
        return f"Mean of {len(self.datasets)} data sets: {words}"

    def _describe_untested(self, best: Row) -> str:
        """Return how far the best other encoder is from the baseline, where no difference is tested."""
        name = f"{best.encoder} with {best.adaptor}" if best.adaptor else best.encoder
        side = "above" if (best.delta or 0) >= 0 else "below"
        gap = f"{abs(best.delta or 0):.4f} {side} the baseline {self.settings['baseline']}"
        return f"not tested: the best other encoder, {name}, is {gap}."

    def conclusions(self) -> list[str]:
        """Return the verdict, what holds for data sets in general, and the recommendation where one was asked for."""
        verdict, *more = super().conclusions()
        return [verdict, *self._describe_population(), *more]

    def _describe_population(self) -> list[str]:
        """Return the interval of the best other encoder's difference over data sets in general."""
        found = next(((row, row.population_ci95) for row in self.rows if row.population_ci95), None)
        if found is None:
            return []
        row, (low, high) = found
        name = f"{row.encoder} with {row.adaptor}" if row.adaptor else row.encoder
        return [
            f"On data sets in general, {name} differs from the baseline by {low:+.3f} to {high:+.3f} "
            f"(95% CI, two-level bootstrap over {len(self.datasets)} data sets)."
        ]

    def cautions(self) -> list[str]:
        """Return all that makes the numbers mean less than they seem to; counts are those of all data sets together."""
        untested = self.settings["statistics"].get("untested")
        return [*([f"intervals and tests of the mean: {untested}"] if untested else []), *super().cautions()]

    def warnings(self) -> list[str]:
        """Return the defects of the data, and the warnings on rows: collapsed vectors, and fits that saw a data set."""
        lines = [f"data defect: {defect}" for defect in self.settings["dataset"]["defects"]]
        for name in self.datasets:
            rows = {row.rank: _row_on(row, name) for row in self.rows}
            collapsed = [row.encoder for row in rows.values() if row.collapsed]
            seen = [row for row in self.rows if rows[row.rank].transductive]
            lines += [f"{name}: collapsed, so that every score ties: {', '.join(collapsed)}"] if collapsed else []
            if seen:
                where = describe_ranks(seen, len(self.rows))
                lines.append(f"{name}: transductive ({where}): fitted on these same documents; expect less on new ones")
        return lines

    def brief(self) -> list[str]:
        """Return what decided the numbers, in short."""
        data = [found["dataset"] for found in self._settings_of.values()]
        counts = [" + ".join(f"{one[side]:,}" for one in data) for side in ("documents", "queries")]
        return [
            f"data: {counts[0]} documents, {counts[1]} queries",
            brief_model_line(self.settings["models"]),
            *self._power_lines(),
            f"{_LEGEND}; CI and p of the mean: {self.settings['statistics']['covers']}",
        ]

    def _power_lines(self) -> list[str]:
        """Return the smallest differences that the queries can show."""
        found = self.settings["statistics"]["detectable"]
        if not found:
            return []
        named = [f"{name} {value:.3f}" for name, value in found.items()][: _MOST_NAMED + 1]
        return [f"smallest differences that so many queries show (80% power, uncorrected): {', '.join(named)}"]

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers."""
        settings, statistics = self.settings, self.settings["statistics"]
        data = [found["dataset"] for found in self._settings_of.values()]
        scores = f"scores: {metric_title(self.metric)}; {MEAN}: every data set counts the same"
        rules = [
            f"{name}: {one['title_rule']}; {one['id_rule']}" for name, one in zip(self.datasets, data, strict=True)
        ]
        lines = [scores, *self._curve_lines(), *map(retrieval_data_line, data), *model_lines(settings["models"])]
        lines += [*rules, f"{settings['similarity']}; ties: {settings['ties']}", *settings.get("adaptors", [])]
        for key in ("towers", "late_interaction", "late_fusion", "cost"):
            if settings.get(key):
                lines.append(f"{key.replace('_', ' ')}: {settings[key]}")
        lines += [_LEGEND, _COUNTS_LEGEND]
        means = [f"CI and p of the mean: {statistics['covers']}", f"Δ in general: {statistics['population']}"]
        lines += [*statistics_lines(settings), *means, *self._power_lines(), *self._published_lines()]
        return [*lines, *settings["left_out"], *self.warnings()]

    def _published_lines(self) -> list[str]:
        return [
            f"published {metric_title(self.metric)} of {row.encoder} on {name}: {found.published:.5f} "
            f"(here {found.scores[self.metric]:.5f})"
            for row in self.rows
            for name, found in (row.datasets or {}).items()
            if found.published is not None
        ]


def _row_on(row: Row, name: str) -> Row:
    """Return a row's own row on a data set."""
    return (row.datasets or {})[name]


def _sign(delta: float | None, starred: bool) -> str:
    if not starred or not delta:
        return ""
    return BETTER if delta > 0 else WORSE
