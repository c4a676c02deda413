"""The static candidate: fitted in closed form, written as a folder."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer

from adaptors.candidates.dimensions import Basis
from adaptors.candidates.vocabulary import Vocabulary
from adaptors.healing.texts import HealTexts
from adaptors.static.fit import fit_static_texts
from adaptors.static.save import write_static
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.experiments.options import RunOptions

__all__ = ["StaticMaker"]


@dataclass(frozen=True)
class StaticMaker:
    """Fits a static model to the full model's vectors.

    Attributes:
        full: The full model.
        texts: The texts of the fit, with the full model's vectors.
        vocabulary: Trims its vocabulary.
        basis: Linear map on top, if any.
        settings: Store, seed and progress.
    """

    full: LayerReader
    texts: HealTexts
    vocabulary: Vocabulary
    basis: Basis | None
    settings: RunOptions

    def __call__(self, tokens: int | None, folder: Path) -> Encoder:
        """Write the model with at most some number of tokens, None for all, to a new folder; return it."""
        settings = self.settings
        model = fit_static_texts(
            self.full, self.texts, store=settings.store, seed=settings.seed, progress=settings.progress
        )
        if self.basis is not None:
            facts = replace(model.facts, labels=self.basis.labels)
            model = replace(model, table=model.table @ self.basis.axes.T, facts=facts)
        folder.mkdir(parents=True)
        write_static(model, folder)
        if tokens is None:
            return model
        static: Any = SentenceTransformer(str(self.vocabulary.trim(tokens, folder)), device="cpu")[0]
        table = static.embedding.weight.detach().numpy()
        tokenizer = replace(model.tokenizer, tokenizer=static.tokenizer, size=len(table))
        trimmed = replace(model, tokenizer=tokenizer, table=table)
        shutil.rmtree(folder)
        folder.mkdir()
        write_static(trimmed, folder)
        return trimmed
