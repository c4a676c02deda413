"""Documents of equal text tie, wherever in the corpus they lie and however they are scored."""

import random
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from tiny_models import make_texts

from probe.data.dataset import Dataset
from probe.data.texts import TextKeys, Texts
from probe.encoding import chunk_states as states_module
from probe.encoding.chunk_states import RunContext, silent
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.evaluation import evaluate as evaluate_module
from probe.evaluation.bm25 import BM25, evaluate_bm25
from probe.evaluation.composite import Composite
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.one_pass import sweep_fusions
from probe.evaluation.text_ties import TextTies
from probe.metrics.retrieval import Metric, RunScorer
from probe.metrics.top_k import Run, TopK
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel

PAIRS = 40
RECALL = Metric("recall", 2 * PAIRS)


@pytest.fixture
def doubled(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Forty texts, each there twice, in chunks of 16 and in no order."""
    for module in (states_module, evaluate_module):
        monkeypatch.setattr(module, "CHUNK", 16)
    texts = [*dict.fromkeys(make_texts(3 * PAIRS))][:PAIRS]
    rows = [(f"d{number}-{copy}", text) for number, text in enumerate(texts) for copy in "ab"]
    random.Random(0).shuffle(rows)
    queries = Texts.gather((f"q{number}", text) for number, text in enumerate(make_texts(8, seed=5)))
    return Dataset("doubled", "test", Texts.gather(rows), queries, {name: {"d0-a": 1} for name in queries.ids})


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """What is scored."""
    seen: list[Run] = []
    real = RunScorer.score
    monkeypatch.setattr(RunScorer, "score", lambda self, run: (seen.append(run), real(self, run))[1])
    return seen


def assert_tied(run: Run) -> None:
    for found in run.values():
        assert len(found) == 2 * PAIRS
        assert all(found[f"d{number}-a"] == found[f"d{number}-b"] for number in range(PAIRS))
        # So a pair's two documents follow each other, the greater id first.
        assert [name[:-2] for name in found][::2] == [name[:-2] for name in found][1::2]
        assert all(name.endswith("b") for name in [*found][::2])


def encoders_of(model: LoadedModel, kind: str) -> list[Composite | RunFusion]:
    points = select_hookpoints(model, "all", ("tokens",) if kind == "late interaction" else ("own", "max"), tokens=True)
    if kind in ("layers", "late interaction"):
        return [Fusion((point,)) for point in points]
    if kind == "fusions":
        return [Fusion((left, right), method=how) for left, right in pairwise(points) for how in ("concat", "mean")]
    return [RunFusion(pair, rule) for pair in pairwise(points) for rule in ("rrf", "combsum")]


@pytest.mark.parametrize("kind", ["layers", "late interaction", "fusions", "run fusions"])
def test_equal_texts_tie_in_any_chunk(model: LoadedModel, doubled: Dataset, runs: list[Run], kind: str) -> None:
    readers = {model.source.name: LayerReader(model)}
    context = RunContext(None, silent)
    sweep_fusions(readers, encoders_of(model, kind), doubled, metrics=[RECALL], context=context)
    assert runs
    for run in runs:
        assert_tied(run)


class Wavering:
    """An encoder whose vectors differ by a little from text to text, even where the texts are equal."""

    def __init__(self) -> None:
        self._dice = np.random.default_rng(0)

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        vectors = np.stack([np.random.default_rng(len(text)).normal(size=8) for text in texts])
        return (vectors + self._dice.normal(size=vectors.shape) * 1e-3).astype(np.float32)

    encode_document = encode_query


def test_equal_texts_tie_under_any_encoder(doubled: Dataset, runs: list[Run]) -> None:
    evaluate(Wavering(), doubled, [RECALL])
    assert_tied(runs[0])


def test_equal_texts_tie_under_bm25(doubled: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Run] = []
    monkeypatch.setattr("probe.evaluation.bm25.score_run", lambda run, *rest: (seen.append(run), {})[1])
    assert evaluate_bm25(doubled, [RECALL]).encoder == BM25
    for found in seen[0].values():
        assert found
        assert all(found.get(f"d{number}-a") == found.get(f"d{number}-b") for number in range(PAIRS))


def settle(found: dict[str, float], texts: dict[str, str], k: int, dropped: Sequence[str] = ()) -> list[str]:
    """Return the ids that are left of what was found for one query."""
    ties = TextTies(TextKeys(texts.values()).find_equal(), dropped)
    names = list(texts)
    for start in range(len(names) // 2 * 2, -1, -2):
        ties.take(start, names[start : start + 2])
    return [*ties.settle({"q": found}, k)["q"]]


TEXTS = {"a": "same", "b": "x", "c": "same", "d": "y", "q": "same", "z": "w"}


def test_one_that_was_cut_off_comes_in() -> None:
    assert settle({"b": 3.0, "a": 2.0}, TEXTS, 2) == ["b", "q"]
    assert settle({"b": 3.0, "a": 2.0}, TEXTS, 4) == ["b", "q", "c", "a"]
    assert settle({"a": 3.0, "b": 2.0}, TEXTS, 3) == ["q", "c", "a"]


def test_the_query_itself_does_not_come_in() -> None:
    assert settle({"b": 3.0, "a": 2.0}, TEXTS, 2, ["q"]) == ["b", "c"]
    assert settle({"a": 3.0, "b": 2.0}, TEXTS, 3, ["q"]) == ["c", "a", "b"]


def test_other_documents_stay_as_they_are() -> None:
    assert settle({"b": 3.0, "z": 2.5, "d": 1.0}, TEXTS, 3) == ["b", "z", "d"]


def test_the_first_score_of_a_text_is_that_of_all() -> None:
    ties = TextTies(TextKeys(TEXTS.values()).find_equal())
    ties.take(0, list(TEXTS))
    run = {"q": {"a": 2.0, "b": 1.5, "c": 1.0}}
    assert ties.settle(run, 9) == {"q": {"q": 2.0, "c": 2.0, "a": 2.0, "b": 1.5}}
    assert run == {"q": {"a": 2.0, "b": 1.5, "c": 1.0}}


def test_many_equal_texts_are_cut_at_k() -> None:
    texts = {f"e{number:03}": "" for number in range(500)} | {"x": "text"}
    assert settle({"x": 1.0, "e007": 0.5}, texts, 4) == ["x", "e499", "e498", "e497"]


@pytest.mark.parametrize("chunk", [1, 5, 12])
@pytest.mark.parametrize("k", [1, 3, 12])
def test_the_ranking_is_that_of_a_full_sort_by_text(k: int, chunk: int) -> None:
    dice = np.random.default_rng(k * chunk)
    for _ in range(30):
        texts = [str(number) for number in dice.integers(0, 6, 12)]
        ids = [f"d{number}" for number in dice.permutation(12)]
        base = {str(number): float(score) for number, score in enumerate(dice.permutation(6))}
        # A millionth more or less, as rounding gives.
        scores = np.array([[base[text] + dice.integers(0, 3) * 1e-6 for text in texts]], np.float32)
        highest = {text: max(scores[0][[other == text for other in texts]]) for text in texts}
        expected = sorted(zip([highest[text] for text in texts], ids, strict=True), reverse=True)[:k]
        top, ties = TopK(["q"], k), TextTies(TextKeys(texts).find_equal())
        for start in range(0, 12, chunk):
            top.add(ids[start : start + chunk], scores[:, start : start + chunk])
            ties.take(start, ids[start : start + chunk])
        assert [*ties.settle(top.run(), k)["q"]] == [name for _, name in expected]
