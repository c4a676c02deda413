"""Read documents for late interaction: what leaves the model is not their tokens, but their scores.

A chunk of documents has hundreds of times more token states than vectors. With the queries at hand MaxSim is a
pooling: token states go in, one vector per document comes out, its score for every query. So it runs inside the
hook, beside the other poolings of the same pass, and the store keeps scores as it keeps states.
"""

from collections.abc import Mapping, Sequence

from probe.encoding.chunk_states import ChunkStates, PromptedTexts
from probe.encoding.maxsim import MAXSIM, TILE, QueryTokens
from probe.encoding.reader import LayerReader
from probe.encoding.token_states import Rows, VectorRows
from probe.io.files import digest
from probe.layers.hookpoint import TOKENS, LayerPooling
from probe.layers.pooling import Pooling
from probe.store.keys import shelf_parts

__all__ = ["LateReader", "late_reader"]


class LateReader(LayerReader):
    """Reads as another reader does, and where that reads tokens, their scores for some queries."""

    def __init__(self, reader: LayerReader, queries: Mapping[LayerPooling, QueryTokens], key: str) -> None:
        """Compare with queries.

        Args:
            reader: The model's reader.
            queries: Token states of the queries per layer that is read for its tokens.
            key: Tells these queries, and how they were read, from any others.
        """
        super().__init__(reader.model, reader.token_budget, lambda: reader.loaded)
        self._key = key
        self._queries = {self.at(key): tokens for key, tokens in queries.items()}

    def at(self, layer_pooling: LayerPooling) -> LayerPooling:
        """Return the scores' layer and name where tokens are read, else `layer_pooling` itself."""
        return (layer_pooling[0], f"maxsim-{self._key}") if layer_pooling[1] == TOKENS else layer_pooling

    def pooling_at(self, layer_pooling: LayerPooling) -> Pooling:
        """Return what makes the state at a layer of its token states: where there are queries, the scores."""
        return (
            self._queries[layer_pooling].score if layer_pooling in self._queries else super().pooling_at(layer_pooling)
        )

    def rows_at(self, layer_pooling: LayerPooling, count: int) -> Rows:
        """Return what gathers the states at a layer and pooling."""
        if layer_pooling in self._queries:
            return VectorRows(self._queries[layer_pooling].lowest, count)
        return super().rows_at(layer_pooling, count)


def late_reader(
    reader: LayerReader, side: PromptedTexts, chunks: Sequence[ChunkStates], *, layer_poolings: Sequence[LayerPooling]
) -> LateReader:
    """Return a reader of the documents that queries are compared with.

    Args:
        reader: The model's reader.
        side: The queries.
        chunks: Their states, all of them.
        layer_poolings: Those that were read for their tokens.

    Returns:
        The reader; where it keeps scores, the name of the pooling tells all that decided the queries' part.
    """
    device = reader.model.device
    counts = [len(chunk.ids) for chunk in chunks]
    tokens = {key: QueryTokens.join([chunk.vectors[key] for chunk in chunks], counts, device) for key in layer_poolings}
    parts = shelf_parts(reader.model, side.role, side.texts.text_hash, token_budget=reader.token_budget)
    return LateReader(reader, tokens, digest({"queries": parts, "rule": MAXSIM, "tile": TILE})[:16])
