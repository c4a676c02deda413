"""Options of the sizes of stored vectors: `--bits`, `--bytes` and `--rescore`."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell.app import flag
from probe.errors import CallError

if TYPE_CHECKING:
    from probe.evaluation.storage import StoragePlan

__all__ = ["SizeFlags", "StorageFlags"]


@dataclass(frozen=True)
class SizeFlags:
    """The size of stored vectors."""

    panel: ClassVar[str] = "Stored vectors"

    bits: Annotated[
        str | None, flag("Bits per dimension of the documents, 1 to 8, or 32 for float32; comma-separated.")
    ] = None
    bytes: Annotated[
        str | None, flag("Bytes per document, comma-separated: more bits for dimensions that vary more.")
    ] = None

    def plan(self) -> "StoragePlan":
        """Return the sizes."""
        from probe.evaluation.storage import StoragePlan

        plan = StoragePlan(_numbers("--bits", self.bits, "8,4,1"), _numbers("--bytes", self.bytes, "96,48"))
        if plan.bits and not plan.compresses:
            raise CallError(
                f"--bits {self.bits} compresses nothing: add fewer bits, such as {self.bits},8,4, or --bytes"
            )
        return plan


@dataclass(frozen=True)
class StorageFlags(SizeFlags):
    """The sizes of stored vectors in a table."""

    panel: ClassVar[str] = "Stored vectors"

    rescore: Annotated[
        int | None, flag("Also rank this many times the wanted documents again by their float32 vectors.", min=2)
    ] = None

    def plan(self) -> "StoragePlan":
        """Return the sizes, and the factor of re-ranking."""
        return replace(super().plan(), rescore=self.rescore or 0)


def _numbers(option: str, text: str | None, example: str) -> tuple[int, ...]:
    """Return comma-separated numbers in the order given."""
    parts = [part.strip() for part in text.split(",")] if text is not None else []
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"{option} '{text}': expected positive integers, such as {example}")
    return tuple(dict.fromkeys(int(part) for part in parts))
