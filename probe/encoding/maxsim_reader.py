"""Reader of documents for late interaction: returns their scores instead of their token states.

A chunk of documents has hundreds of times more token states than vectors. With the queries given, MaxSim is a pooling:
it maps a document's token states to one vector, its score for every query. So it runs inside the hook, together with
the other poolings of the same pass, and the store keeps scores as it keeps states.
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
    """A reader that returns, in place of token states, their scores for given queries."""

    def __init__(self, reader: LayerReader, queries: Mapping[LayerPooling, QueryTokens], key: str) -> None:
        """Create a reader for given queries.

        Args:
            reader: Reader of the model.
            queries: Token states of the queries, by layer and pooling.
            key: Identifies the queries and how they were encoded.
        """
        super().__init__(reader.model, reader.token_budget, lambda: reader.loaded)
        self._key = key
        self._queries = {self.at(key): tokens for key, tokens in queries.items()}

    def at(self, layer_pooling: LayerPooling) -> LayerPooling:
        """Return the layer and name of the scores for token hookpoints, else `layer_pooling` itself."""
        return (layer_pooling[0], f"maxsim-{self._key}") if layer_pooling[1] == TOKENS else layer_pooling

    def pooling_at(self, layer_pooling: LayerPooling) -> Pooling:
        """Return the pooling of token states at a layer: for queries given, their scores."""
        return (
            self._queries[layer_pooling].score if layer_pooling in self._queries else super().pooling_at(layer_pooling)
        )

    def rows_at(self, layer_pooling: LayerPooling, count: int) -> Rows:
        """Return a collector of states at a layer and pooling."""
        if layer_pooling in self._queries:
            return VectorRows(self._queries[layer_pooling].lowest, count)
        return super().rows_at(layer_pooling, count)


def late_reader(
    reader: LayerReader, side: PromptedTexts, chunks: Sequence[ChunkStates], *, layer_poolings: Sequence[LayerPooling]
) -> LateReader:
    """Return a reader of documents that scores them for the queries.

    Args:
        reader: Reader of the model.
        side: The queries.
        chunks: All states of the queries.
        layer_poolings: The token hookpoints.

    Returns:
        The reader; the name of its score pooling identifies the queries and their encoding.
    """
    device = reader.model.device
    counts = [len(chunk.ids) for chunk in chunks]
    tokens = {key: QueryTokens.join([chunk.vectors[key] for chunk in chunks], counts, device) for key in layer_poolings}
    parts = shelf_parts(reader.model, side.role, side.texts.text_hash, token_budget=reader.token_budget)
    return LateReader(reader, tokens, digest({"queries": parts, "rule": MAXSIM, "tile": TILE})[:16])
