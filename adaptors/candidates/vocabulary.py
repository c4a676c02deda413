"""The full model with fewer tokens, as the source of candidates."""

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adaptors.fitting.data import FitTexts
from probe.errors import CallError
from surgery.vocabulary.trim import trim

__all__ = ["Vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """Trims the full model's vocabulary to the texts of a search.

    Attributes:
        model: Name or folder of the full model.
        texts: The texts that decide which tokens stay; the test queries are not among them.
        folder: Home of the trimmed models.
    """

    model: str
    texts: FitTexts
    folder: Path

    def trim(self, tokens: int, model: str | Path | None = None) -> Path:
        """Return the folder of a model with at most some number of tokens.

        Args:
            tokens: Number of rows of its table of word embeddings, at most.
            model: A static model to trim instead of the full one.

        Raises:
            CallError: Special tokens and single characters alone are more.
        """
        source = self.model if model is None else str(model)
        folder = self.folder / f"tokens-{tokens}{'' if model is None else '-static'}"
        if folder.is_dir():
            return folder
        frequent = tokens - self.fixed
        while frequent > 0:
            trimmed = trim(source, self._given, frequent)
            if trimmed.facts.tokens.after <= tokens:
                staged = folder.with_name(f"{folder.name}-staged")
                shutil.rmtree(staged, ignore_errors=True)
                shutil.copytree(trimmed.folder, staged)
                staged.rename(folder)
                return folder
            frequent -= max(1, trimmed.facts.tokens.after - tokens)
        raise CallError(
            f"'{self.model}' cannot have as few as {tokens:,} tokens: special tokens and single characters, which "
            f"always stay, are {self.fixed:,}; allow more megabytes"
        )

    @cached_property
    def _given(self) -> dict[str, list[str]]:
        sides = [self.texts.corpus.documents, *([self.texts.train.queries] if self.texts.train else [])]
        return {self.texts.corpus.name: [text for side in sides for _, text in side]}

    @cached_property
    def fixed(self) -> int:
        """Number of tokens that always stay: special ones and single characters.

        Raises:
            ModelError: The model's vocabulary cannot be trimmed.
        """
        return trim(self.model, self._given, 1).facts.tokens.after - 1
