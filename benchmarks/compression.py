"""Write the second table of docs/reproduction.md: how much of two models' concatenation is left in few bytes.

`MPNET=folder DATA=folder python -m benchmarks.compression STORE` fits one preset on MiniLM and all-mpnet-base-v2 and
replaces the text between the two marks of the page. DATA holds nfcorpus.zip and scifact.zip in BEIR's format; STORE is
a folder for cached vectors. `--only scifact --limit 1000` takes less.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, compare_adaptors
from adaptors.fitting.data import select_fit_data
from benchmarks.inputs import find_mpnet
from probe.evaluation.storage import StoragePlan
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.results.formats import show_p_value
from probe.results.leaderboard import Leaderboard, Row
from probe.results.row import describe_bits
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = ["draw", "main"]

_PAGE = Path(__file__).parent.parent / "docs" / "reproduction.md"
_BEGIN, _END = "<!-- table of bytes -->\n", "<!-- end of table of bytes -->\n"
_SETS = ("nfcorpus", "scifact")
# 12, 24, 48, 96 and 192 times smaller than 1,152 dimensions in float32.
_SIZES = (384, 192, 96, 48, 24)
_KIND, _DIMS = "spectral", (384, 256)


def main() -> None:
    """Fit, score, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--only", default=",".join(_SETS), help="some of: %(default)s")
    parser.add_argument("--limit", type=int, help="documents per data set")
    given = parser.parse_args()
    boards = {name: _rank(name, Store(given.store), given.limit) for name in given.only.split(",")}
    before, rest = _PAGE.read_text(encoding="utf-8").split(_BEGIN)
    _PAGE.write_text(before + _BEGIN + draw(boards) + _END + rest.split(_END)[1], encoding="utf-8")


def draw(boards: dict[str, Leaderboard]) -> str:
    """Return the table in Markdown: lines that end in a line break."""
    names = [f"{name} ({board.settings['dataset']['documents']:,} documents)" for name, board in boards.items()]
    lines = [
        f"| bytes | smaller | here | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for first in sorted(next(iter(boards.values())).rows, key=lambda row: (-(row.bytes or 0), row.rank)):
        rows = [next(row for row in board.rows if row.key == first.key) for board in boards.values()]
        here = f"`{first.adaptor}` to {first.dim}" if first.adaptor else "concat of the two"
        cells = [_cell(row, board) for row, board in zip(rows, boards.values(), strict=True)]
        lines.append(
            f"| {first.bytes:,} | {first.compression:.3g} x | {here}, {describe_bits(first)} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _cell(row: Row, board: Leaderboard) -> str:
    frozen = next(one for one in board.rows if one.delta is None)
    share = row.scores[board.metric] / frozen.scores[board.metric]
    test = "" if row is frozen else f", p {show_p_value(row.p_value)}"
    return f"{row.scores[board.metric]:.4f} ({100 * share:.1f} %{test})"


def _rank(name: str, store: Store, limit: int | None) -> Leaderboard:
    path = os.path.join(os.environ["DATA"], f"{name}.zip")
    data = load_dataset(path, None, limit)
    options = RunOptions(store=store, storage=StoragePlan(bits=(32,), sizes=_SIZES))
    models: Sequence[str] = ("minilm:mean", f"mpnet={find_mpnet()}:mean")
    fusion = resolve_specs(["+".join(models)], LoadOptions("auto", "cpu"), store)
    texts = select_fit_data(path, data, "none")
    return compare_adaptors(fusion, FitPlan((_KIND, "pca"), _DIMS), texts, options=options)


if __name__ == "__main__":
    main()
