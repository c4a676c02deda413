"""The command `probe layers`, with lenses and a recommendation on request."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.datasets import are_several, check_failed, check_table, rank_each
from encoder_surgery.shell.engine import EngineFlags
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import ResultFlags, say
from encoder_surgery.shell.progress import working
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from adaptors.choosing.recommendation import Recommendation
    from probe.data.dataset import Dataset
    from probe.data.sampling import SampleSize
    from probe.encoding.reader import LayerReader
    from probe.evaluation.composite import Composite
    from probe.experiments.options import RunOptions
    from probe.experiments.ranking import Candidate
    from probe.layers.hookpoint import Hookpoint
    from probe.results.leaderboard import Leaderboard
    from probe.sources.several import LoadedDataset, LoadedDatasets

__all__ = ["layers"]

RankedPoolings = Annotated[
    str, flag("own, cls, last, max, mean, or tokens (late interaction); comma-separated.", "--pooling")
]
Lens = Annotated[bool, flag("Add every layer with its lens, a ridge map to the final embedding.", "--lens")]
Static = Annotated[
    bool, flag("Add the cut without blocks: one vector per token, fitted to the full model's vectors.", "--static")
]
Recommend = Annotated[
    float | None, flag("Recommend the cheapest layer worse by at most this margin, chosen on train or dev.")
]
RecommendOn = Annotated[
    Literal["every", "mean"],
    flag("Where the margin of --recommend holds: on every data set, or on their mean.", "--recommend-on"),
]


@friendly
@refuses(
    Idle(("recommend_on",), lambda values: values["recommend"] is None, "without --recommend"),
    Idle(("recommend_on",), lambda values: not are_several(values["dataset"]), "with a single data set"),
)
def layers(
    model: option.Model = "minilm",
    layers: option.Layers = "all",
    pooling: RankedPoolings = "own",
    lens: Lens = False,
    static: Static = False,
    recommend: Recommend = None,
    recommend_on: RecommendOn = "every",
    *,
    data: option.DataFlags,
    ranking: option.RankFlags,
    loading: option.EncodeFlags,
    output: ResultFlags,
    store: option.StoreFlags,
    engine: EngineFlags,
) -> None:
    """Rank every layer of a model by retrieval score, in one pass over the texts.

    Layers are probed by zero-shot retrieval: nothing is trained, except lenses with --lens and token vectors with
    --static. The full model is always in the table.
    """
    output.check("leaderboard", several=data.is_several)
    if recommend is not None:
        from adaptors.choosing.recommend import check_margin

        check_margin(recommend)
    poolings = pooling.split(",")
    engine.check(poolings)
    from probe.encoding.opening import as_reader
    from probe.experiments.layers import rank_layers

    options = ranking.options(loading, store, examples=output.writes_json)
    say(f"loading {', '.join(data.names)} and {model}")
    loaded = data.load(bm25=options.bm25)
    check_table(loaded, output, ranking.sort)
    if lens or static or recommend is not None:
        _refuse_images(loaded.found)
    cut = _StaticRow(loaded.found) if static else None
    judges = None if recommend is None else _Judges(recommend, recommend_on, dict(_find_judges(loaded, data.size)))
    with working() as report, engine.ready():
        options = replace(options, progress=report)
        opened = (
            model if any(one.dataset.images for one in loaded.found) else as_reader(model, options.load, options.store)
        )

        def rank_on(one: "LoadedDataset", options: "RunOptions") -> "Leaderboard":
            """Rank the layers on one data set."""
            extras = _Extras(one.request.name, lens, cut, judges)
            fit = partial(extras.fit, data=one.dataset, options=options)
            return rank_layers(opened, one.dataset, layers, poolings=poolings, options=options, extra=fit)

        pick = partial(engine.pick, size=data.size, trust=loading.trust_remote_code)
        board = rank_each(loaded, rank_on, options, sort=ranking.sort, engine=pick)
    if judges is not None and judges.found is not None:
        said = f"{judges.found.words()}{_next_command(judges.found, model, [one.request.name for one in loaded.found])}"
        board = replace(board, settings={**board.settings, "recommendation": said})
    if output.format == "json" and recommend is not None:
        say(f"recommendation: {board.settings['recommendation']}")
    output.emit(board)
    check_failed(board)


def _refuse_images(loaded: "Sequence[LoadedDataset]") -> None:
    for one in loaded:
        if one.dataset.images:
            raise CallError(f"--lens, --static and --recommend are for texts, '{one.label}' has images: leave them out")


def _find_judges(loaded: "LoadedDatasets", limit: "SampleSize | None") -> "Iterator[tuple[str, Dataset]]":
    """Yield the split that judges a recommendation, by data set; of a single data set only if there is one.

    Raises:
        CallError: One of several data sets has none.
    """
    from adaptors.fitting.data import find_training, require_training

    for one in loaded.found:
        if len(loaded.found) > 1:
            yield one.label, require_training(one.request.name, one.dataset.split, limit, why="--recommend")
        elif held := find_training(one.request.name, one.dataset.split, limit):
            yield one.label, held


@dataclass
class _Judges:
    """A recommendation on all data sets, found before the first is ranked.

    Attributes:
        margin: Maximum loss against the full model that still counts as equal.
        on: Where it has to hold: `every` or `mean`.
        held: The splits that judge, by data set.
        found: The recommendation, once known.
    """

    margin: float
    on: str
    held: "Mapping[str, Dataset]"
    found: "Recommendation | None" = None

    def recommend(self, reader: "LayerReader", points: "Sequence[Hookpoint]", options: "RunOptions") -> None:
        """Find the recommendation, unless it is known."""
        from adaptors.choosing.recommend import recommend

        if self.found is None:
            self.found = recommend(reader, points, self.held, margin=self.margin, options=options, on=self.on)


@dataclass
class _StaticRow:
    """The cut without blocks, fitted once to the texts of all data sets.

    Attributes:
        loaded: The data sets.
        made: The row, once fitted.
    """

    loaded: "Sequence[LoadedDataset]"
    made: "Candidate | None" = None

    def fit(self, reader: "LayerReader", points: "Sequence[Hookpoint]", options: "RunOptions") -> "Candidate":
        """Return the row; fitted at the first call, which reads the ranked hookpoints in the same pass."""
        if self.made is None:
            from adaptors.fitting.data import select_fit_data
            from adaptors.healing.texts import gather_heal_texts
            from adaptors.static.fit import check_static, fit_static_texts
            from adaptors.static.reading import static_candidate

            check_static(reader)
            several = [select_fit_data(one.request.name, one.dataset, "none") for one in self.loaded]
            also = [point.layer_pooling for point in points] if options.store is not None else []
            texts = gather_heal_texts(reader, several, options.store, progress=options.progress, also=also)
            made = fit_static_texts(reader, texts, store=options.store, seed=options.seed, progress=options.progress)
            say(f"static cut: {made.facts.describe()}")
            self.made = static_candidate(made)
        return self.made


@dataclass(frozen=True)
class _Extras:
    """Lenses, a static cut and a recommendation in addition to the raw layers, if requested.

    Attributes:
        dataset: The data set, as given.
        lens: Whether every layer is also shown with its lens.
        static: What fits the cut without blocks, if it is shown.
        judges: What finds the recommendation, if one is requested.
    """

    dataset: str
    lens: bool
    static: "_StaticRow | None"
    judges: _Judges | None

    def fit(
        self, reader: "LayerReader", points: "Sequence[Hookpoint]", *, data: "Dataset", options: "RunOptions"
    ) -> "Sequence[Composite | Candidate]":
        """Return a lens per hookpoint, a static cut, and find the recommendation, each if requested."""
        if not self.lens and self.static is None and self.judges is None:
            return ()
        if any(point.pooling == TOKENS for point in points):
            raise CallError(
                "--lens, --static and --recommend need one vector per text: leave 'tokens' out of --pooling"
            )
        if self.judges is not None:
            self.judges.recommend(reader, points, options)
        lenses = self._fit_lenses(reader, points, data=data, options=options) if self.lens else ()
        return [*lenses, *([self.static.fit(reader, points, options)] if self.static is not None else ())]

    def _fit_lenses(
        self, reader: "LayerReader", points: "Sequence[Hookpoint]", *, data: "Dataset", options: "RunOptions"
    ) -> "Sequence[Composite]":
        from adaptors.fitting.data import FitTexts, find_training
        from adaptors.fitting.lens import fit_lenses

        texts = FitTexts(data, find_training(self.dataset, data.split))
        return fit_lenses(reader, points, texts, store=options.store, progress=options.progress)


def _next_command(found: "Recommendation", model: str, datasets: "Sequence[str]") -> str:
    """Return the next command: the cut, or the nearest cut and its healing."""
    on = [part for name in datasets for part in ("-d", name)]
    if found.encoder is not None:
        layer, pooling = found.encoder.layer_pooling
        lens = ["--lens"] if found.lens else []
        return f": {shlex.join([*_cut(model, layer), '--pooling', pooling, *lens, *on])}"
    if found.nearest is None:
        return ""
    layer = found.nearest.encoder.layer_pooling[0]
    folder = f"./{Path(model).name}-after-{layer}"
    heal = shlex.join(["adaptors", "heal", folder, *on, "--minutes", "15"])
    return f". Next: {shlex.join([*_cut(model, layer), '--out', folder])} && {heal}"


def _cut(model: str, layer: int) -> list[str]:
    return ["surgery", "cut", model, "--after", str(layer)]
