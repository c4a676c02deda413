"""Every token's own vector: the token alone, between its special tokens, through the full model."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from adaptors.static.token_counts import StaticTokenizer
from probe.data.texts import Texts
from probe.encoding.chunk_states import Progress, PromptedTexts, RunContext, read_states, silent
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.errors import ModelError
from probe.metrics.vectors import Embeddings, unit
from probe.models.tokenization import Features, Role, preprocess
from probe.store.store import Store

__all__ = ["read_token_vectors"]

# Texts that may be a single token.
_CANDIDATES = 2000


class _TokenReader(LayerReader):
    """Reads single tokens, given by their ids as texts; never through the tokenizer, which would split most of them."""

    @cached_property
    def _frame(self) -> tuple[dict[str, torch.Tensor], dict[str, Any], int]:
        """The inputs of a text of one token, those common to all texts, and where its token is."""
        tokenizer = self.loaded.tokenizer
        for text in ("a", *list(tokenizer.get_vocab())[:_CANDIDATES]):
            alone = tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(alone) != 1:
                continue
            features = preprocess(self.loaded.pipeline, [text], Role("document", ""))
            places = (features.rows[0]["input_ids"] == alone[0]).nonzero().flatten().tolist()
            if len(places) == 1:
                return features.rows[0], features.shared, places[0]
        raise ModelError(
            f"the tokenizer of '{self.model.source.name}' has no text of a single token, so its tokens cannot be read "
            "one by one: choose another model"
        )

    def _preprocess(self, texts: Sequence[str], role: Role) -> Features:
        row, shared, place = self._frame
        rows = []
        for text in texts:
            ids = row["input_ids"].clone()
            ids[place] = int(text.rpartition(" ")[2])
            rows.append({**row, "input_ids": ids})
        return Features(rows, shared, 0)


def read_token_vectors(
    reader: LayerReader, tokenizer: StaticTokenizer, store: Store | None = None, *, progress: Progress = silent
) -> Embeddings:
    """Return the full model's vector of every token alone, of length 1, from the store if cached.

    Args:
        reader: The full model.
        tokenizer: Its tokenizer.
        store: Store of cached vectors, if any.
        progress: Called for every batch.

    Returns:
        Float32 `(V, D)`; zeros for ids without a token.

    Raises:
        ModelError: No text is a single token.
    """
    alone = _TokenReader(reader.model, reader.token_budget, load=lambda: reader.loaded)
    known = sorted(one for one in tokenizer.known if one < reader.known_tokens)
    # The words make the key of these vectors differ from that of any text's.
    texts = Texts(tuple(map(str, known)), tuple(f"the single token with the id {one}" for one in known))
    side = PromptedTexts("tokens", texts, Role("document", ""), "vocabulary")
    final = (reader.model.depth, own_pooling(reader.model))
    found = [chunk.vectors[final] for chunk in read_states(alone, side, [final], context=RunContext(store, progress))]
    vectors = np.zeros((tokenizer.size, reader.model.width_of(final[1])), np.float32)
    vectors[known] = unit(np.concatenate(found))
    return vectors
