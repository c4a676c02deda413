"""Read documents for late interaction: what leaves the model is not their tokens, but their scores.

A chunk of documents has hundreds of times more token states than vectors. With the queries at hand MaxSim is a
pooling: token states go in, one vector per document comes out, its score for every query. So it runs inside the
hook, beside the other poolings of the same pass, and the store keeps scores as it keeps states.
"""

from collections.abc import Mapping, Sequence

from probe.files import digest
from probe.hookpoint import TOKENS, Place
from probe.pooling import Pooling
from probe.reader import LayerReader
from probe.settings import shelf_parts
from probe.states import Side, SideStates
from probe.token_scores import MAXSIM, TILE, QueryTokens
from probe.token_states import Rows, VectorRows

__all__ = ["LateReader", "late_reader"]


class LateReader(LayerReader):
    """Reads as another reader does, and where that reads tokens, their scores for some queries."""

    def __init__(self, reader: LayerReader, queries: Mapping[Place, QueryTokens], key: str) -> None:
        """Compare with queries.

        Args:
            reader: The model's reader.
            queries: Token states of the queries per place that is read for its tokens.
            key: Tells these queries, and how they were read, from any others.
        """
        super().__init__(reader.model, reader.token_budget, lambda: reader.loaded)
        self._key = key
        self._queries = {self.at(place): tokens for place, tokens in queries.items()}

    def at(self, place: Place) -> Place:
        """Return the place of the scores where `place` is one of tokens, else `place` itself."""
        return (place[0], f"maxsim-{self._key}") if place[1] == TOKENS else place

    def pooling_at(self, place: Place) -> Pooling:
        """Return what makes the state at a place of its token states: where there are queries, the scores."""
        return self._queries[place].score if place in self._queries else super().pooling_at(place)

    def rows_at(self, place: Place, count: int) -> Rows:
        """Return what gathers the states at a place."""
        if place in self._queries:
            return VectorRows(self._queries[place].lowest, count)
        return super().rows_at(place, count)


def late_reader(reader: LayerReader, side: Side, chunks: Sequence[SideStates], places: Sequence[Place]) -> LateReader:
    """Return a reader of the documents that queries are compared with.

    Args:
        reader: The model's reader.
        side: The queries.
        chunks: Their states, all of them.
        places: Those that were read for their tokens.

    Returns:
        The reader; where it keeps scores, everything that decided the queries' part of them is in the place's name.
    """
    device = reader.model.device
    counts = [len(chunk.ids) for chunk in chunks]
    tokens = {place: QueryTokens.join([chunk.vectors[place] for chunk in chunks], counts, device) for place in places}
    parts = shelf_parts(reader.model, side.prompt, side.texts.text_hash, reader.token_budget)
    return LateReader(reader, tokens, digest({"queries": parts, "rule": MAXSIM, "tile": TILE})[:16])
