"""The texts that maps are fitted to and chosen on: documents, training queries and short spans; no labels are read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.fitting.data import FitTexts
from adaptors.fitting.states import FitData, gather_states
from adaptors.healing.spans import draw_spans
from adaptors.maps.models import MapModels
from adaptors.maps.moments import Pairs
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.experiments.options import RunOptions

__all__ = ["HeldOut", "MapData", "gather_map_data"]

# About how many characters the spans of all corpora have together.
_SPAN_CHARACTERS = 300_000
# With as many training queries, spans made maps worse on the judgements of other training queries.
_ENOUGH_QUERIES = 400
# With fewer queries, their mean says nothing; with more, it hardly says more.
_FEWEST_QUERIES, _MOST_QUERIES = 40, 400
# Documents that are ranked for them: more only make the choice slower.
_MOST_DOCUMENTS = 20_000
# Share of the documents whose spans are held out.
_HELD_DOCUMENTS = 0.2


@dataclass(frozen=True)
class HeldOut:
    """Texts that no map has seen when it is judged.

    Attributes:
        queries: Vectors of queries.
        documents: Vectors of the documents that are ranked for them.
        basis: What the queries are, in words.
    """

    queries: Pairs
    documents: Pairs
    basis: str


@dataclass(frozen=True)
class MapData:
    """Vectors of the texts of a fit by the model that is mapped and the one in whose space it is.

    Attributes:
        documents: Of the N documents.
        queries: Of training queries; never those that are scored.
        spans: Of short parts of documents, as queries; none where there are enough training queries.
        span_documents: For every span, the row of its document.
        fitted_on: Name of every data set, and the sha256 of its documents.
    """

    documents: Pairs
    queries: Pairs
    spans: Pairs
    span_documents: tuple[int, ...]
    fitted_on: tuple[tuple[str, str], ...]

    def hold_out(self, seed: int, *, documents: bool) -> "tuple[MapData, HeldOut]":
        """Return the texts to fit to, and others to judge maps with.

        Half of the training queries judge, or without enough of them the spans of held-out documents, or without enough
        spans held-out documents themselves.

        Args:
            seed: Random seed.
            documents: Whether documents are mapped, so that those that are ranked must be held out as well.
        """
        # Not the draw of the spans, whose documents would all be held out.
        rng = np.random.default_rng((seed, 1))
        share = 0.5 if documents else _HELD_DOCUMENTS
        drawn = rng.permutation(len(self.documents)).tolist()
        held = drawn[: max(1, round(share * len(drawn)))]
        left, spans = self._part(held)
        ranked = self.documents.pick((held if documents else drawn)[:_MOST_DOCUMENTS])
        if len(self.queries) >= _FEWEST_QUERIES:
            order = rng.permutation(len(self.queries)).tolist()
            half = min(len(order) // 2, _MOST_QUERIES)
            rest = replace(left if documents else self, queries=self.queries.pick(order[half:]))
            return rest, HeldOut(self.queries.pick(order[:half]), ranked, f"{half} held-out training queries")
        if len(spans) >= _FEWEST_QUERIES:
            judging = spans.pick(rng.permutation(len(spans))[:_MOST_QUERIES].tolist())
            return left, HeldOut(judging, ranked, f"{len(judging)} short parts of held-out documents")
        asked, ranked = (left.documents, ranked) if documents else (self.documents.pick(held), left.documents)
        judging = asked.pick(range(min(len(asked), _MOST_QUERIES)))
        return left, HeldOut(judging, ranked, f"{len(judging)} documents, for want of queries")

    def _part(self, held: Sequence[int]) -> "tuple[MapData, Pairs]":
        """Return the texts without held-out documents and their spans, and these spans."""
        gone = set(held)
        rest = [row for row in range(len(self.documents)) if row not in gone]
        others = [row for row, document in enumerate(self.span_documents) if document not in gone]
        spans = [row for row, document in enumerate(self.span_documents) if document in gone]
        left = replace(
            self,
            documents=self.documents.pick(rest),
            spans=self.spans.pick(others),
            # The rows of the documents that are left are no longer needed.
            span_documents=(),
        )
        return left, self.spans.pick(spans)


def gather_map_data(models: MapModels, texts: Sequence[FitTexts], *, seed: int, options: RunOptions) -> list[MapData]:
    """Read the vectors of all texts by all models, from the store if they are cached.

    Args:
        models: The models.
        texts: The texts of one or several data sets.
        seed: Random seed of the spans.
        options: Store and progress.

    Returns:
        One value per encoder that is mapped.

    Raises:
        CallError: There are fewer than two documents.
    """
    corpora = {one.corpus.documents.text_hash: one.corpus for one in texts}
    asked = sum(len(one.train.queries) for one in texts if one.train is not None)
    characters = 0 if asked >= _ENOUGH_QUERIES else _SPAN_CHARACTERS // len(corpora)
    parts = [_draw_spans(corpus, characters, seed) for corpus in corpora.values()]
    spans = [FitTexts(corpus, made) for corpus, (made, _) in zip(corpora.values(), parts, strict=True) if made]
    starts = accumulate((len(corpus.documents) for corpus in corpora.values()), initial=0)
    rows = tuple(start + row for start, (_, own) in zip(starts, parts, strict=False) for row in own)
    target = models.target.fusion if isinstance(models.target, AdaptedEncoder) else models.target
    found = gather_states(
        models.readers, [*models.sources, target], [*texts, *spans], store=options.store, progress=options.progress
    )
    wanted = found[len(models.sources)]
    documents, queries = (_embed(models.target, states) for states in (wanted.documents, wanted.queries))
    if len(documents) < 2:
        raise CallError(f"a map cannot be fitted to {len(documents)} document: expected at least 2")
    return [_pair(found[number], documents, queries, rows=rows) for number in range(len(models.sources))]


def _draw_spans(corpus: Dataset, characters: int, seed: int) -> tuple[Dataset | None, list[int]]:
    """Return spans of a corpus as queries, and the row of the document of each; None if it is too short for any."""
    spans = draw_spans([text for _, text in corpus.documents], characters, seed) if characters else []
    if not spans:
        return None, []
    texts = Texts.number([span.text for span in spans], f"{corpus.name} (spans)")
    return replace(corpus, split="spans", queries=texts, qrels={}), [span.document for span in spans]


def _embed(target: Fusion | AdaptedEncoder, states: Tensor) -> Tensor:
    """Return the vectors of an encoder for the states of its fusion."""
    if isinstance(target, Fusion):
        return states
    with torch.inference_mode():
        return normalize(target.module(states)[:, : target.dim], dim=1)


def _pair(states: FitData, documents: Tensor, queries: Tensor, *, rows: tuple[int, ...]) -> MapData:
    """Return the vectors of one encoder beside those of the target; the last queries are spans."""
    count = len(queries) - len(rows)
    return MapData(
        documents=Pairs(states.documents, documents),
        queries=Pairs(states.queries[:count], queries[:count]),
        spans=Pairs(states.queries[count:], queries[count:]),
        span_documents=rows,
        fitted_on=states.fitted_on,
    )
