"""Write the table of docs/reproduction.md: the published reference experiment beside this package's results.

`MPNET=folder DATA=folder python -m benchmarks.reproduction STORE` fits all adaptors on MiniLM and all-mpnet-base-v2
(384 + 768 dimensions, like the original's models) and replaces the text between the two marks of the page. DATA holds
nfcorpus.zip and scifact.zip in BEIR's format; STORE is a folder for cached vectors.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, compare_adaptors
from adaptors.fitting.data import select_fit_data
from adaptors.fitting.kinds import RECOMMENDED
from adaptors.fitting.options import TrainOptions
from benchmarks.inputs import find_mpnet
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = ["draw", "main"]

_PAGE = Path(__file__).parent.parent / "docs" / "reproduction.md"
_BEGIN, _END = "<!-- table -->\n", "<!-- end of table -->\n"
_SETS = ("nfcorpus", "scifact")
_DIMS = (512, 256, 128)
_CONCAT = "frozen 1152"
# What begins at random gets what it needs on corpora this small; it stops by itself where nothing is gained.
_RANDOM_STEPS = 1500


@dataclass(frozen=True)
class _Line:
    """A line of the table.

    Attributes:
        ours: What it is here, in Markdown.
        key: Where its score is found: the run, the adaptor if any, its labels if it saw any, the dimension.
        original: What it was in the original, in Markdown.
        scores: nDCG@10 there on NFCorpus and SciFact.
    """

    ours: str
    key: str
    original: str = ""
    scores: tuple[float, ...] = ()


_SHALLOW = "LayerNorm, Linear, BatchNorm, LeakyReLU, LayerNorm; similarity loss"
_LINES = (
    _Line("MiniLM", "frozen 384", "bge-small", (0.33708, 0.7200)),
    _Line("all-mpnet-base-v2", "frozen 768", "arctic-m-v1.5", (0.36201, 0.71586)),
    _Line("concat of the two", _CONCAT, "concat of the two", (0.37287, 0.73095)),
    _Line("`mlp-original`", "random mlp-original 512", "MLP 1152 > 768 > 512", (0.31671, 0.63541)),
    _Line("`linear-original`", "random linear-original 512", _SHALLOW, (0.36441, 0.70823)),
    _Line("`linear`, initialized with PCA, same loss", "similarity linear 512"),
    *(_Line(f"`{kind}`", f"ladder {kind} 512") for kind in ("truncate", "pca", "spectral", "linear")),
    _Line(f"`{RECOMMENDED}` (recommended)", f"ladder {RECOMMENDED} 512"),
    _Line("`linear`, relevance labels of `train`", "ladder linear train 512"),
    *(_Line(f"`{kind}`", f"ladder {kind} {dim}") for dim in (256, 128) for kind in ("pca", RECOMMENDED)),
)


def main(arguments: Sequence[str]) -> None:
    """Fit, score, and write the table into the page."""
    store = Store(Path(arguments[0]))
    found = [_score(os.path.join(os.environ["DATA"], f"{name}.zip"), store) for name in _SETS]
    before, rest = _PAGE.read_text(encoding="utf-8").split(_BEGIN)
    _PAGE.write_text(before + _BEGIN + draw(found) + _END + rest.split(_END)[1], encoding="utf-8")


def draw(found: Sequence[Mapping[str, float]]) -> str:
    """Return the table in Markdown.

    Args:
        found: Scores by key, one mapping per data set.

    Returns:
        Lines that end in a line break.
    """
    lines = [
        "| original | NFCorpus | SciFact | here | dim | NFCorpus | SciFact |",
        "|---|---|---|---|---|---|---|",
    ]
    concat = next(line.scores for line in _LINES if line.key == _CONCAT)
    for line in _LINES:
        there = _cells(line.scores, concat) if line.scores else ["", ""]
        here = _cells([scores[line.key] for scores in found], [scores[_CONCAT] for scores in found])
        cells = [line.original, *there, line.ours, line.key.rpartition(" ")[2], *here]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cells(scores: Sequence[float], concat: Sequence[float]) -> list[str]:
    return [f"{score:.4f} ({100 * score / whole:.1f} %)" for score, whole in zip(scores, concat, strict=True)]


def _score(dataset: str, store: Store) -> dict[str, float]:
    """Return nDCG@10 by key."""
    data, models = load_dataset(dataset), ("minilm:mean", f"{find_mpnet()}:mean")
    load, options = LoadOptions("auto", "cpu"), RunOptions(store=store)
    frozen = resolve_specs([*models, "+".join(models)], load, store)
    fusion = resolve_specs(["+".join(models)], load, store)
    judged, blind = (select_fit_data(dataset, data, labels) for labels in ("train", "none"))
    kinds = ("truncate", "pca", "spectral", RECOMMENDED, "linear")
    by_similarity = FitPlan(("linear",), _DIMS, TrainOptions(loss="similarity"))
    at_random = FitPlan(("linear-original", "mlp-original"), _DIMS, TrainOptions(steps=_RANDOM_STEPS))
    runs = {
        "frozen": rank_candidates(
            frozen.candidates, data, str(frozen.baseline), options=options, fusions=frozen.fusions
        ),
        "ladder": compare_adaptors(fusion, FitPlan(kinds, _DIMS), judged, options=options),
        "random": compare_adaptors(fusion, at_random, blind, options=options),
        "similarity": compare_adaptors(fusion, by_similarity, blind, options=options),
    }
    return {key: score for name, board in runs.items() for key, score in _read(name, board).items()}


def _read(run: str, board: Leaderboard) -> dict[str, float]:
    found = {}
    for row in board.rows:
        labels = None if row.labels == "none" else row.labels
        words = [word for word in (run, row.adaptor, labels, str(row.dim)) if word]
        found[" ".join(words)] = row.scores[board.metric]
    return found


if __name__ == "__main__":
    main(sys.argv[1:])
