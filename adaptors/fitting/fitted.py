"""Fitted adaptors, and the same encoders with their documents in fewer bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.fitting.data import FitTexts
from adaptors.fitting.states import FitData
from adaptors.quantizing.calibration import calibration_rows
from adaptors.quantizing.plan import compress
from adaptors.quantizing.quantizer import Quantizer
from probe.data.dataset import Dataset
from probe.data.training_record import Learned
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric, Joint, join_once
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion
from probe.evaluation.storage import StoragePlan
from probe.metrics.vectors import Embeddings
from probe.results.formats import join_names

__all__ = ["FittedAdaptors", "compress_fitted"]


@dataclass(frozen=True)
class FittedAdaptors:
    """The fitted adaptors of a plan.

    Attributes:
        adapted: The adapted encoders.
        notes: Sentences for the table footer: results of adaptors, and kinds that could not be fitted with the reason.
        texts: The texts they were fitted to.
        compressed: Frozen and adapted encoders with their documents in fewer bytes.
        ranks_float: Whether the adapted encoders are ranked uncompressed, too.
        maps: Searches with a map between two models.
    """

    adapted: tuple[AdaptedEncoder, ...]
    notes: tuple[str, ...]
    texts: tuple[FitTexts, ...]
    compressed: tuple[Compressed, ...] = ()
    ranks_float: bool = True
    maps: tuple[Asymmetric, ...] = ()

    @property
    def ranked(self) -> tuple[AdaptedEncoder | Compressed | Asymmetric, ...]:
        """The encoders that are ranked beside the frozen ones."""
        return (*(self.adapted if self.ranks_float else ()), *self.compressed, *self.maps)

    def quantizer_of(self, encoder: AdaptedEncoder) -> Quantizer | None:
        """Return the quantizer of an encoder's documents, if there is one; the first of several."""
        found = (one.codec for one in self.compressed if one.encoder is encoder and isinstance(one.codec, Quantizer))
        return next(found, None)

    def notes_on(self, dataset: Dataset) -> list[str]:
        """Return the notes for a table on a data set; the first says what they were fitted on, if not on it alone.

        Raises:
            CallError: The queries of this split of the data set were used in the fit.
        """
        same = [one for one in self.texts if Learned(seen=((one.corpus.name, _hash(one)),)).saw(dataset)]
        if any(one.train is not None and one.train.split == dataset.split for one in same):
            raise CallError(
                f"'{dataset.name}' cannot be ranked on its {dataset.split} split: the adaptors were fitted with those "
                "queries; rank it on another split, or fit on other data sets"
            )
        return list(self.notes) if len(self.texts) == len(same) == 1 else [self._source(), *self.notes]

    def _source(self) -> str:
        """Return in words what the adaptors were fitted on."""
        names = [name for encoder in self.adapted for name in encoder.adaptor.labels.split("+") if name != "none"]
        labels = f", relevance labels of {join_names([*dict.fromkeys(names)])}" if names else ""
        return f"fitted on the texts of {join_names([one.corpus.name for one in self.texts])}{labels}"


def _hash(texts: FitTexts) -> str:
    return texts.corpus.documents.text_hash


def compress_fitted(encoders: Sequence[Fusion | AdaptedEncoder], data: FitData, plan: StoragePlan) -> list[Compressed]:
    """Return encoders of the same hookpoints with their documents compressed, calibrated to those of the fit."""
    if not plan.compresses:
        return []
    rows = torch.from_numpy(calibration_rows(len(data.documents)))
    states: Embeddings = data.documents[rows].numpy()
    found: list[Compressed] = []
    joined: dict[Joint, Embeddings] = {}
    for encoder in encoders:
        vectors = states
        if isinstance(encoder, AdaptedEncoder):
            joined[encoder.below.below] = states
            vectors = join_once(encoder, {}, joined)
        found += compress(encoder, vectors, plan, seen=data.fitted_on)
    return found
