"""The static candidate: fitted in closed form, written as a folder."""

from dataclasses import dataclass
from pathlib import Path

from adaptors.fitting.data import FitTexts
from adaptors.slimming.vocabulary import Vocabulary
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.experiments.options import RunOptions

__all__ = ["StaticMaker"]


@dataclass(frozen=True)
class StaticMaker:
    """Fits a static model to the full model's vectors.

    Attributes:
        full: The full model.
        texts: The texts of the fit.
        vocabulary: Trims its vocabulary.
        settings: Store, seed and progress.
    """

    full: LayerReader
    texts: FitTexts
    vocabulary: Vocabulary
    settings: RunOptions

    def __call__(self, tokens: int | None, folder: Path) -> Encoder:
        """Write the model with at most some number of tokens, None for all, to a new folder; return it."""
        raise NotImplementedError
