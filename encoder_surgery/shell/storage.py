"""Options of the sizes of stored vectors: `--bits`, `--bytes` and `--rescore`."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.given import parse_numbers
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

        plan = StoragePlan(
            parse_numbers("--bits", self.bits, "8,4,1") if self.bits is not None else (),
            parse_numbers("--bytes", self.bytes, "96,48") if self.bytes is not None else (),
        )
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
