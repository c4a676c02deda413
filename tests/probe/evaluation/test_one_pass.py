"""The sweep: one pass, no look at the judgements, the same as encoding every layer by itself."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sweeps import sweep

from probe.data.dataset import Dataset
from probe.encoding import chunk_states as states_module
from probe.encoding.chunk_states import RunContext
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.evaluation import evaluate as sweep_module
from probe.evaluation import one_pass
from probe.evaluation.composite import Asymmetric
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion
from probe.layers.operations import count_flops
from probe.metrics.retrieval import Metric, RunScorer
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from probe.store.store import Store

NDCG = Metric("ndcg", 10)
POOLINGS = ("cls", "mean", "max", "last")


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (states_module, sweep_module):
        monkeypatch.setattr(module, "CHUNK", 7)


def test_one_pass_law_every_text_runs_once(model: LoadedModel, dataset: Dataset, small_chunks: None) -> None:
    rows: list[int] = []
    embeddings = model.module.get_input_embeddings()
    handle = embeddings.register_forward_hook(lambda module, args, output: rows.append(len(output)))
    try:
        sweep(LayerReader(model), select_hookpoints(model, "all", POOLINGS), dataset, [NDCG])
    finally:
        handle.remove()
    assert sum(rows) == len(dataset.documents) + len(dataset.queries)


def test_every_row_equals_the_layer_encoded_by_itself(model: LoadedModel, dataset: Dataset, small_chunks: None) -> None:
    reader = LayerReader(model)
    points = select_hookpoints(model, "all", POOLINGS)
    result = sweep(reader, points, dataset, [NDCG])
    for point, evaluation in zip(points, result.evaluations, strict=True):
        alone = evaluate(HookpointEncoder(reader, *point.layer_pooling), dataset, [NDCG], name=str(point))
        assert evaluation.scores[NDCG] == pytest.approx(alone.scores[NDCG], abs=1e-6)
        assert evaluation.encoder == str(point)


def test_no_leak_rankings_do_not_depend_on_the_judgements(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    original = RunScorer.score
    monkeypatch.setattr(RunScorer, "score", lambda self, run: (runs.append(run), original(self, run))[1])
    ids = dataset.documents.ids
    shuffled = {query: {ids[(i * 7) % len(ids)]: 1} for i, query in enumerate(dataset.qrels)}
    points = select_hookpoints(model, "all")
    for judged in (dataset, replace(dataset, qrels=shuffled)):
        sweep(LayerReader(model), points, judged, [NDCG])
    assert runs[: len(points)] == runs[len(points) :]


def test_no_leak_the_encoder_sees_texts_only(dataset: Dataset) -> None:
    class Spy:
        seen: list[str]

        def encode_query(self, texts: Sequence[str]) -> Embeddings:
            self.seen = list(texts)
            return np.ones((len(texts), 4), np.float32)

        def encode_document(self, texts: Sequence[str]) -> Embeddings:
            self.seen += texts
            return np.eye(4, dtype=np.float32)[np.arange(len(texts)) % 4]

    spy = Spy()
    assert isinstance(spy, Encoder)
    evaluate(spy, dataset, [NDCG], name="spy")
    assert spy.seen == [*dataset.queries.texts, *dataset.documents.texts]


def test_a_perfect_encoder_scores_one(dataset: Dataset) -> None:
    places = {text: i for i, text in enumerate(dataset.documents.texts)}
    wanted = [next(d for d, grade in dataset.qrels[q].items() if grade) for q in dataset.queries.ids]
    answers = dict(zip(dataset.queries.texts, wanted, strict=True))

    class Perfect:
        def encode_query(self, texts: Sequence[str]) -> Embeddings:
            rows = [dataset.documents.ids.index(answers[text]) for text in texts]
            return np.eye(len(places), dtype=np.float32)[rows]

        def encode_document(self, texts: Sequence[str]) -> Embeddings:
            return np.eye(len(places), dtype=np.float32)[[places[text] for text in texts]]

    assert evaluate(Perfect(), dataset, [NDCG], name="perfect").mean(NDCG) == 1.0


def test_a_float64_encoder_is_scored_in_float32(dataset: Dataset) -> None:
    class Constant:
        def encode_query(self, texts: Sequence[str]) -> Embeddings:
            return np.ones((len(texts), 3), np.float64)  # type: ignore[return-value]

        encode_document = encode_query

    evaluation = evaluate(Constant(), dataset, [NDCG], name="constant")
    assert evaluation.collapsed
    assert evaluation.mean(NDCG) < 1.0


def test_differences_below_float32_are_ties(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    class Precise:
        def encode_query(self, texts: Sequence[str]) -> Embeddings:
            return np.tile([1.0, 0.0], (len(texts), 1))

        def encode_document(self, texts: Sequence[str]) -> Embeddings:
            # Cosines fall by less than 1e-9 from document to document: only float64 tells them apart.
            return np.stack([np.ones(len(texts)), 3e-5 * np.sqrt(np.arange(len(texts)))], axis=1)

    runs: list[dict[str, dict[str, float]]] = []
    original = RunScorer.score
    monkeypatch.setattr(RunScorer, "score", lambda self, run: (runs.append(run), original(self, run))[1])
    evaluate(Precise(), dataset, [NDCG], name="precise")
    first = next(iter(runs[0].values()))
    assert list(first) == sorted(dataset.documents.ids, reverse=True)[:10]


def test_costs_grow_with_the_layer(model: LoadedModel, dataset: Dataset) -> None:
    evaluations = sweep(LayerReader(model), select_hookpoints(model, "all"), dataset, [NDCG]).evaluations
    milliseconds = [evaluation.ms_per_text or 0 for evaluation in evaluations]
    parameters = [evaluation.parameters or 0 for evaluation in evaluations]
    assert milliseconds == sorted(milliseconds)
    assert milliseconds[0] > 0
    assert parameters == sorted(set(parameters))


def test_operations_are_those_of_the_documents_and_their_layer(
    load_tiny: Callable[[str], LoadedModel], dataset: Dataset
) -> None:
    models = [load_tiny(name) for name in ("bert", "roberta")]
    tokens = one_pass.typical_tokens(dataset)
    letters = [len(text) for text in dataset.documents.texts]
    assert tokens == round(sum(letters) / len(letters) / 4) + 2
    points = [select_hookpoints(model, "all", ["mean"]) for model in models]
    alone, other = [Fusion((point,)) for point in points[0]], Fusion((points[1][1],))
    both = Fusion((points[0][2], points[1][1]))
    readers = {model.source.name: LayerReader(model) for model in models}
    encoders = [*alone, other, both, Asymmetric(alone[1], alone[3])]
    found, _ = one_pass.sweep_fusions(readers, encoders, dataset, metrics=[NDCG], context=RunContext())
    flops = [evaluation.flops for evaluation in found]
    assert flops[:4] == [tokens * n for n in count_flops(models[0].module, models[0].stack, tokens)]
    assert flops[5] == (flops[2] or 0) + (flops[4] or 0)
    # A cheap encoder of queries makes no document cheaper.
    assert flops[6] == flops[3]


def test_time_is_told_only_where_all_was_timed_now(
    load_tiny: Callable[[str], LoadedModel], dataset: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    readers = {model.source.name: LayerReader(model) for model in map(load_tiny, ("bert", "roberta"))}
    encoders = [Fusion((select_hookpoints(reader.model, "last", ["mean"])[0],)) for reader in readers.values()]

    def times(*chosen: int) -> list[bool]:
        """Rank some of the encoders, and say which have a time."""
        names = [encoders[number].points[0].model for number in chosen]
        found, _ = one_pass.sweep_fusions(
            {name: readers[name] for name in names},
            [encoders[number] for number in chosen],
            dataset,
            metrics=[NDCG],
            context=RunContext(store),
        )
        return [evaluation.ms_per_text is not None for evaluation in found]

    assert times(0) == [True]
    # One of them comes from the store, where it was timed in another hour.
    assert times(0, 1) == [False, False]
    assert times(0, 1) == [False, False]


def test_texts_longer_than_the_model_takes_are_counted(load_tiny: Callable[..., LoadedModel], dataset: Dataset) -> None:
    short = load_tiny("bert", max_tokens=9)
    limit = short.max_tokens - 2
    result = sweep(LayerReader(short), select_hookpoints(short, "last"), dataset, [NDCG])
    prompt = len(short.document_prompt.replace(":", " :").split())
    longer = sum(len(text.split()) + prompt > limit for text in dataset.documents.texts)
    assert result.truncated_documents == longer > 0


def test_progress_counts_every_text(model: LoadedModel, dataset: Dataset) -> None:
    done = {"queries": 0, "documents": 0}

    def report(step: str, texts: int, total: int) -> None:
        done[step] += texts
        assert total == len(getattr(dataset, step))

    sweep(LayerReader(model), select_hookpoints(model, "last"), dataset, [NDCG], progress=report)
    assert done == {"queries": len(dataset.queries), "documents": len(dataset.documents)}
