"""Write the table of docs/own-documents.md: do synthetic queries rank encoders as real judgements do?

`DATA=folder python -m benchmarks.agreement STORE [NAMES]` builds data sets from the documents of Cranfield, NFCorpus
and SciFact alone, ranks the same encoders with synthetic and with real queries, and replaces the text between the two
marks of the page. DATA holds the three zips in BEIR's format, STORE is a folder for cached vectors and built sets.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from scipy.stats import kendalltau

import adaptors
from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, compare_adaptors
from adaptors.fitting.data import FitTexts
from probe.data.dataset import Dataset
from probe.documents.build import BuildOptions, build_dataset
from probe.errors import DataError
from probe.evaluation.bm25 import BM25, evaluate_bm25
from probe.experiments.options import RunOptions
from probe.metrics.retrieval import Metric
from probe.models.options import LoadOptions
from probe.results.leaderboard import Leaderboard
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = ["Agreement", "agreement", "main", "score_encoders"]

_PAGE = Path(__file__).parent.parent / "docs" / "own-documents.md"
_BEGIN, _END = "<!-- agreement -->\n", "<!-- end of agreement -->\n"
_REAL = {"cranfield": ("test_all",), "nfcorpus": ("train", "test"), "scifact": ("train", "test")}
_KINDS = ("all kinds", "heading", "sentence", "keywords")
_METRIC = Metric("ndcg", 10)
_SPECS = (
    *("minilm@0-6", "minilm@5:cls", "minilm@6:cls", "minilm@6:max"),
    *("minilm@4+minilm@6", "minilm@5+minilm@6"),
)
_DIMS = (128, 64, 32)

Scores = Mapping[str, float]


@dataclass(frozen=True)
class Agreement:
    """How one ranking of encoders agrees with another.

    Attributes:
        encoders: Number of encoders.
        tau: Kendall's tau-b of the two rankings.
        close: The same among the best dozen by the second ranking, BM25 aside: encoders that differ less.
        loss: How much worse the encoder that the first ranking puts on top is than the best, in the second.
    """

    encoders: int
    tau: float
    close: float
    loss: float


def agreement(synthetic: Scores, real: Scores) -> Agreement:
    """Compare scores by synthetic queries with those by real judgements, by name of the encoder."""
    names = sorted(set(synthetic) & set(real))
    best = max(names, key=lambda name: synthetic[name])
    dozen = sorted((name for name in names if name != BM25), key=lambda name: -real[name])[:12]
    taus = [_tau(some, synthetic, real) for some in (names, dozen)]
    return Agreement(len(names), *taus, loss=max(real[name] for name in names) - real[best])


def _tau(names: Sequence[str], one: Scores, other: Scores) -> float:
    return float(kendalltau([one[name] for name in names], [other[name] for name in names]).statistic)


def score_encoders(data: Dataset, store: Store) -> Scores:
    """Return nDCG@10 of layers, lenses, poolings, fusions, shorter vectors and BM25, by name."""
    load, options = LoadOptions("auto", "cpu"), RunOptions(store=store)
    frozen = adaptors.rank(list(_SPECS), data, options=options)
    blind = FitTexts(data)
    lenses = resolve_specs([f"minilm@{layer}" for layer in range(6)], load, store)
    short = resolve_specs(["minilm"], load, store)
    boards = (
        frozen,
        compare_adaptors(lenses, FitPlan(("lens",), (384,)), blind, options=options),
        compare_adaptors(short, FitPlan(("pca", "truncate"), _DIMS), blind, options=options),
    )
    words = evaluate_bm25(data, [_METRIC]).mean(_METRIC)
    return {BM25: words, **{name: score for board in boards for name, score in _read(board)}}


def _read(board: Leaderboard) -> Iterator[tuple[str, float]]:
    for row in board.rows:
        if not row.collapsed:
            with_adaptor = f" {row.adaptor} {row.dim}" if row.adaptor else ""
            yield f"{row.encoder}{with_adaptor}", row.scores[board.metric]


def main(arguments: list[str]) -> None:
    """Score, compare, write."""
    folder, store = Path(os.environ["DATA"]), Store(arguments[0])
    names = arguments[1:] or list(_REAL)
    rows = [row for name in names for row in _compare(folder / f"{name}.zip", Path(arguments[0]), store)]
    page = _PAGE.read_text(encoding="utf-8")
    head, rest = page.split(_BEGIN)
    header = "| set, real queries | " + " | ".join(_KINDS) + " | other real queries |"
    table = "\n".join((header, "|---" * 6 + "|", *rows))
    _PAGE.write_text(f"{head}{_BEGIN}{table}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


def _compare(file: Path, work: Path, store: Store) -> Iterator[str]:
    """Yield the lines of a data set's table."""
    name = file.stem
    built = _build(file, work / f"{name}-built")
    splits = {kind: "test" if kind == _KINDS[0] else f"test-{kind}" for kind in _KINDS}
    made = {kind: score_encoders(load_dataset(built, split), store) for kind, split in splits.items()}
    real = {split: score_encoders(load_dataset(file, split), store) for split in _REAL[name]}
    for split, scores in real.items():
        cells = [_cell(agreement(made[kind], scores)) for kind in _KINDS]
        others = [_cell(agreement(other, scores)) for key, other in real.items() if key != split]
        yield f"| {name}, {split} | {' | '.join([*cells, *(others or ['-'])])} |"
    taus = [agreement(one, scores).tau for one in made.values()]
    sys.stdout.write(f"{name}: {len(scores)} encoders, mean tau {mean(taus):.3f}\n")


def _cell(found: Agreement) -> str:
    return f"{found.tau:.2f}, {found.close:.2f}, {found.loss:.3f}"


def _build(file: Path, out: Path) -> Path:
    """Build a data set from the documents of another, without its queries."""
    documents = out.with_suffix(".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    corpus = load_dataset(file, _REAL[file.stem][-1]).documents
    titles = _titles(file)
    with documents.open("w", encoding="utf-8") as lines:
        for name, text in corpus:
            title = titles.get(name, "")
            lines.write(json.dumps({"id": name, "title": title, "text": text.removeprefix(title).strip()}) + "\n")
    if not titles:
        raise DataError(f"'{file}' has no titles")
    return build_dataset(documents, out, force=True, options=BuildOptions(max_tokens=512)).folder


def _titles(file: Path) -> dict[str, str]:
    import zipfile

    with zipfile.ZipFile(file) as archive:
        name = next(one for one in archive.namelist() if one.endswith("corpus.jsonl"))
        records = (json.loads(line) for line in archive.read(name).splitlines() if line.strip())
        return {record["_id"]: record.get("title") or "" for record in records}


if __name__ == "__main__":
    main(sys.argv[1:])
