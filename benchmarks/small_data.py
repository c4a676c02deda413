"""Write the table of adaptors on small corpora in benchmarks/NOTES.md: each kind beside `pca` on samples of data sets.

`DATA=folder MPNET=folder python -m benchmarks.small_data STORE` fits adaptors without labels on MiniLM and
all-mpnet-base-v2, and replaces the text between the two marks of the page. DATA holds the data sets as zip files in
BEIR's format; STORE is a folder for cached vectors: each data set is encoded once, and samples are drawn from its
states. `--only scifact --documents 200 --kinds spectral --seeds 1` takes less, `--on SPEC` needs no MPNET, and
`--print` leaves the page alone.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.data import FitTexts, find_training
from adaptors.fitting.kinds import KINDS
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData, gather_states
from adaptors.modules.base import Adaptor, Identity
from adaptors.training.evaluation import NDCG
from benchmarks.inputs import find_mpnet
from probe.evaluation.fusion import Fusion
from probe.experiments.specs import ResolvedSpecs
from probe.metrics.retrieval import score_run
from probe.metrics.significance import paired_p_values
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import unit
from probe.models.options import LoadOptions
from probe.results.formats import show_p_value
from probe.results.leaderboard import PCA
from probe.sources.loading import load_dataset
from probe.store.store import Store

__all__ = ["Searched", "Shares", "draw", "main", "measure"]

_PAGE = Path(__file__).parent / "NOTES.md"
_BEGIN, _END = "<!-- table of small data -->\n", "<!-- end of table of small data -->\n"
_SETS = ("scifact", "nfcorpus", "cranfield")
# In BEIR's form of Cranfield the papers that queries were written for are judged in this split alone.
_SPLITS = {"cranfield": "test_all"}
_KINDS = ("spectral", "distil", "linear", "mlp")
_DIMS = (512, 256, 128, 64)
_DOCUMENTS = (200, 500, 1000)


@dataclass(frozen=True)
class Searched:
    """The states of a data set, and what its scored queries look for.

    Attributes:
        data: States of documents and training queries.
        asked: States of the scored queries `(Q, D)`.
        relevant: Grades of relevant documents by their rows, per scored query.
        numbers: Number of each scored query in the data set, the same in all samples.
    """

    data: FitData
    asked: Tensor
    relevant: tuple[dict[int, int], ...]
    numbers: tuple[int, ...]

    def sample(self, documents: int, seed: int, with_queries: bool) -> "Searched":
        """Draw documents: relevant ones first, then others; queries with nothing left to find are left out.

        With training queries, at most as many as documents are drawn.
        """
        rng = np.random.default_rng(seed)
        wanted = np.unique([row for found in self.relevant for row in found])
        others = np.setdiff1d(np.arange(len(self.data.documents)), wanted)
        rows = np.sort(np.concatenate([rng.permutation(wanted), rng.permutation(others)])[:documents])
        places = {int(row): place for place, row in enumerate(rows)}
        left = [{places[row]: grade for row, grade in found.items() if row in places} for found in self.relevant]
        kept = [query for query, found in enumerate(left) if found]
        drawn = rng.permutation(len(self.data.queries))[: documents if with_queries else 0]
        targets = self.data.targets[np.concatenate([rows, len(self.data.documents) + drawn])]
        data = replace(
            self.data, documents=self.data.documents[rows], queries=self.data.queries[drawn], targets=targets
        )
        return Searched(data, self.asked[kept], tuple(left[query] for query in kept), tuple(kept))

    def score(self, adaptor: Adaptor, dim: int) -> NDArray[np.float64]:
        """Return nDCG@10 of every query with the first dimensions of adapted vectors."""
        with torch.no_grad():
            queries, documents = (adaptor(side)[:, :dim].numpy() for side in (self.asked, self.data.documents))
        top = TopK([f"q{query}" for query in range(len(queries))], NDCG.cutoff)
        top.add([str(row) for row in range(len(documents))], cosines(unit(queries), documents))
        qrels = {
            f"q{query}": {str(row): grade for row, grade in found.items()} for query, found in enumerate(self.relevant)
        }
        return score_run(top.run(), qrels, [NDCG])[NDCG]


@dataclass(frozen=True)
class Shares:
    """A kind of adaptor on samples of one size of a data set.

    Attributes:
        name: Data set.
        documents: Number of documents.
        kind: Kind of adaptor.
        dims: Dimensions, none above the encoder's.
        shares: Mean score as a share of the frozen encoder's, per dimension.
        gains: Mean difference from `pca`, per dimension.
        p_values: Of paired tests against `pca`, per dimension.
        kept_pca: In how many of the samples the fit fell back to `pca`.
    """

    name: str
    documents: int
    kind: str
    dims: tuple[int, ...]
    shares: tuple[float, ...]
    gains: tuple[float, ...]
    p_values: tuple[float | None, ...]
    kept_pca: int


def main() -> None:
    """Fit, score, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--on", help="encoder; default: MiniLM and mpnet")
    parser.add_argument("--only", default=",".join(_SETS), help="some of: %(default)s")
    parser.add_argument("--kinds", default=",".join(_KINDS), help="default: %(default)s")
    parser.add_argument("--documents", default=",".join(map(str, _DOCUMENTS)), help="default: %(default)s")
    parser.add_argument("--seeds", type=int, default=3, help="samples of each size; default: %(default)s")
    parser.add_argument("--queries", action="store_true", help="fit to training queries, too, where there are some")
    parser.add_argument("--print", action="store_true", help="print the table instead of writing it")
    given = parser.parse_args()
    lines = [_BEGIN, draw(_rows(given)), _END]
    if given.print:
        print("".join(lines[1:2]), end="")  # noqa: T201
        return
    before, rest = _PAGE.read_text(encoding="utf-8").split(_BEGIN)
    _PAGE.write_text(before + "".join(lines) + rest.split(_END)[1], encoding="utf-8")


def draw(rows: Sequence[Shares]) -> str:
    """Return the table in Markdown: lines that end in a line break."""
    lines = [f"| data set | documents | kind | {' | '.join(map(str, _DIMS))} |", "|---" * (3 + len(_DIMS)) + "|"]
    for row in rows:
        found = {
            dim: f"{share:.3f} ({gain:+.3f}, p {show_p_value(p)})"
            for dim, share, gain, p in zip(row.dims, row.shares, row.gains, row.p_values, strict=True)
        }
        cells = [found.get(dim, "–") for dim in _DIMS]
        kind = f"`{row.kind}`" + (f", {row.kept_pca} x `pca`" if row.kept_pca else "")
        lines.append(f"| {row.name} | {row.documents:,} | {kind} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure(name: str, samples: Sequence[Searched], kinds: Sequence[str]) -> list[Shares]:
    """Fit kinds of adaptors to samples of one size, and compare each with `pca`."""
    scores: dict[str, list[NDArray[np.float64]]] = {}
    kept: dict[str, int] = {}
    width = samples[0].data.documents.shape[1]
    dims = tuple(dim for dim in _DIMS if dim <= width)
    for sample in samples:
        scores.setdefault("frozen", []).append(np.tile(sample.score(Identity(width), width), (len(dims), 1)))
        for kind in (PCA, *kinds):
            fitted = KINDS[kind].fit(sample.data, dims, TrainOptions())
            kept[kind] = kept.get(kind, 0) + any(note.startswith("replaced by pca") for note in fitted.notes)
            scores.setdefault(kind, []).append(np.stack([sample.score(fitted.module, dim) for dim in dims]))
    numbers = np.concatenate([sample.numbers for sample in samples])
    joined = {kind: _mean_by(numbers, np.concatenate(found, axis=1)) for kind, found in scores.items()}
    documents = len(samples[0].data.documents)
    return [_compare(name, documents, kind, dims=dims, joined=joined, kept=kept[kind]) for kind in (PCA, *kinds)]


def _mean_by(numbers: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over samples per query `(dims, Q)`: a query's scores in several samples are not independent."""
    queries = np.unique(numbers)
    return np.stack([scores[:, numbers == query].mean(axis=1) for query in queries], axis=1)


def _compare(
    name: str,
    documents: int,
    kind: str,
    *,
    dims: tuple[int, ...],
    joined: dict[str, NDArray[np.float64]],
    kept: int,
) -> Shares:
    """Return a kind beside `pca` and the frozen encoder, of whose scores there is one per dimension and query."""
    own, rival, frozen = joined[kind], joined[PCA], joined["frozen"]
    p_values = [paired_p_values(own[[i]], rival[i], 0)[0] for i in range(len(own))]
    shares, gains = own.mean(axis=1) / frozen.mean(axis=1), (own - rival).mean(axis=1)
    return Shares(name, documents, kind, dims, tuple(shares), tuple(gains), tuple(p_values), kept)


def _rows(given: argparse.Namespace) -> list[Shares]:
    return [row for name in given.only.split(",") for row in _measure_set(name, given)]


def _measure_set(name: str, given: argparse.Namespace) -> Iterator[Shares]:
    spec = given.on or f"minilm:mean+mpnet={find_mpnet()}:mean"
    searched = _read(name, spec, Store(given.store))
    for documents in map(int, given.documents.split(",")):
        samples = [searched.sample(documents, seed, given.queries) for seed in range(given.seeds)]
        yield from measure(name, samples, given.kinds.split(","))


def _read(name: str, spec: str, store: Store) -> Searched:
    """Read the states of a data set's documents, training queries and scored queries."""
    path = os.path.join(os.environ["DATA"], f"{name}.zip")
    data = load_dataset(path, _SPLITS.get(name))
    resolved = resolve_specs([spec], LoadOptions("auto", "cpu"), store)
    scored, training = replace(data, split="scored"), find_training(path, data.split)
    found = _gather(resolved, [FitTexts(data, scored)], store)
    learnt = _gather(resolved, [FitTexts(data, training)], store)
    rows = {document: row for row, (document, _) in enumerate(data.documents)}
    graded = [data.qrels.get(query, {}) for query in data.queries.ids]
    relevant = [{rows[one]: grade for one, grade in found.items() if grade > 0 and one in rows} for found in graded]
    return Searched(learnt, found.queries, tuple(relevant), tuple(range(len(relevant))))


def _gather(resolved: ResolvedSpecs, texts: Sequence[FitTexts], store: Store) -> FitData:
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    fusions = [one for one in resolved.fusions if isinstance(one, Fusion)]
    # The members of a fusion are no encoders of their own.
    alone = [Fusion((point,)) for candidate in resolved.candidates for point in candidate.hookpoints]
    return gather_states(readers, (fusions or alone)[:1], texts, store=store)[0]


if __name__ == "__main__":
    main()
