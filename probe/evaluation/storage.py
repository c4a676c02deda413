"""The sizes of stored vectors: those to compare, and their columns in a leaderboard."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from probe.errors import CallError, check_number
from probe.evaluation.records import Evaluation, StorageFacts
from probe.results.charts import pareto_front
from probe.results.row import FLOAT_BITS, Row

__all__ = ["MOST_BITS", "StoragePlan", "add_storage", "mark_front"]

MOST_BITS = 8


@dataclass(frozen=True)
class StoragePlan:
    """How vectors are stored, for a comparison.

    Attributes:
        bits: Bits per dimension, 1 to 8, the same for every dimension; 32 for float32. 1 is compared twice, the second
            time with 1 bit for the queries, too.
        sizes: Bytes per vector; the bits are spread over the dimensions by their variance. Sizes that need more than 8
            bits per dimension are skipped.
        rescore: Also rank the best documents, so many times the wanted number, again by their float32 vectors; 0 for
            no such rows.
    """

    bits: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()
    rescore: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        for bits in self.bits:
            if bits not in (*range(1, MOST_BITS + 1), FLOAT_BITS):
                raise CallError(f"invalid bits {bits}: expected 1 to {MOST_BITS}, or {FLOAT_BITS} for float32")
        for size in self.sizes:
            check_number("bytes", size, 1)
        check_number("rescore", self.rescore, 0)
        if self.rescore and not self.compresses:
            raise CallError("nothing to rescore: give bits below 32, or bytes")

    @property
    def compresses(self) -> bool:
        """Whether any vectors are compressed."""
        return bool(self.sizes) or any(bits < FLOAT_BITS for bits in self.bits)

    @property
    def wants_float(self) -> bool:
        """Whether encoders are compared uncompressed as well."""
        return not self.compresses or FLOAT_BITS in self.bits


def add_storage(rows: Sequence[Row], evaluations: Sequence[Evaluation], metric: str) -> tuple[Row, ...]:
    """Return rows with the size of their vectors, if some of them are compressed.

    Args:
        rows: The rows.
        evaluations: Their evaluations.
        metric: The metric of the front.

    Returns:
        The rows; unchanged if no vectors are compressed.
    """
    if all(evaluation.storage is None for evaluation in evaluations):
        return tuple(rows)
    widths = {e.encoder: e.dim for e in evaluations if e.adaptor is None and e.storage is None}
    sized = [_add_size(row, one.storage, widths.get(one.encoder)) for row, one in zip(rows, evaluations, strict=True)]
    return mark_front(sized, metric)


def mark_front(rows: Sequence[Row], metric: str) -> tuple[Row, ...]:
    """Return rows with a mark on those that no smaller row beats; rows without a size are unchanged.

    Args:
        rows: The rows, with different ranks.
        metric: The metric of the front.
    """
    # Rows that are ranked again need their float32 vectors, too.
    known = [row for row in rows if row.bytes is not None and not row.rescore]
    front = {known[place].rank for place in pareto_front([(row.bytes or 0, row.scores[metric]) for row in known])}
    return tuple(replace(row, front=row.rank in front) if row.bytes is not None else row for row in rows)


def _add_size(row: Row, storage: StorageFacts | None, width: int | None) -> Row:
    """Return a row with the size of its vectors; rankings have none."""
    if row.dim is None:
        return row
    facts = storage or StorageFacts(FLOAT_BITS, _float_bytes(row.dim))
    return replace(
        row,
        bits=facts.bits,
        mixed=facts.mixed,
        query_bits=facts.query_bits,
        bytes=facts.bytes,
        compression=None if width is None else _float_bytes(width) / facts.bytes,
        rescore=facts.rescore or None,
    )


def _float_bytes(dim: int) -> int:
    return dim * FLOAT_BITS // 8
