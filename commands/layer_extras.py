"""The rows of `probe layers`, with what it adds on request: lenses, and a recommendation."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from commands.shell import say
from probe.errors import CallError
from probe.hookpoint import TOKENS

if TYPE_CHECKING:
    from adaptors.recommend import Recommendation
    from probe.composite import Composite
    from probe.dataset import Dataset
    from probe.hookpoint import Hookpoint
    from probe.leaderboard import Leaderboard
    from probe.options import LoadOptions
    from probe.ranking import RankOptions
    from probe.reader import LayerReader

__all__ = ["LayerExtras"]


@dataclass
class LayerExtras:
    """What was asked for beyond the raw layers, and what came of it.

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
        self, data: "Dataset", options: "LoadOptions", wanted: tuple[str, str], ranking: "RankOptions"
    ) -> "Leaderboard":
        """Return the leaderboard of the wanted layers and poolings; of both towers where there are images."""
        layers, poolings = wanted[0], wanted[1].split(",")
        if data.images:
            from probe.tower_ranking import open_towers, rank_towers

            if self.lens or self.margin is not None:
                raise CallError(f"--lens and --recommend are for texts, '{self.dataset}' holds images: leave them out")
            return rank_towers(open_towers(self.model, data, options, ranking.store), data, layers, poolings, ranking)
        from probe.opening import open_reader
        from probe.ranking import rank_layers

        reader = open_reader(self.model, options, ranking.store)
        board = rank_layers(reader, data, layers, poolings, ranking, partial(self.fit, reader, data, ranking))
        return self.add_recommendation(board)

    def fit(
        self, reader: "LayerReader", data: "Dataset", ranking: "RankOptions", points: "Sequence[Hookpoint]"
    ) -> "Sequence[Composite]":
        """Return a lens per hookpoint, and find the recommendation, where asked for."""
        if not self.lens and self.margin is None:
            return ()
        if any(point.pooling == TOKENS for point in points):
            raise CallError("--lens and --recommend need one vector per text: leave 'tokens' out of --pooling")
        from adaptors.gathering import FitTexts, find_training
        from adaptors.lens import fit_lenses
        from adaptors.recommend import recommend

        held = find_training(self.dataset, data.split)
        if self.margin is not None:
            self.found = recommend(reader, points, held, self.margin, ranking)
        return fit_lenses(reader, points, FitTexts(data, held), ranking.store, ranking.progress)

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
