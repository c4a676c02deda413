"""Encoders made of states read at hookpoints, and what each of them has found while the corpus streams by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probe.collapse import SAMPLE
from probe.composite import Composite
from probe.encoder import Embeddings
from probe.evaluation import Part
from probe.fusions import Fusion, RunFusion
from probe.hookpoint import TOKENS, Hookpoint
from probe.late_part import LatePart
from probe.search import Picked, Run, TopK

__all__ = ["RUN_DEPTH", "Contest", "Findings", "States"]

# Documents per query of every ranking that a late fusion is made of.
RUN_DEPTH = 1000

States = Mapping[Hookpoint, Embeddings]


@dataclass(frozen=True)
class Findings:
    """What the encoders of a contest found in one chunk of documents.

    Attributes:
        start: Place in the corpus of its first document.
        ids: Ids of its C documents.
        picked: Per encoder, what can be among its best.
        samples: Per compared encoder, vectors of the documents that are among the corpus's first.
    """

    start: int
    ids: tuple[str, ...]
    picked: tuple[Picked, ...]
    samples: tuple[Embeddings, ...]


class Contest:
    """Any number of encoders over the same states; each block is compared once, however many fusions hold it."""

    def __init__(self, encoders: Sequence[Composite | RunFusion], query_ids: Sequence[str], depth: int) -> None:
        """Enter encoders.

        Args:
            encoders: What competes; a single hookpoint is a fusion of one.
            query_ids: Ids of the Q queries.
            depth: Documents to find per query.
        """
        late = [encoder for encoder in encoders if isinstance(encoder, RunFusion)]
        ranked = dict.fromkeys(_alone(point) for encoder in late for point in encoder.points)
        early = dict.fromkeys([*(encoder for encoder in encoders if not isinstance(encoder, RunFusion)), *ranked])
        self.points = tuple(dict.fromkeys(point for encoder in early for point in encoder.points))
        compared = [part.sides for encoder in early for part in _compared(encoder)]
        self.query_points = tuple(dict.fromkeys(point for queries, _ in compared for point in queries.points))
        self.document_points = tuple(dict.fromkeys(point for _, documents in compared for point in documents.points))
        self._parts: dict[Composite, Part | LatePart] = {}
        self._tops = {fusion: TopK(query_ids, max(depth, RUN_DEPTH) if fusion in ranked else depth) for fusion in early}

    def take_queries(self, states: States) -> None:
        """Take in the queries' states `(Q, D)` per hookpoint, before any document; of tokens `(0, D)` will do."""
        for part in dict.fromkeys(part for encoder in self._tops for part in _compared(encoder)):
            queries = _join(part.sides[0], states)
            self._parts[part] = LatePart(queries.shape[1]) if _reads_tokens(part) else Part(queries)

    def find(self, start: int, ids: tuple[str, ...], states: States) -> Findings:
        """Return what the encoders find in a chunk of C documents; takes nothing in.

        Args:
            start: Place in the corpus of its first document.
            ids: Ids of its documents.
            states: Their states `(C, D)` per hookpoint; where that is one of tokens, their scores `(C, Q)`.
        """
        cosines, samples, picked = {}, [], []
        for encoder, part in self._parts.items():
            vectors = _join(encoder.sides[1], states)
            cosines[encoder] = part.compare(vectors)
            samples.append(vectors[: max(0, SAMPLE - start)].copy())
        for encoder, top in self._tops.items():
            found = [cosines[part] for part in _compared(encoder)]
            picked.append(top.pick(ids, encoder.average(found) if encoder.averages_cosines else found[0]))
        return Findings(start, ids, tuple(picked), tuple(samples))

    def take(self, findings: Findings) -> None:
        """Take in what was found in a chunk, here or by another process; the order of the chunks is no matter."""
        for part, sample in zip(self._parts.values(), findings.samples, strict=True):
            part.keep_sample(findings.start, sample)
        for top, picked in zip(self._tops.values(), findings.picked, strict=True):
            top.take(findings.ids, picked)

    def run(self, encoder: Composite | RunFusion) -> Run:
        """Return what an encoder has found so far."""
        if isinstance(encoder, RunFusion):
            return encoder.combine([self._tops[_alone(point)].run() for point in encoder.points])
        return self._tops[encoder].run()

    def dim(self, encoder: Composite | RunFusion) -> int | None:
        """Return the dimension of an encoder's vectors, if it has any."""
        if isinstance(encoder, RunFusion):
            return None
        return sum(self._parts[part].dim for part in _compared(encoder))

    def collapsed(self, encoder: Composite | RunFusion) -> bool:
        """Return whether all documents have the same vector, or the same scores."""
        blocks = [_alone(point) for point in encoder.points]
        parts = blocks if isinstance(encoder, RunFusion) else _compared(encoder)
        return all(self._parts[part].collapsed for part in parts)


def _alone(point: Hookpoint) -> Composite:
    return Fusion((point,))


def _reads_tokens(encoder: Composite) -> bool:
    return any(point.pooling == TOKENS for point in encoder.points)


def _compared(encoder: Composite) -> list[Composite]:
    """Return those whose cosines make the encoder's: its single blocks, or itself."""
    return [_alone(point) for point in encoder.points] if encoder.averages_cosines else [encoder]


def _join(encoder: Composite, states: States) -> Embeddings:
    return encoder.join_arrays([states[point] for point in encoder.points])
