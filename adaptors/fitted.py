"""What a fit gives."""

from dataclasses import dataclass

from adaptors.base import Adaptor
from adaptors.epochs import Epoch

__all__ = ["Fitted"]


@dataclass(frozen=True)
class Fitted:
    """An adaptor, and what is to be said of its making.

    Attributes:
        module: The adaptor.
        epochs: What every epoch of its training came to, if it was trained.
        notes: Sentences for the footer: weights of hookpoints, unexplained variance.
    """

    module: Adaptor
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()
