"""The time of a cut model's blocks against that of the whole model's: k of L blocks should cost k / L."""

import time
from collections.abc import Callable, Iterator

from benchmarks.inputs import find_mpnet, first_texts
from benchmarks.timing import Comparison
from probe.encoding.reader import LayerReader
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.cutting.cut import cut

__all__ = ["cut_minilm", "cut_mpnet"]

TOLERANCE = 0.08


def cut_minilm() -> Iterator[Comparison]:
    """MiniLM at every depth, 80 documents."""
    yield _compare_depths("minilm", range(1, 7), 80, rounds=9)


def cut_mpnet() -> Iterator[Comparison]:
    """all-mpnet-base-v2 at four depths, 24 documents, where MPNET names its folder."""
    yield _compare_depths(find_mpnet(), (3, 6, 9, 12), 24, rounds=5)


def _compare_depths(name: str, depths: tuple[int, ...] | range, documents: int, rounds: int) -> Comparison:
    whole = load_model(name, LoadOptions(dtype="float32", device="cpu"))
    texts = first_texts(documents)
    models = {depth: whole if depth == whole.depth else cut(whole, depth) for depth in depths}
    actions = {depth: _run(model, texts, depth) for depth, model in models.items()}
    embeddings = _run(whole, texts, 0)
    amounts: dict[str, list[float]] = {f"after {depth}": [] for depth in depths}
    for number in range(rounds + 1):
        alone = _time(embeddings)
        measured = {depth: _time(action) - alone for depth, action in actions.items()}
        if number:  # the first round warms up
            for depth, seconds in measured.items():
                amounts[f"after {depth}"].append(seconds)
    targets = {f"after {depth}": (1 + TOLERANCE) * depth / whole.depth for depth in depths}
    words = f"blocks alone, the embeddings' time taken off; expected k / {whole.depth}, give or take {TOLERANCE:.0%}"
    return Comparison(f"cut {name.rpartition('/')[2]}", amounts, targets, words=words)


def _run(model: LoadedModel, texts: list[str], layer: int) -> Callable[[], object]:
    reader = LayerReader(model)
    prepared = reader.prepare(texts, "")
    return lambda: reader.run(prepared, [(layer, "mean")])


def _time(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
