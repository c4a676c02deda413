"""A cross-encoder's scores of training rows, for losses that distil them."""

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
# Between two reports of the progress.
_PIECE = 16 * _BATCH


def open_cross_encoder(name: str) -> CrossEncoder:
    """Load a cross-encoder that gives one score to a pair, from a hub id or a folder.

    Raises:
        ModelError: It cannot be loaded, is no cross-encoder, or gives several scores.
    """
    try:
        model: CrossEncoder = CrossEncoder(name)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(f"'{name}' cannot be loaded as a cross-encoder: {first_line(error)}") from error
    if not any("ForSequenceClassification" in kind for kind in getattr(model.config, "architectures", None) or []):
        # It would be given a head of random weights.
        raise ModelError(f"'{name}' holds an encoder, no cross-encoder: expected a model for sequence classification")
    if model.num_labels != 1:
        raise ModelError(f"the cross-encoder '{name}' gives {model.num_labels} scores to a pair: expected 1")
    return model


def score_rows(data: TuningData, model: CrossEncoder, progress: Progress = silent) -> TuningData:
    """Return rows as lists, every document with the model's score, before any activation, in place of its label.

    Raises:
        CallError: There is only one document to a query.
        DataError: A document is labelled twice and differently.
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
