"""The command `probe layers`, with lenses and a recommendation on request."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.engine import EngineOptions
from encoder_surgery.shell.options import load_ranked, open_store, wants_bm25
from encoder_surgery.shell.output import check_output, check_plot, command_line, emit, save_plot, say, writes_json
from encoder_surgery.shell.progress import working
from probe.errors import CallError
from probe.layers.hookpoint import TOKENS

if TYPE_CHECKING:
    from adaptors.fitting.recommend import Recommendation
    from probe.data.dataset import Dataset
    from probe.encoding.reader import LayerReader
    from probe.evaluation.composite import Composite
    from probe.experiments.ranking import RankOptions
    from probe.layers.hookpoint import Hookpoint
    from probe.models.options import LoadOptions
    from probe.results.leaderboard import Leaderboard

__all__ = ["layers"]


@friendly
def layers(
    model: option.Model = "minilm",
    dataset: option.DatasetName = "docstrings",
    layers: option.Layers = "all",
    pooling: option.RankedPoolings = "own",
    metric: option.MetricName = "ndcg@10",
    split: option.Split = None,
    limit: option.Limit = None,
    lens: option.Lens = False,
    recommend: option.Recommend = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    seed: option.Seed = 0,
    max_tokens: option.MaxTokens = None,
    query_prompt: option.QueryPrompt = None,
    document_prompt: option.DocumentPrompt = None,
    trust_remote_code: option.Trust = False,
    baseline: option.Baseline = None,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    engine: option.EngineName = "local",
    address: option.EngineAddress = None,
    workers: option.EngineWorkers = None,
    gpus_per_worker: option.GpusPerWorker = None,
    format: option.Format = "table",
    save: option.Save = None,
    plot: option.Plot = None,
    debug: option.Debug = False,
) -> None:
    """Rank every layer of a model by how well it retrieves, in one pass over the texts.

    A layer is probed by zero-shot retrieval: nothing is fitted, unless --lens asks for it. The full model is always in
    the table.
    """
    check_output(format, save)
    check_plot(plot)
    engines = EngineOptions(engine, address, workers, gpus_per_worker)
    engines.check(pooling.split(","))
    from probe.experiments.ranking import RankOptions
    from probe.metrics.retrieval import Metric
    from probe.models.options import LoadOptions

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), wants_bm25(baseline)
    opened = open_store(store, no_store)
    chosen = engines.pick(dataset, split, limit, trust=trust_remote_code)
    extras = _Extras(lens, recommend, model, dataset)
    say(f"loading {dataset} and {model}")
    data = load_ranked(dataset, split, limit, bm25=bm25)
    with working() as report, engines.ready():
        ranking = RankOptions(ranked_by, seed, bm25, command_line(), opened, report, writes_json(format, save), chosen)
        board = extras.rank(data, options, ranking, layers=layers, poolings=pooling.split(","))
    emit(board, format, save)
    save_plot(board, plot)


@dataclass
class _Extras:
    """Lenses and a recommendation beside the raw layers, where asked for.

    Attributes:
        lens: Whether every layer is shown with its lens, too.
        margin: How much worse than the full model still counts as not worse, where a recommendation is asked for.
        model: The model, as typed.
        dataset: The data set, as typed.
        found: The recommendation, once there is one.
    """

    lens: bool
    margin: float | None
    model: str
    dataset: str
    found: "Recommendation | None" = field(default=None, init=False)

    def rank(
        self, data: "Dataset", options: "LoadOptions", ranking: "RankOptions", *, layers: str, poolings: list[str]
    ) -> "Leaderboard":
        """Return the leaderboard of some layers and poolings; of both towers where there are images."""
        if data.images:
            from probe.experiments.two_towers import open_towers, rank_towers

            if self.lens or self.margin is not None:
                raise CallError(f"--lens and --recommend are for texts, '{self.dataset}' holds images: leave them out")
            return rank_towers(
                open_towers(self.model, data, options, store=ranking.store),
                data,
                layers,
                poolings=poolings,
                options=ranking,
            )
        from probe.encoding.opening import open_reader
        from probe.experiments.ranking import rank_layers

        reader = open_reader(self.model, options, ranking.store)
        board = rank_layers(
            reader,
            data,
            layers,
            poolings=poolings,
            options=ranking,
            extra=partial(self.fit, reader, data, ranking=ranking),
        )
        return self.add_recommendation(board)

    def fit(
        self, reader: "LayerReader", data: "Dataset", points: "Sequence[Hookpoint]", *, ranking: "RankOptions"
    ) -> "Sequence[Composite]":
        """Return a lens per hookpoint, and find the recommendation, where asked for."""
        if not self.lens and self.margin is None:
            return ()
        if any(point.pooling == TOKENS for point in points):
            raise CallError("--lens and --recommend need one vector per text: leave 'tokens' out of --pooling")
        from adaptors.fitting.compare import fit_lenses
        from adaptors.fitting.data import FitTexts, find_training
        from adaptors.fitting.recommend import recommend

        held = find_training(self.dataset, data.split)
        if self.margin is not None:
            self.found = recommend(reader, points, held, margin=self.margin, options=ranking)
        return fit_lenses(reader, points, FitTexts(data, held), store=ranking.store, progress=ranking.progress)

    def add_recommendation(self, board: "Leaderboard") -> "Leaderboard":
        """Return the leaderboard with the recommendation in its settings, if there is one."""
        if self.found is None:
            return board
        words = self.found.words()
        if self.found.encoder is not None:
            layer, pooling = self.found.encoder.layer_pooling
            cut = ["surgery", "cut", "--model", self.model, "--after", str(layer), "--pooling", pooling]
            cut += [*(["--lens"] if self.found.lens else []), "--dataset", self.dataset]
            words += f": {shlex.join(cut)}"
        say(f"recommendation: {words}")
        return replace(board, settings={**board.settings, "recommendation": words})
