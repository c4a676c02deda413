"""Tracker of the top documents of every encoder over a streamed corpus."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from probe.data.dataset import Dataset
from probe.data.texts import EqualTexts
from probe.evaluation.composite import Composite, Joint, SimilarityChoice, States, join_once
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.scorers import CPU, MaxSimScorer, VectorScorer
from probe.evaluation.text_ties import TextTies
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.geometry import SAMPLE
from probe.metrics.similarity import COSINE, DOT
from probe.metrics.top_k import Picked, Run, TopK
from probe.metrics.vectors import Embeddings

__all__ = ["RUN_DEPTH", "ChunkTopK", "States", "TopKTracker"]

# Documents per query in each ranking of a late fusion.
RUN_DEPTH = 1000

# An encoder and its similarity function.
_Compared = tuple[Composite, str]


@dataclass(frozen=True)
class ChunkTopK:
    """The top documents of every encoder in one chunk.

    Attributes:
        start: Position in the corpus of its first document.
        ids: Ids of its C documents.
        picked: Candidates for the top documents, by encoder.
        samples: Vectors of documents in the corpus's first sample, by compared encoder.
    """

    start: int
    ids: tuple[str, ...]
    picked: tuple[Picked, ...]
    samples: tuple[Embeddings, ...]


class TopKTracker:
    """Tracks any number of encoders over the same states; each block is compared once, however many fusions use it."""

    def __init__(
        self,
        encoders: Sequence[Composite | RunFusion],
        query_ids: Sequence[str],
        depth: int,
        *,
        equal_texts: EqualTexts,
        dropped: Collection[str] = (),
        similarities: SimilarityChoice | None = None,
        device: torch.device = CPU,
    ) -> None:
        """Create a tracker.

        Args:
            encoders: The encoders; a single hookpoint is a fusion of one.
            query_ids: Ids of the Q queries.
            depth: Number of documents to find per query.
            equal_texts: Documents whose text occurs more than once; they get equal scores.
            dropped: Ids of queries for which the document with the same id is never returned.
            similarities: Similarity function of every encoder; default: the cosine.
            device: Where vectors are compared and the best are chosen.
        """
        self._device = device
        self._similarities = similarities or SimilarityChoice()
        late = [encoder for encoder in encoders if isinstance(encoder, RunFusion)]
        ranked = dict.fromkeys(_alone(point) for encoder in late for point in encoder.points)
        early = dict.fromkeys([*(encoder for encoder in encoders if not isinstance(encoder, RunFusion)), *ranked])
        self.points = tuple(dict.fromkeys(point for encoder in early for point in encoder.points))
        compared = [part.sides for encoder in early for part, _ in self._compared(encoder)]
        self.query_points = tuple(dict.fromkeys(point for queries, _ in compared for point in queries.points))
        self.document_points = tuple(dict.fromkeys(point for _, documents in compared for point in documents.points))
        self._scorers: dict[_Compared, VectorScorer | MaxSimScorer] = {}
        self._exact: dict[Composite, VectorScorer] = {}
        self._depths = {fusion: max(depth, RUN_DEPTH) if fusion in ranked else depth for fusion in early}
        self._tops = {fusion: TopK(query_ids, self._depths[fusion] * _again(fusion), dropped) for fusion in early}
        self._ties = TextTies(equal_texts, dropped)
        # Runs of the parts of late fusions, until the last row that needs them.
        self._uses = Counter(_alone(point) for encoder in late for point in encoder.points)
        self._uses.update(encoder for encoder in dict.fromkeys(encoders) if encoder in ranked)
        self._runs: dict[Composite, tuple[Run, int]] = {}

    @classmethod
    def over(
        cls,
        dataset: Dataset,
        encoders: Sequence[Composite | RunFusion],
        depth: int,
        *,
        similarities: SimilarityChoice | None = None,
        device: torch.device = CPU,
    ) -> "TopKTracker":
        """Create a tracker for a data set's queries, with its rule for ids."""
        return cls(
            encoders,
            dataset.queries.ids,
            depth,
            equal_texts=dataset.documents.equal_texts,
            dropped=dataset.dropped,
            similarities=similarities,
            device=device,
        )

    def take_queries(self, states: States) -> None:
        """Add the queries' states `(Q, D)` by hookpoint, before any document; tokens may be `(0, D)`."""
        joined: dict[Joint, Embeddings] = {}
        for part, similarity in dict.fromkeys(pair for encoder in self._tops for pair in self._compared(encoder)):
            queries = join_once(part.sides[0], states, joined)
            self._scorers[part, similarity] = (
                MaxSimScorer(queries.shape[1])
                if _reads_tokens(part)
                else VectorScorer(queries, str(part), similarity, device=self._device)
            )
        for encoder in self._tops:
            if isinstance(encoder, Compressed) and encoder.storage.rescore:
                exact = join_once(encoder.exact[0], states, joined)
                self._exact[encoder] = VectorScorer(exact, str(encoder), DOT, device=self._device)

    def find(self, start: int, ids: tuple[str, ...], states: States) -> ChunkTopK:
        """Return the top documents of a chunk of C documents, without adding them.

        Args:
            start: Position in the corpus of its first document.
            ids: Ids of its documents.
            states: States `(C, D)` by hookpoint; scores `(C, Q)` for tokens.
        """
        scores, samples, picked = {}, [], []
        joined: dict[Joint, Embeddings] = {}
        for compared, scorer in self._scorers.items():
            vectors = join_once(compared[0].sides[1], states, joined)
            scores[compared] = scorer.compare(vectors)
            samples.append(vectors[: max(0, SAMPLE - start)].copy())
        for encoder, top in self._tops.items():
            found = [scores[compared] for compared in self._compared(encoder)]
            picked.append(
                top.pick(ids, _mean(encoder.cosine_shares or (1.0,), found), self._rescore(encoder, states, joined))
            )
        return ChunkTopK(start, ids, tuple(picked), tuple(samples))

    def _rescore(self, encoder: Composite, states: States, joined: "dict[Joint, Embeddings]") -> Tensor | None:
        """Return the exact scores `(Q, C)` of an encoder whose compressed vectors only choose the documents."""
        if not isinstance(encoder, Compressed) or encoder not in self._exact:
            return None
        return self._exact[encoder].compare(join_once(encoder.exact[1], states, joined))

    def take(self, chunk: ChunkTopK) -> None:
        """Add the top documents of a chunk, from this or another process; the order of the chunks does not matter."""
        for scorer, sample in zip(self._scorers.values(), chunk.samples, strict=True):
            scorer.keep_sample(chunk.start, sample)
        self._ties.take(chunk.start, chunk.ids)
        self._runs.clear()
        for top, picked in zip(self._tops.values(), chunk.picked, strict=True):
            top.take(chunk.ids, picked)

    def run(self, encoder: Composite | RunFusion) -> Run:
        """Return an encoder's current ranking; documents with equal texts have equal scores."""
        if not isinstance(encoder, RunFusion):
            return self._run_of(encoder)
        parts = [_alone(point) for point in encoder.points]
        fused = encoder.combine([self._run_of(part) for part in parts])
        # Ranks are unique, so documents with equal texts would differ again.
        return self._ties.settle(fused, sum(self._depths[part] for part in parts))

    def _run_of(self, encoder: Composite) -> Run:
        """Return the current ranking of an encoder; as a part of late fusions it is built once for all of them."""
        run, left = self._runs.pop(encoder, (None, self._uses[encoder]))
        if run is None:
            depth = self._depths[encoder]
            run = self._ties.settle(_cut(self._tops[encoder].run(), depth), depth)
        if left > 1:
            self._runs[encoder] = run, left - 1
        return run

    def dim(self, encoder: Composite | RunFusion) -> int | None:
        """Return the dimension of an encoder's vectors, if any."""
        if isinstance(encoder, RunFusion):
            return None
        return sum(self._scorers[compared].dim for compared in self._compared(encoder))

    def collapsed(self, encoder: Composite | RunFusion) -> bool:
        """Return whether all documents have the same vector or the same scores."""
        parts = [_alone(point) for point in encoder.points] if isinstance(encoder, RunFusion) else [encoder]
        return all(self._scorers[compared].collapsed for part in parts for compared in self._compared(part))

    def _compared(self, encoder: Composite) -> list[_Compared]:
        """Return the encoders whose scores are combined: its single blocks, or itself."""
        similarity = self._similarities.of(encoder)
        if len(encoder.points) == 1 and encoder.cosine_shares:
            return [(_alone(encoder.points[0]), similarity)]
        # Vectors of encoders with shares have length 1.
        if encoder.cosine_shares and similarity in (COSINE, DOT):
            return [(_alone(point), COSINE) for point in encoder.points]
        return [(encoder, similarity)]


def _again(encoder: Composite) -> int:
    """Return how many times the wanted number of documents are chosen, to be ranked again."""
    return max(1, encoder.storage.rescore) if isinstance(encoder, Compressed) else 1


def _cut(run: Run, depth: int) -> Run:
    """Return a run with the first documents of every query."""
    return {query: dict(islice(found.items(), depth)) for query, found in run.items()}


def _alone(point: Hookpoint) -> Composite:
    return Fusion((point,))


def _reads_tokens(encoder: Composite) -> bool:
    return any(point.pooling == TOKENS for point in encoder.points)


def _mean(shares: Sequence[float], cosines: Sequence[Tensor]) -> Tensor:
    """Return the weighted mean of cosines `(Q, C)`; a single one is unchanged."""
    if len(cosines) == 1:
        return cosines[0]
    total = torch.zeros_like(cosines[0])
    for share, cosine in zip(shares, cosines, strict=True):
        total += share * cosine
    return total
