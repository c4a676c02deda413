"""A sample of labelled rows, as the encoder that is trained on their like embeds it."""

from collections.abc import Iterator, Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from adaptors.tuning_rows import Row, as_points
from adaptors.undisturbed import undisturbed
from probe.errors import CallError

__all__ = ["RowSample"]

_SAMPLE = 64


class RowSample:
    """At most 64 queries, each with the document that is labelled highest; called, it embeds them."""

    def __init__(self, model: SentenceTransformer, rows: Sequence[Row]) -> None:
        """Choose the first queries.

        Args:
            model: Embeds them.
            rows: The rows.

        Raises:
            CallError: There are not two different queries.
        """
        pairs = list(_best_pairs(rows))[:_SAMPLE]
        if len(pairs) < 2:
            raise CallError(f"tuning needs at least 2 different queries, found {len(pairs)}")
        self._model = model
        self._queries = [query for query, _ in pairs]
        self._documents = [document for _, document in pairs]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the vectors of the queries and those of their documents, as they are now, each `(B, D)`."""
        with undisturbed(self._model):
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
