"""Turn drawn rows into batches of stored states: no text is encoded again."""

from collections.abc import Sequence

import torch
from torch import Tensor

from adaptors.base import FitData

__all__ = ["StateCollator"]


class StateCollator:
    """Gives sentence-transformers' trainer stored states under the names it takes vectors by.

    Attributes:
        valid_label_columns: None: labels are looked up, not drawn.
    """

    def __init__(self, data: FitData, with_labels: bool = False) -> None:
        """Look up rows of documents first, then of queries.

        Args:
            data: States, their targets where they are not the final embeddings already, and judgements.
            with_labels: Also give the grades of the first column against the second.
        """
        self.valid_label_columns: list[str] = []
        self._states = data.texts
        self._targets = None if data.is_final else data.targets
        self._grades = _grades(data) if with_labels else None

    def __call__(self, rows: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        """Return one drawn batch: per column, states `(B, D)`, rows `(B,)` and perhaps targets `(B, F)`."""
        (drawn,) = rows
        batch: dict[str, Tensor] = {}
        for column, numbers in drawn.items():
            batch[f"{column}_sentence_embedding"] = self._states[numbers]
            batch[f"{column}_row"] = torch.tensor(numbers)
            if self._targets is not None:
                batch[f"{column}_target"] = self._targets[numbers]
        if self._grades is not None and len(drawn) == 2:
            queries, documents = drawn.values()
            grades = [[self._grades.get((query, document), 0) for document in documents] for query in queries]
            batch["label"] = torch.tensor(grades, dtype=torch.float32)
        return batch


def _grades(data: FitData) -> dict[tuple[int, int], int]:
    """Return the grades by rows of query and document."""
    queries = data.pairs[:, 0] + len(data.documents)
    return {
        (query, document): grade
        for query, document, grade in zip(queries.tolist(), *data.pairs[:, 1:].T.tolist(), strict=True)
    }
