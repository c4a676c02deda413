"""The end of a search: the final files, the one look at the test queries, the times, the card, the saved folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adaptors.candidates.candidate import Candidate, ModelSizes
from adaptors.candidates.dimensions import Basis
from adaptors.slimming.card import card_section
from adaptors.slimming.data import SlimData
from adaptors.slimming.options import SlimOptions
from adaptors.slimming.publish import add_section, publish, stage, weight_megabytes
from adaptors.slimming.search import Attempt, Search
from adaptors.slimming.table import build_rows
from adaptors.slimming.timing import Timing, time_models
from adaptors.slimming.verdict import FinalTest, list_unmet, take_test
from probe.experiments.options import RunOptions
from probe.experiments.provenance import dataset_settings, statistics_settings
from probe.results.formats import join_names
from probe.results.query_examples import before_and_after
from probe.results.slim import SlimResult
from surgery.saving.weights import VectorChange

__all__ = ["Finish"]


@dataclass(frozen=True)
class Finish:
    """What the end of a search needs.

    Attributes:
        model: The full model, as given.
        search: The search.
        data: Its texts.
        options: Dimension, dtype, and whether to save in any case.
        settings: Metric, seed, store and progress.
    """

    model: str
    search: Search
    data: SlimData
    options: SlimOptions
    settings: RunOptions

    def run(self, best: Attempt, attempts: Sequence[Attempt], out: Path | None) -> SlimResult:
        """Test the best candidate once, time all of them, and save the best one.

        Args:
            best: The best candidate after its full training.
            attempts: All candidates.
            out: Output folder; None to save nothing.
        """
        search, full = self.search, self.search.lesson.full.model
        staged = search.work.empty("staged")
        dtype = self.options.weights_dtype
        names = [name for name, _ in search.lesson.texts.seen]
        change = stage(best.folder, staged, basis=search.basis, weights_dtype=dtype, full=full, data=names)
        run = replace(self.settings, examples=True)
        test = take_test(self.model, staged, self.data.test, goal=search.goal, options=run)
        folders = {str(one.candidate): one.folder for one in attempts} | {str(best.candidate): staged}
        timing = time_models(self.model, folders, self.data.test)
        result = self._build(best, attempts, staged=staged, test=test, timing=timing)
        if out is None or not (result.is_met or self.options.force):
            return result
        return self._save(result, best, change, staged=staged, out=out)

    def _save(
        self, result: SlimResult, best: Attempt, change: VectorChange | None, *, staged: Path, out: Path
    ) -> SlimResult:
        facts = {"goal": asdict(self.search.goal), "met": result.is_met, "unmet": result.settings["unmet"]}
        facts |= {**asdict(best.candidate), "dims": self.options.dims, "bias": self.options.bias}
        title = f"{self.search.lesson.full.model.source.name}, {best.candidate}"
        add_section(staged, card_section(result, best), facts, title=title, change=change)
        publish(staged, out, force=self.options.force)
        self.search.work.delete()
        return replace(result, folder=str(out))

    def _build(
        self, best: Attempt, attempts: Sequence[Attempt], *, staged: Path, test: FinalTest, timing: Timing
    ) -> SlimResult:
        full, megabytes = self.search.lesson.full, weight_megabytes(staged)
        rows = build_rows(
            full,
            ModelSizes.of(self.search.lesson.exact, self.options.bytes_each),
            attempts,
            best=best,
            reference=self.search.judge.reference,
            test=test,
            timing=timing,
            megabytes=megabytes,
        )
        unmet = list_unmet(
            self.search.goal,
            test,
            queries=len(self.data.test.queries),
            ms_per_query=timing.speeds[str(best.candidate)].ms_per_query,
            megabytes=megabytes,
        )
        settings = self._describe(best, test, timing=timing, unmet=unmet)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        examples = test.board.examples and before_and_after(test.board.examples, test.full.rank, test.best.rank)
        return SlimResult(self.settings.command, created, settings, rows, examples=examples)

    @property
    def _labels(self) -> str:
        return self.search.basis.labels if self.search.basis else "none"

    def _list_remarks(self, best: Attempt) -> list[str]:
        unseen = [_describe_unseen(best, self.search.basis)] if best.parts else []
        labels = [self.search.labelled.describe()] if self.search.labelled else []
        return [*unseen, *labels, *_describe_left_out(self.search.left_out)]

    def _describe(self, best: Attempt, test: FinalTest, *, timing: Timing, unmet: list[str]) -> dict[str, Any]:
        """Return the settings of the result."""
        return {
            "metric": str(self.settings.ranked_by),
            "goal": str(self.search.goal),
            "margin": test.margin,
            "resolution": test.resolution,
            "unmet": unmet,
            "remarks": self._list_remarks(best),
            "labels": self._labels,
            "basis": self.data.basis,
            "texts": len(self.search.lesson.texts.texts),
            "minutes": self.options.minutes,
            "dims": self.options.dims,
            "weights_dtype": self.options.weights_dtype or "float32",
            "bias": self.options.bias,
            "seed": self.settings.seed,
            "timing": timing.words,
            "models": test.board.settings["models"][:1],
            "dataset": dataset_settings(self.data.test),
            "statistics": statistics_settings(self.settings.seed),
        }


def _describe_unseen(best: Attempt, basis: Basis | None) -> str:
    before = "" if basis is None else ", before the linear map on top"
    return f"On texts left out of the training, against the full model's vectors{before}: {best.parts[-1].after}."


def _describe_left_out(candidates: Sequence[Candidate]) -> list[str]:
    if not candidates:
        return []
    names = join_names([str(one) for one in candidates])
    return [f"Not tried, for the time is too short on this machine: {names}."]
