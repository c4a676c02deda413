"""Evaluate an encoder during training: held-out queries to choose the epoch, and a sample for the log."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor

from adaptors.rows.rows import Pairwise, Row, as_points
from adaptors.training.evaluation import NDCG, evaluation_mode, mean_ndcg
from probe.errors import CallError, TrainingError
from probe.metrics.geometry import is_collapsed
from probe.metrics.retrieval import RunScorer

__all__ = ["HeldOutRows", "RowSample", "hold_out"]

_SAMPLE = 64


# Encoded at every epoch: all documents with relevance labels, and others up to this number.
_MOST_DOCUMENTS = 1000


def hold_out(rows: Sequence[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Return the rows to train on and those of a held-out share of the queries; one query always remains to train."""
    queries = list(dict.fromkeys(row.query for row in rows))
    count = min(max(1, round(share * len(queries))), len(queries) - 1) if share else 0
    held = set(random.Random(seed).sample(queries, count))
    return [row for row in rows if row.query not in held], [row for row in rows if row.query in held]


class HeldOutRows(SentenceEvaluator):
    """nDCG@10 of held-out queries among documents.

    Attributes:
        primary_metric: Name of the metric.
        documents: The documents to search.
    """

    def __init__(self, rows: Sequence[Pairwise], corpus: Sequence[str]) -> None:
        """Prepare the search with held-out queries over their relevant documents and those of a corpus."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = str(NDCG)
        judged = dict.fromkeys(row.positive for row in rows)
        others = [text for text in dict.fromkeys(corpus) if text not in judged]
        wanted = min(len(others), max(0, _MOST_DOCUMENTS - len(judged)))
        self.documents = [*judged, *random.Random(0).sample(others, wanted)]
        self._queries = list(dict.fromkeys(row.query for row in rows))
        self._scorer = RunScorer(_judgements(rows, self._queries, self.documents), [NDCG])

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return nDCG@10 under its name, and under its name with the model's dimension.

        Raises:
            TrainingError: All documents have the same vector.
        """
        with evaluation_mode(model):
            # During training the trainer's dtype applies, which may be bfloat16.
            queries, documents = (
                encode(texts, show_progress_bar=False, convert_to_tensor=True).float().cpu().numpy()
                for encode, texts in ((model.encode_query, self._queries), (model.encode_document, self.documents))
            )
        if is_collapsed(documents):
            raise TrainingError(
                f"the encoder collapsed: all vectors are equal after {max(steps, 0)} steps, so every ranking is a tie: "
                "lower --lr, or add --wrap collapse-guard"
            )
        score = mean_ndcg(
            queries,
            documents,
            self._scorer,
            query_ids=[f"q{number}" for number in range(len(queries))],
            document_ids=[str(number) for number in range(len(documents))],
        )
        return {str(NDCG): score, f"{NDCG}_{documents.shape[1]}": score}


def _judgements(
    rows: Sequence[Pairwise], queries: Sequence[str], documents: Sequence[str]
) -> dict[str, dict[str, int]]:
    asked = {text: f"q{number}" for number, text in enumerate(queries)}
    found = {text: str(number) for number, text in enumerate(documents)}
    qrels: dict[str, dict[str, int]] = {name: {} for name in asked.values()}
    for row in rows:
        qrels[asked[row.query]][found[row.positive]] = int(row.grade)
    return qrels


class RowSample:
    """At most 64 queries, each with its highest-labelled document; a call encodes them."""

    def __init__(self, model: SentenceTransformer, rows: Sequence[Row]) -> None:
        """Take the first queries of some rows.

        Raises:
            CallError: There are fewer than two different queries.
        """
        pairs = list(_best_pairs(rows))[:_SAMPLE]
        if len(pairs) < 2:
            raise CallError(f"tuning needs at least 2 different queries, found {len(pairs)}")
        self._model = model
        self._queries = [query for query, _ in pairs]
        self._documents = [document for _, document in pairs]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the current vectors of the queries and of their documents, each `(B, D)`."""
        with evaluation_mode(self._model):
            queries = self._model.encode_query(self._queries, show_progress_bar=False)
            documents = self._model.encode_document(self._documents, show_progress_bar=False)
        return torch.from_numpy(queries), torch.from_numpy(documents)


def _best_pairs(rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    best: dict[str, tuple[float, str]] = {}
    for point in as_points(rows):
        if point.query not in best or point.label > best[point.query][0]:
            best[point.query] = (point.label, point.document)
    for query, (_, document) in best.items():
        yield query, document
