"""The choice among maps: by held-out texts that no map has seen, and by rankings alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.maps.choice import choose_map
from adaptors.maps.data import MapData
from adaptors.maps.methods import Method, fit_methods
from adaptors.maps.moments import Pairs
from adaptors.maps.options import MapOptions
from probe.errors import CallError

NARROW, WIDE = 8, 12
DOCUMENTS = 150


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make_data(weight: Tensor, *, queries: int = 100, spans: int = 90, noise: float = 0.0) -> MapData:
    """Return texts of two models, the second a linear map of the first; three spans per document in order."""

    def make(count: int, seed: int) -> Pairs:
        source = normalize(draw(count, len(weight), seed=seed) * torch.linspace(2, 0.5, len(weight)), dim=1)
        target = source @ weight + noise * draw(count, weight.shape[1], seed=seed + 1)
        return Pairs(source, normalize(target, dim=1))

    return MapData(
        documents=make(DOCUMENTS, 10),
        queries=make(queries, 20),
        spans=make(spans, 30),
        span_documents=tuple(row // 3 for row in range(spans)),
        fitted_on=(("made", "0"),),
    )


ROTATION = torch.linalg.qr(draw(WIDE, NARROW, seed=1))[0].T


def rows_of(pairs: Pairs) -> set[tuple[float, ...]]:
    return {tuple(row) for row in pairs.source.tolist()}


@pytest.mark.parametrize("documents", [False, True])
@pytest.mark.parametrize(
    ("queries", "spans", "basis"),
    [(100, 90, "50 held-out training"), (0, 450, "short parts"), (0, 9, "for want of queries")],
)
def test_what_judges_has_not_been_fitted_to(documents: bool, queries: int, spans: int, basis: str) -> None:
    data = make_data(ROTATION, queries=queries, spans=spans)
    fit, held = data.hold_out(0, documents=documents)
    assert basis in held.basis
    seen = rows_of(fit.documents) | rows_of(fit.queries) | rows_of(fit.spans)
    mapped = held.documents if documents else held.queries
    assert not rows_of(mapped) & seen
    assert len(held.queries) >= 30
    if spans and not queries:
        gone = [
            row for row, one in enumerate(data.documents.source.tolist()) if tuple(one) not in rows_of(fit.documents)
        ]
        kept = [row for row, one in enumerate(data.spans.source.tolist()) if tuple(one) in rows_of(fit.spans)]
        assert not {data.span_documents[row] for row in kept} & set(gone)


def test_the_same_seed_holds_out_the_same_texts() -> None:
    data = make_data(ROTATION)
    (_, first), (_, second), (_, other) = (data.hold_out(seed, documents=False) for seed in (0, 0, 1))
    assert torch.equal(first.queries.source, second.queries.source)
    assert not torch.equal(first.queries.source, other.queries.source)


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_a_rotation_is_found_and_ranks_as_both_models_do(side: str) -> None:
    choice = choose_map(make_data(ROTATION), MapOptions(side=side))  # type: ignore[arg-type]
    assert choice.best.agreement > 0.95
    assert choice.source == choice.target == 1.0
    texts = draw(5, NARROW, seed=5)
    found, wanted = normalize(choice.map.apply(texts), dim=1).float(), normalize(texts @ ROTATION, dim=1)
    assert (found * wanted).sum(dim=1).min() > 0.99


def test_the_best_trial_is_refitted_to_all_texts() -> None:
    data, options = make_data(draw(NARROW, WIDE, seed=4), noise=0.3), MapOptions()
    choice = choose_map(data, options)
    assert [trial.agreement for trial in choice.trials] == sorted((t.agreement for t in choice.trials), reverse=True)
    again = fit_methods(data, options)[choice.best.method]
    assert torch.equal(choice.map.weight, again.weight)
    part, _ = data.hold_out(0, documents=False)
    short = Method("ridge", 0.5)
    assert not torch.equal(fit_methods(data, options)[short].weight, fit_methods(part, options)[short].weight)
    (note,) = choice.notes("a > b")
    assert note.startswith(f"a > b: {choice.best.method}, chosen among {len(choice.trials)} maps without labels")


def test_the_simplest_of_those_that_the_queries_cannot_tell_apart_is_chosen() -> None:
    data, options = make_data(draw(NARROW, WIDE, seed=4), noise=0.3), MapOptions()
    choice = choose_map(data, options)
    first = choice.trials[0]
    near = [trial.method for trial in choice.trials if trial.agreement >= first.agreement - first.error]
    assert first.error > 0
    assert choice.best.method == next(method for method in fit_methods(data, options) if method in near)


def test_without_short_texts_documents_are_enough() -> None:
    bare = make_data(ROTATION, queries=0, spans=0)
    methods = fit_methods(bare, MapOptions())
    assert {method.short for method in methods} == {0.0}
    assert {method.short for method in fit_methods(make_data(ROTATION), MapOptions())} == {0.0, 0.5}
    assert choose_map(bare, MapOptions()).trials[0].agreement > 0.95


def test_a_rank_limits_every_map() -> None:
    for found in fit_methods(make_data(ROTATION), MapOptions(rank=2)).values():
        assert torch.linalg.matrix_rank(found.weight) == 2
    with pytest.raises(CallError, match=f"--rank {NARROW + 1}: expected at most {NARROW}"):
        choose_map(make_data(ROTATION), MapOptions(rank=NARROW + 1))


def test_methods_read_as_what_they_are() -> None:
    assert str(Method("ridge")) == "ridge"
    assert str(Method("drawn", 0.5, 1.0)) == "drawn on 50% short texts + 1 transposed"


@pytest.mark.parametrize(
    ("options", "words"), [({"side": "both"}, "--map 'both'"), ({"rank": 0}, "--rank"), ({"seed": -1}, "--seed")]
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(CallError, match=words):
        replace(MapOptions(), **options)  # type: ignore[arg-type]
