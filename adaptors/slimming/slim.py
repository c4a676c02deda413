"""Find, train, test and save a smaller model that meets a goal."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adaptors.fitting.data import FitSource
from adaptors.healing.texts import gather_heal_texts
from adaptors.slimming.candidate import ModelSizes, list_candidates
from adaptors.slimming.card import card_section
from adaptors.slimming.data import SlimData, load_slim_data
from adaptors.slimming.dimensions import fit_basis
from adaptors.slimming.goal import Goal
from adaptors.slimming.judging import Judge
from adaptors.slimming.publish import add_section, publish, stage, weight_megabytes
from adaptors.slimming.search import Attempt, Search, TimeLimit
from adaptors.slimming.student import Lesson
from adaptors.slimming.table import build_rows
from adaptors.slimming.timing import Timing, fast_depths, time_models
from adaptors.slimming.verdict import list_unmet, take_test
from adaptors.slimming.vocabulary import Vocabulary
from adaptors.slimming.work import WorkFolder
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, check_number
from probe.experiments.options import RunOptions
from probe.experiments.provenance import dataset_settings, statistics_settings
from probe.models.options import LoadOptions
from probe.results.query_examples import before_and_after
from probe.results.slim import SlimResult
from surgery.saving.save import check_out

__all__ = ["SlimOptions", "slim"]

_log = logging.getLogger(__name__)
_EXACT = LoadOptions(dtype="float32", device="cpu")
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
# Documents of the judging sample, in short and in long searches.
_FEW_DOCUMENTS, _DOCUMENTS, _LONG = 400, 1000, 8.0


@dataclass(frozen=True)
class SlimOptions:
    """Options of a search.

    Attributes:
        minutes: Time of the search; the final test, timing and saving come after it.
        dims: Dimension of the model's vectors; None for the full model's.
        weights: Dtype of the saved tensors: `float32`, `float16` or `bfloat16`.
        force: Save the best candidate even if it is not shown to meet the goal, and replace an existing folder.
    """

    minutes: float = 4.0
    dims: int | None = None
    weights: str = "float32"
    force: bool = False

    def __post_init__(self) -> None:
        """Check that the values are in range.

        Raises:
            CallError: One is not.
        """
        check_number("--minutes", self.minutes, above=0)
        check_number("--dims", self.dims, 1)
        if self.weights not in _BYTES:
            raise CallError(f"--weights {self.weights}: expected one of {', '.join(_BYTES)}")


def slim(
    model: str | Path = "minilm",
    data: FitSource = "docstrings",
    goal: Goal | None = None,
    *,
    out: str | Path | None = None,
    options: SlimOptions | None = None,
    run: RunOptions | None = None,
) -> SlimResult:
    """Find a smaller model that meets a goal, train it without labels, test it once, and save it.

    An interrupted search continues from its work folder beside `out`.

    Args:
        model: The full model: alias, hub id or folder.
        data: Data set with the documents to train on, and queries to test with; or its name or path; or one with its
            training or development split, as `FitTexts`.
        goal: Quality to keep, or time or size to stay within; default: keep 95 %.
        out: Output folder; None to save nothing.
        options: Time, dimension and dtype of the result.
        run: Metric, seed, store and progress.

    Returns:
        The table; the model is saved only if it is shown to meet the goal, or `options.force` is set.

    Raises:
        CallError: The goal is out of reach of any candidate, an argument is invalid, or the folder exists.
    """
    chosen, settings, wanted = options or SlimOptions(), RunOptions.of(run), (goal or Goal()).resolve()
    if out is not None:
        check_out(Path(out), chosen.force)
    with TemporaryDirectory(prefix="encoder-surgery-") as scratch:
        folder = Path(scratch) if out is None else Path(out).with_name(f".{Path(out).name}.search")
        return _Slimming(str(model), data, wanted, chosen, settings).run(folder, None if out is None else Path(out))


@dataclass(frozen=True)
class _Slimming:
    """A search with its arguments."""

    model: str
    data: FitSource
    goal: Goal
    options: SlimOptions
    settings: RunOptions

    def run(self, folder: Path, out: Path | None) -> SlimResult:
        """Search, test and save."""
        began = time.monotonic()
        full = open_reader(self.model, _EXACT, self.settings.store)
        _check_model(full)
        data = load_slim_data(self.data, _DOCUMENTS if self.options.minutes >= _LONG else _FEW_DOCUMENTS)
        work = WorkFolder.open(folder, self._identify(full, data))
        sizes = ModelSizes.of(full.loaded, _BYTES[self.options.weights])
        candidates = list_candidates(sizes, self.goal, fast_depths(full, self.goal, data.judging.queries.texts))
        _log.info("candidates: %s", "; ".join(map(str, candidates)))
        search = self._prepare(full, data, work)
        earlier = float(sum(record["seconds"] for record in _finished(work)))
        limit = TimeLimit(60 * self.options.minutes, earlier, time.monotonic, began)
        best, attempts = search.run(candidates, limit)
        return self._finish(search, data, best, attempts, out=out)

    def _prepare(self, full: LayerReader, data: SlimData, work: WorkFolder) -> Search:
        progress, store = self.settings.progress, self.settings.store
        texts = gather_heal_texts(full, [data.fit], store, progress=progress)
        basis = None if self.options.dims is None else fit_basis(texts.targets, self.options.dims)
        lesson = Lesson(full, texts, self.settings.seed, progress)
        judge = Judge(full, data.judging, self.settings.ranked_by, partial(_report, progress))
        vocabulary = Vocabulary(self.model, data.fit, work)
        return Search(
            lesson=lesson,
            judge=judge,
            vocabulary=vocabulary,
            work=work,
            goal=self.goal,
            queries=len(data.test.queries),
            basis=basis,
            make_static=partial(_make_static, full, data, vocabulary, self.settings),
        )

    def _identify(self, full: LayerReader, data: SlimData) -> dict[str, Any]:
        """Return the values that must be equal for a search to continue."""
        options = {name: value for name, value in asdict(self.options).items() if name != "force"}
        values = {
            "model": full.model.weights_hash,
            "texts": data.test.text_hash,
            "labels": data.test.qrels_hash,
            "judging": [data.judging.text_hash, data.judging.qrels_hash],
            "goal": asdict(self.goal),
            "options": options,
            "metric": str(self.settings.ranked_by),
            "seed": self.settings.seed,
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

    def _finish(
        self, search: Search, data: SlimData, best: Attempt, attempts: Sequence[Attempt], *, out: Path | None
    ) -> SlimResult:
        """Test the best candidate once, time all, and save."""
        full, work = search.lesson.full, search.work
        staged = work.empty("staged")
        stage(best.folder, staged, basis=search.basis, weights=self.options.weights, full=full.model)
        run = replace(self.settings, load=_EXACT, examples=True)
        test = take_test(self.model, staged, data.test, goal=self.goal, options=run)
        folders = {str(one.candidate): one.folder for one in attempts} | {str(best.candidate): staged}
        timing = time_models(self.model, folders, data.test)
        result = self._build(search, data, best, attempts, staged=staged, test=test, timing=timing)
        if out is None or not (result.is_met or self.options.force):
            return result
        facts = {"goal": asdict(self.goal), "met": result.is_met, "unmet": result.settings["unmet"]}
        title = f"{full.model.source.name}, {best.candidate}"
        add_section(staged, card_section(result, best), facts, title=title)
        publish(staged, out, force=self.options.force)
        work.delete()
        return replace(result, folder=str(out))

    def _build(
        self,
        search: Search,
        data: SlimData,
        best: Attempt,
        attempts: Sequence[Attempt],
        *,
        staged: Path,
        test: Any,
        timing: Timing,
    ) -> SlimResult:
        full, megabytes = search.lesson.full, weight_megabytes(staged)
        rows = build_rows(
            full,
            ModelSizes.of(full.loaded, _BYTES[self.options.weights]),
            attempts,
            best,
            reference=search.judge.reference,
            test=test,
            timing=timing,
            megabytes=megabytes,
        )
        speed = timing.speeds[str(best.candidate)]
        unmet = list_unmet(
            self.goal, test, queries=len(data.test.queries), ms_per_query=speed.ms_per_query, megabytes=megabytes
        )
        settings = {
            "metric": str(self.settings.ranked_by),
            "goal": str(self.goal),
            "margin": test.margin,
            "resolution": test.resolution,
            "unmet": unmet,
            "remarks": [],
            "basis": data.basis,
            "texts": len(search.lesson.texts.texts),
            "minutes": self.options.minutes,
            "weights": self.options.weights,
            "seed": self.settings.seed,
            "timing": timing.words,
            "models": test.board.settings["models"][:1],
            "dataset": dataset_settings(data.test),
            "statistics": statistics_settings(self.settings.seed),
        }
        created = datetime.now(UTC).isoformat(timespec="seconds")
        examples = before_and_after(test.board.examples, test.full.rank, test.best.rank)
        return SlimResult(self.settings.command, created, settings, rows, examples=examples)


def _check_model(full: LayerReader) -> None:
    """Check that a model can be slimmed.

    Raises:
        CallError: It has no layers, is one of two towers, or has a single block.
    """
    model = full.model
    if model.tower:
        raise CallError(f"'{model.source.name}' is one of two towers: slim is for text encoders")
    if model.depth < 1:
        raise CallError(f"'{model.source.name}' has no blocks to remove: expected a transformer")


def _report(progress: Any, step: str, done: int, total: int) -> None:
    progress(f"judging queries: {step}", done, total)


def _finished(work: WorkFolder) -> list[dict[str, Any]]:
    """Return the records of finished parts."""
    paths = work.folder.glob("*/round-*.json")
    return [record for path in paths if (record := json.loads(path.read_text("utf-8"))).get("scores")]


def _make_static(
    full: LayerReader, data: SlimData, vocabulary: Vocabulary, settings: RunOptions, tokens: int | None, folder: Path
) -> Any:
    """Fit a static model, write it to a folder, and return it as an encoder."""
    raise NotImplementedError
