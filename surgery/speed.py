"""Speed of encoders side by side: each text goes through all of them, so that a busy machine slows all alike."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from probe.encoding.protocols import Encoder
from probe.errors import CallError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Speed", "SpeedRatio", "Spread", "measure_speed"]

Progress = Callable[[str, int, int], None]

_STEP = "measuring speed"


@dataclass(frozen=True)
class Spread:
    """A number measured in every round.

    Attributes:
        median: Median of the rounds.
        low: The smallest.
        high: The largest.
    """

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class SpeedRatio:
    """How many times as fast an encoder is as another, in the rounds that both ran in turn.

    Attributes:
        queries: For single queries.
        documents: For batches of documents.
    """

    queries: Spread
    documents: Spread


@dataclass(frozen=True)
class Speed:
    """The speed of an encoder, from its time in every round.

    Attributes:
        query_seconds: Median time of a query alone, in every round.
        document_seconds: Time of all documents, in every round.
        documents: Number of documents.
    """

    query_seconds: tuple[float, ...]
    document_seconds: tuple[float, ...]
    documents: int

    @property
    def ms_per_query(self) -> float:
        """Milliseconds per query, encoded alone: the median of the rounds."""
        return 1000 * median(self.query_seconds)

    @property
    def docs_per_second(self) -> float:
        """Documents per second in batches, in the median round."""
        return self.documents / median(self.document_seconds)

    def ratio_to(self, other: "Speed") -> SpeedRatio:
        """Return how many times as fast it is as another encoder of the same `measure_speed`: 2 is twice as fast.

        Each round is compared with the same round of the other, in which the machine was equally busy.

        Raises:
            CallError: The other has another number of rounds or documents, so it was measured on its own.
        """
        if (len(other.query_seconds), other.documents) != (len(self.query_seconds), self.documents):
            raise CallError(
                f"speeds of {len(self.query_seconds)} and {len(other.query_seconds)} rounds, {self.documents} and "
                f"{other.documents} documents: expected two encoders of one measure_speed"
            )
        return SpeedRatio(
            queries=_spread(self.query_seconds, other.query_seconds),
            documents=_spread(self.document_seconds, other.document_seconds),
        )


def _spread(own: Sequence[float], others: Sequence[float]) -> Spread:
    ratios = [other / one for one, other in zip(own, others, strict=True)]
    return Spread(median(ratios), min(ratios), max(ratios))


def measure_speed(
    encoders: "Mapping[str, Encoder | SentenceTransformer]",
    queries: Sequence[str],
    documents: Sequence[str],
    *,
    rounds: int = 5,
    batch_size: int = 32,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress = lambda step, done, total: None,
) -> dict[str, Speed]:
    """Measure how fast encoders are on the same texts, tokenization included.

    In every round each query goes through all encoders before the next one does, and so does each batch of documents;
    which encoder is first changes from text to text. The first texts run once before, without being counted.

    Args:
        encoders: Encoders by name, loaded as they are served: `SentenceTransformer(folder, device="cpu")`.
        queries: Queries, each encoded alone.
        documents: Documents, in batches of similar length from the longest on, as sentence-transformers makes them.
        rounds: Number of rounds.
        batch_size: Documents per batch.
        clock: Returns the time in seconds.
        progress: Called with the step, the rounds done since the last call, and their number.

    Returns:
        Their speeds by name, in the order given; `ratio_to` compares two.

    Raises:
        CallError: There is no encoder, query or document, or a number is below 1.
    """
    _check(encoders, queries, documents, rounds=rounds, batch_size=batch_size)
    ordered = sorted(documents, key=len, reverse=True)
    batches = [ordered[start : start + batch_size] for start in range(0, len(ordered), batch_size)]
    runs = {name: _calls(encoder, batch_size) for name, encoder in encoders.items()}
    for query, encode in runs.values():
        query([queries[0]])
        encode(batches[0])
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in runs}
    for _ in range(rounds):
        of_queries = _time({name: run[0] for name, run in runs.items()}, [[query] for query in queries], clock)
        of_batches = _time({name: run[1] for name, run in runs.items()}, batches, clock)
        for name, (query_seconds, document_seconds) in found.items():
            query_seconds.append(median(of_queries[name]))
            document_seconds.append(sum(of_batches[name]))
        progress(_STEP, 1, rounds)
    return {name: Speed(tuple(one), tuple(other), len(documents)) for name, (one, other) in found.items()}


def _check(encoders: Mapping[str, Any], *texts: Sequence[str], rounds: int, batch_size: int) -> None:
    if not encoders or not all(texts):
        raise CallError("expected at least one encoder, one query and one document")
    if min(rounds, batch_size) < 1:
        raise CallError(f"rounds {rounds}, batch_size {batch_size}: expected 1 or more of both")


def _calls(encoder: Any, batch_size: int) -> tuple[Callable[[list[str]], object], Callable[[list[str]], object]]:
    """Return how an encoder reads a query and a batch of documents."""
    from sentence_transformers import SentenceTransformer

    options: dict[str, Any] = {}
    if isinstance(encoder, SentenceTransformer):
        options = {"batch_size": batch_size, "show_progress_bar": False}
    return (
        lambda texts: encoder.encode_query(texts, **options),
        lambda texts: encoder.encode_document(texts, **options),
    )


def _time(
    runs: Mapping[str, Callable[[list[str]], object]], inputs: Sequence[list[str]], clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return the seconds of every input by encoder; each input goes through all of them before the next does."""
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number, texts in enumerate(inputs):
        first = number % len(names)
        for name in (*names[first:], *names[:first]):
            began = clock()
            runs[name](texts)
            seconds[name].append(clock() - began)
    return seconds
