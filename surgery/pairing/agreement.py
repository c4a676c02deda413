"""Whether two encoders have anything in common: which sample texts find themselves across the two."""

from dataclasses import dataclass

import numpy as np

from probe.encoding.paired import PairedEncoder
from probe.metrics.vectors import Embeddings, unit
from surgery.saving.fresh_process import embed_samples

__all__ = ["Agreement", "measure_agreement"]


@dataclass(frozen=True)
class Agreement:
    """How many texts are nearest to themselves, as queries among the documents, by cosine.

    Attributes:
        found: Number of such texts.
        texts: Number of texts.
    """

    found: int
    texts: int

    @property
    def is_plausible(self) -> bool:
        """Whether most texts are; in unrelated spaces about one is. It does not say how good the pair is."""
        return 2 * self.found > self.texts

    def __str__(self) -> str:
        return f"{self.found} of {self.texts} texts are nearest to themselves across the two routes (1 by chance)"


def measure_agreement(pair: PairedEncoder) -> Agreement:
    """Embed a few different texts on both sides and compare them."""
    vectors: Embeddings = unit(embed_samples(pair))
    queries, documents = np.split(vectors, 2)
    nearest = (queries @ documents.T).argmax(axis=1)
    return Agreement(int((nearest == np.arange(len(queries))).sum()), len(queries))
