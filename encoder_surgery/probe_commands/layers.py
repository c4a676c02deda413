"""The command `probe layers`, with lenses and a recommendation on request."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.datasets import check_failed, check_table, rank_each
from encoder_surgery.shell.engine import EngineFlags
from encoder_surgery.shell.output import ResultFlags, say
from encoder_surgery.shell.progress import working
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from adaptors.fitting.recommend import Recommendation
    from probe.data.dataset import Dataset
    from probe.data.sampling import SampleSize
    from probe.encoding.reader import LayerReader
    from probe.evaluation.composite import Composite
    from probe.experiments.options import RunOptions
    from probe.layers.hookpoint import Hookpoint
    from probe.results.leaderboard import Leaderboard
    from probe.sources.several import LoadedDataset

__all__ = ["layers"]

RankedPoolings = Annotated[
    str, flag("own, cls, last, max, mean, or tokens (late interaction); comma-separated.", "--pooling")
]
Lens = Annotated[bool, flag("Add every layer with its lens, a ridge map to the final embedding.", "--lens")]
Recommend = Annotated[
    float | None, flag("Recommend the cheapest layer worse by at most this margin, chosen on train or dev.")
]


@friendly
def layers(
    model: option.Model = "minilm",
    layers: option.Layers = "all",
    pooling: RankedPoolings = "own",
    lens: Lens = False,
    recommend: Recommend = None,
    *,
    data: option.DataFlags,
    ranking: option.RankFlags,
    loading: option.EncodeFlags,
    output: ResultFlags,
    store: option.StoreFlags,
    engine: EngineFlags,
) -> None:
    """Rank every layer of a model by retrieval score, in one pass over the texts.

    Layers are probed by zero-shot retrieval: nothing is trained, except lenses with --lens. The full model is always
    in the table.
    """
    output.check("leaderboard", several=data.are_several)
    if recommend is not None:
        from adaptors.fitting.recommend import check_margin

        check_margin(recommend)
    poolings = pooling.split(",")
    engine.check(poolings)
    from probe.encoding.opening import as_reader
    from probe.experiments.layers import rank_layers

    options = ranking.options(loading, store, examples=output.writes_json)
    say(f"loading {', '.join(data.names)} and {model}")
    loaded = data.load(bm25=options.bm25)
    check_table(loaded, ranking.sort, output)
    for one in loaded.found:
        if one.dataset.images and (lens or recommend is not None):
            raise CallError(f"--lens and --recommend are for texts, '{one.label}' has images: leave them out")
    with working() as report, engine.ready():
        options = replace(options, progress=report)
        opened = (
            model if any(one.dataset.images for one in loaded.found) else as_reader(model, options.load, options.store)
        )

        def rank_on(one: "LoadedDataset", options: "RunOptions") -> "Leaderboard":
            """Rank the layers on one data set."""
            extras = _Extras(model, one.request.name, lens, recommend, data.size)
            fit = partial(extras.fit, data=one.dataset, options=options)
            board = rank_layers(opened, one.dataset, layers, poolings=poolings, options=options, extra=fit)
            return extras.add_recommendation(board)

        pick = partial(engine.pick, size=data.size, trust=loading.trust_remote_code)
        board = rank_each(loaded, rank_on, options, sort=ranking.sort, engine=pick)
    if output.format == "json" and recommend is not None:
        say(f"recommendation: {board.settings['recommendation']}")
    output.emit(board)
    check_failed(board)


@dataclass
class _Extras:
    """Lenses and a recommendation in addition to the raw layers, if requested.

    Attributes:
        model: The model, as given.
        dataset: The data set, as given.
        lens: Whether every layer is also shown with its lens.
        margin: Maximum loss against the full model that still counts as equal; None for no recommendation.
        limit: The sample of the data set; default: all of it.
        found: The recommendation, once known.
    """

    model: str
    dataset: str
    lens: bool
    margin: float | None
    limit: "SampleSize | None" = None
    found: "Recommendation | None" = None

    def fit(
        self, reader: "LayerReader", points: "Sequence[Hookpoint]", *, data: "Dataset", options: "RunOptions"
    ) -> "Sequence[Composite]":
        """Return a lens per hookpoint and find the recommendation, each if requested."""
        if not self.lens and self.margin is None:
            return ()
        if any(point.pooling == TOKENS for point in points):
            raise CallError("--lens and --recommend need one vector per text: leave 'tokens' out of --pooling")
        from adaptors.fitting.data import FitTexts, find_training
        from adaptors.fitting.lens import fit_lenses
        from adaptors.fitting.recommend import recommend

        if self.margin is not None:
            judges = find_training(self.dataset, data.split, self.limit)
            self.found = recommend(reader, points, judges, margin=self.margin, options=options)
        if not self.lens:
            return ()
        held = find_training(self.dataset, data.split)
        return fit_lenses(reader, points, FitTexts(data, held), store=options.store, progress=options.progress)

    def add_recommendation(self, board: "Leaderboard") -> "Leaderboard":
        """Return the leaderboard with the recommendation, if any, in its settings."""
        if self.found is None:
            return board
        words = f"{self.found.words()}{self._next_command(self.found)}"
        return replace(board, settings={**board.settings, "recommendation": words})

    def _next_command(self, found: "Recommendation") -> str:
        """Return the next command: the cut, or the nearest cut and its healing."""
        if found.encoder is not None:
            layer, pooling = found.encoder.layer_pooling
            lens = ["--lens"] if found.lens else []
            return f": {shlex.join([*self._cut(layer), '--pooling', pooling, *lens, '-d', self.dataset])}"
        if found.nearest is None:
            return ""
        layer = found.nearest.encoder.layer_pooling[0]
        folder = f"./{Path(self.model).name}-after-{layer}"
        heal = shlex.join(["adaptors", "heal", folder, "-d", self.dataset, "--minutes", "15"])
        return f". Next: {shlex.join([*self._cut(layer), '--out', folder])} && {heal}"

    def _cut(self, layer: int) -> list[str]:
        return ["surgery", "cut", self.model, "--after", str(layer)]
