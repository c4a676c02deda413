"""Encoders with compressed documents: the sizes to compare, and the quantizer of each."""

from collections.abc import Sequence
from dataclasses import replace

from adaptors.quantizing.calibration import calibrate_mixed, calibrate_quantizer
from adaptors.quantizing.quantizer import Quantizer, Signs
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.evaluation.compressed import Compressed
from probe.evaluation.records import StorageFacts
from probe.evaluation.storage import MOST_BITS, StoragePlan
from probe.metrics.vectors import Embeddings
from probe.results.row import FLOAT_BITS

__all__ = ["check_any", "compress"]


def compress(
    encoder: Composite,
    documents: Embeddings,
    plan: StoragePlan,
    *,
    seen: Sequence[tuple[str, str]],
    scaled: bool = True,
) -> list[Compressed]:
    """Return an encoder with its documents compressed, once for every size of a plan.

    Args:
        encoder: The encoder.
        documents: Its vectors of documents `(N, D)`, to calibrate to.
        plan: The sizes.
        seen: Data sets of those documents, with the sha256 of their documents.
        scaled: Whether the vectors have length 1, as the cosine demands.

    Returns:
        The encoders, in the order of the plan.
    """
    found: list[Compressed] = []
    for quantizer in _quantizers(documents, plan, unit=scaled):
        mixed = bool((quantizer.bits != quantizer.bits[0]).any())
        facts = StorageFacts(float(quantizer.bits.mean()), quantizer.bytes, mixed, seen=tuple(seen))
        found.append(Compressed(encoder, quantizer, facts, scaled))
        if (quantizer.bits == 1).all():
            found.append(Compressed(encoder, Signs(quantizer), replace(facts, query_bits=1), scaled))
        if plan.rescore:
            found.append(Compressed(encoder, quantizer, replace(facts, rescore=plan.rescore), scaled))
    return found


def check_any(found: Sequence[Compressed], plan: StoragePlan) -> None:
    """Raise if vectors are to be compressed and no encoder can be.

    Raises:
        CallError: All sizes are too large for all encoders.
    """
    if plan.compresses and not found:
        least = min(plan.sizes, default=0)
        raise CallError(
            f"no encoder fills {least:,} bytes: expected at most one byte per dimension; lower --bytes, or give --bits"
        )


def _quantizers(documents: Embeddings, plan: StoragePlan, *, unit: bool) -> list[Quantizer]:
    """Return the quantizers of a plan; those of few bits decode to length 1 if the vectors have it."""
    even = [bits for bits in plan.bits if bits < FLOAT_BITS]
    sizes = [size for size in plan.sizes if size <= documents.shape[1] * MOST_BITS // 8]
    return [
        *(calibrate_quantizer(documents, bits, unit=unit and bits == 1) for bits in even),
        *(calibrate_mixed(documents, size, unit=unit) for size in sizes),
    ]
