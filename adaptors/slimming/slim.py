"""Find, train, test and save a smaller model that meets a goal."""

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from adaptors.candidates.candidate import FEWEST_TOKENS, Candidate, ModelSizes
from adaptors.candidates.dimensions import fit_basis
from adaptors.candidates.judging import Judge
from adaptors.candidates.labelled_map import train_labelled_map
from adaptors.candidates.static_model import StaticMaker
from adaptors.candidates.student import Lesson
from adaptors.candidates.vocabulary import Vocabulary
from adaptors.fitting.data import FitSource, FitTexts, as_fit_texts
from adaptors.healing.heal import count_span_characters
from adaptors.healing.texts import gather_heal_texts
from adaptors.healing.trainer import HealOptions
from adaptors.slimming.data import SlimData, load_slim_data
from adaptors.slimming.finish import Finish
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.labels import choose_map
from adaptors.slimming.listing import list_candidates
from adaptors.slimming.options import SlimOptions
from adaptors.slimming.search import Search, TimeLimit
from adaptors.slimming.timing import fast_depths
from adaptors.slimming.work import WorkFolder
from adaptors.static.token_counts import open_tokenizer
from adaptors.training.pace import Budget
from probe.encoding.opening import load_encoder, open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.experiments.options import RunOptions
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.results.slim import SlimResult
from surgery.cutting.cut import EXACT
from surgery.saving.save import check_out

__all__ = ["slim", "work_folder"]

_log = logging.getLogger(__name__)
# Documents of the judging sample, in short and in long searches, and the minutes from which on one is long.
_FEW_DOCUMENTS, _DOCUMENTS, _LONG = 400, 1000, 8.0
# Documents on which the speed of the full model is measured before the search.
_TIMED = 32
# About the share of the time in which the best candidate is trained.
_TRAINING = 0.7


def slim(
    model: str | Path = "minilm",
    data: FitSource = "docstrings",
    goal: SlimGoal | None = None,
    *,
    labels: str = "none",
    out: str | Path | None = None,
    options: SlimOptions | None = None,
    run: RunOptions | None = None,
) -> SlimResult:
    """Find a smaller model that meets a goal, train it, test it once, and save it.

    An interrupted search continues from its work folder beside `out` when it is called again.

    Args:
        model: The full model: alias, hub id or folder.
        data: Data set with the documents to train on, and queries to test with; or its name or path; or one with its
            training or development split, as `FitTexts`.
        goal: Quality to keep, or time or size to stay within; default: keep 90 %.
        labels: The split on whose relevance labels a linear map on top may be trained, `train` or `dev`, or `none`.
        out: Output folder; None to save nothing.
        options: Time of the search, dimension and dtype of the result.
        run: Metric, seed, store and progress.

    Returns:
        The table. The model is saved only if it is shown to meet the goal, or `options.force` is set.

    Raises:
        CallError: No candidate is small or fast enough for the goal, an argument is invalid, or the folder exists.
    """
    chosen = options or SlimOptions()
    if out is not None:
        check_out(Path(out), chosen.force)
    texts = as_fit_texts(data, labels)
    request = _Request(str(model), texts, (goal or SlimGoal()).resolve(), chosen, RunOptions.of(run))
    if out is None:
        with TemporaryDirectory(prefix="encoder-surgery-") as scratch:
            return _run(request, Path(scratch), None)
    return _run(request, work_folder(Path(out)), Path(out))


def work_folder(out: Path) -> Path:
    """Return where the finished steps of a search are, beside its output folder."""
    return out.with_name(f".{out.name}.search")


@dataclass(frozen=True)
class _Request:
    """The arguments of a search."""

    model: str
    data: FitTexts
    goal: SlimGoal
    options: SlimOptions
    run: RunOptions


def _run(request: _Request, folder: Path, out: Path | None) -> SlimResult:
    """Search, test and save."""
    began = time.monotonic()
    options = request.options
    full = open_reader(request.model, None, request.run.store)
    _check_model(full, options.dims)
    exact = load_model(request.model, EXACT)
    short = options.minutes < _LONG
    data = load_slim_data(request.data, _FEW_DOCUMENTS if short else _DOCUMENTS)
    depths = fast_depths(exact, request.goal, data.judging.queries.texts)
    depths = [blocks for blocks in depths if blocks or _has_static(full)]
    vocabulary = Vocabulary(request.model, data.fit, folder)
    sizes = ModelSizes.of(exact, options.bytes_each)
    fewest = _count_fewest(request.goal, sizes, depths, vocabulary=vocabulary)
    candidates = list_candidates(sizes, request.goal, depths, fewest=fewest, short=short)
    _log.info("candidates: %s", "; ".join(map(str, candidates)))
    work = WorkFolder.open(folder, _identify(request, full, data))
    search = _prepare(request, full, exact=exact, data=data, vocabulary=vocabulary, work=work)
    limit = TimeLimit(60 * options.minutes, work.seconds(), time.monotonic, began)
    tried = search.choose_affordable(candidates, limit, lambda: _time_text(full, data))
    search = replace(search, left_out=tuple(one for one in candidates if one not in tried))
    best, attempts = search.run(tried, limit)
    return Finish(request.model, search, data, options, request.run).run(best, attempts, out)


def _time_text(full: LayerReader, data: SlimData) -> float:
    """Return the seconds that the full model needs per document."""
    encoder = load_encoder(full)
    texts = [text for _, text in islice(data.judging.documents, _TIMED)]
    encoder.encode_document(texts[:1])
    began = time.monotonic()
    encoder.encode_document(texts)
    return (time.monotonic() - began) / len(texts)


def _has_static(full: LayerReader) -> bool:
    """Return whether a model has a static cut."""
    try:
        open_tokenizer(full)
    except ModelError as error:
        _log.warning("no static candidate: %s", error)
        return False
    return True


def _count_fewest(goal: SlimGoal, sizes: ModelSizes, depths: Sequence[int], *, vocabulary: Vocabulary) -> int:
    """Return how many tokens a trimmed vocabulary has at least, counted only if the goal makes one necessary."""
    limit = goal.max_mb
    if limit is None or all(sizes.megabytes(Candidate(blocks)) <= limit for blocks in depths):
        return FEWEST_TOKENS
    try:
        return max(FEWEST_TOKENS, vocabulary.fixed + 1)
    except ModelError as error:
        _log.warning("no candidate has fewer tokens: %s", error)
        return sizes.tokens


def _prepare(
    request: _Request,
    full: LayerReader,
    *,
    exact: LoadedModel,
    data: SlimData,
    vocabulary: Vocabulary,
    work: WorkFolder,
) -> Search:
    run = request.run
    training = HealOptions(seed=run.seed, budget=Budget(_TRAINING * request.options.minutes))
    texts = gather_heal_texts(
        full,
        [data.fit],
        run.store,
        progress=run.progress,
        span_characters=count_span_characters(training, full.model),
        seed=run.seed,
    )

    def report(step: str, done: int, total: int) -> None:
        """Say whose documents are encoded."""
        run.progress(f"judging queries: {step}", done, total)

    judge = Judge(full, data.judging, run.ranked_by, report)
    dims = request.options.dims
    plain = None if dims is None else fit_basis(texts.targets, dims)
    labelled = None
    if data.fit.labels:
        train = partial(train_labelled_map, texts, data.fit, dims, seed=run.seed, progress=run.progress)
        labelled = choose_map(train, judge, work, plain=plain)
    basis = labelled.basis if labelled else plain
    return Search(
        lesson=Lesson(full, exact, texts, run.seed, run.progress, request.options.bias),
        judge=judge,
        vocabulary=vocabulary,
        work=work,
        goal=request.goal,
        queries=len(data.test.queries),
        basis=basis,
        labelled=labelled,
        make_static=StaticMaker(full, texts, vocabulary, basis, run),
    )


def _identify(request: _Request, full: LayerReader, data: SlimData) -> dict[str, Any]:
    """Return the values that must be equal for a search to continue."""
    options = {name: value for name, value in asdict(request.options).items() if name != "force"}
    values = {
        "model": full.model.weights_hash,
        "texts": data.test.text_hash,
        "labels": data.test.qrels_hash,
        "trained_on_labels": data.fit.labels,
        "judging": [data.judging.text_hash, data.judging.qrels_hash],
        "goal": asdict(request.goal),
        "options": options,
        "metric": str(request.run.ranked_by),
        "seed": request.run.seed,
    }
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _check_model(full: LayerReader, dims: int | None) -> None:
    """Check that a model has blocks to remove, and as many dimensions as are asked for.

    Raises:
        CallError: It has not, or is one of two towers.
    """
    model = full.model
    if model.tower:
        raise CallError(f"'{model.source.name}' is one of two towers: expected a text encoder")
    if model.depth < 1:
        raise CallError(f"'{model.source.name}' has no blocks to remove: expected a transformer")
    width = model.own_width or model.width
    if dims is not None and dims > width:
        raise CallError(f"--dims {dims}: '{model.source.name}' has {width} dimensions, expected that many at most")
