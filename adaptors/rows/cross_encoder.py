"""Cross-encoder scores of training rows, for distillation losses."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sentence_transformers import CrossEncoder
from torch import nn

from adaptors.rows.load import TuningData
from adaptors.rows.rows import as_lists
from probe.encoding.chunk_states import Progress, silent
from probe.errors import ModelError, first_line

__all__ = ["open_cross_encoder", "score_rows"]

_BATCH = 32
# Pairs between two progress reports.
_PIECE = 16 * _BATCH


def open_cross_encoder(name: str) -> CrossEncoder:
    """Load a cross-encoder with one score per pair, from a hub id or a folder.

    Raises:
        ModelError: It cannot be loaded, is not a cross-encoder, or has several scores per pair.
    """
    try:
        model: CrossEncoder = CrossEncoder(name)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"'{name}' cannot be loaded as a cross-encoder: {first_line(error)}") from error
    if not any("ForSequenceClassification" in kind for kind in getattr(model.config, "architectures", None) or []):
        # Its head would have random weights.
        raise ModelError(f"'{name}' is not a cross-encoder: expected a model for sequence classification")
    if model.num_labels != 1:
        raise ModelError(f"the cross-encoder '{name}' has {model.num_labels} scores per pair: expected 1")
    return model


def score_rows(data: TuningData, model: CrossEncoder, progress: Progress = silent) -> TuningData:
    """Return rows as lists, with the model's raw score (before any activation) as the label of every document.

    Raises:
        CallError: A query has only one document.
        DataError: A document has two different labels.
    """
    lists = as_lists(data.rows)
    pairs = [(row.query, document) for row in lists for document in row.documents]
    scores = iter([score for piece in _predict(model, pairs, progress) for score in piece])
    rows = [replace(row, labels=tuple(next(scores) for _ in row.documents)) for row in lists]
    return replace(data, rows=tuple(rows))


def _predict(model: CrossEncoder, pairs: Sequence[tuple[str, str]], progress: Progress) -> Iterator[list[float]]:
    for start in range(0, len(pairs), _PIECE):
        piece = pairs[start : start + _PIECE]
        found = model.predict(piece, batch_size=_BATCH, show_progress_bar=False, activation_fn=nn.Identity())
        progress("scoring pairs", len(piece), len(pairs))
        yield [float(score) for score in found]
