"""Fits on several data sets: stacked states of each one's own, and ranking on data sets that no fit has read."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_data import make_dataset
from tiny_states import CENTRES, make_states
from torch import nn

from adaptors import fit, open_adapted
from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.compare import FitPlan, compare_adaptors, fit_adaptors, rank_adaptors
from adaptors.fitting.data import FitTexts
from adaptors.fitting.evaluator import HeldOutQueries
from adaptors.fitting.lens import fit_lenses
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData, gather_states
from probe.data.dataset import Dataset
from probe.encoding import chunk_states
from probe.encoding.chunk_states import silent
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.experiments.options import RunOptions
from probe.experiments.specs import ResolvedSpecs
from probe.layers.hookpoint import Hookpoint
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.results.matrix import DatasetMatrix
from probe.sources.loading import load_dataset
from probe.store.store import Store
from surgery.saving.fresh_process import check_encoder_here

OPTIONS = LoadOptions(dtype="float32", device="cpu")
SIZES = {"first": (40, 8), "second": (25, 6), "third": (30, 7)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three data sets of other texts with the same ids, each with other queries to train on."""
    root, made = tmp_path_factory.mktemp("sets"), {}
    for seed, (name, (documents, queries)) in enumerate(SIZES.items()):
        folder = make_dataset(root / name, documents, queries, seed)
        test = (folder / "qrels" / "test.tsv").read_text().splitlines()
        (folder / "qrels" / "train.tsv").write_text("\n".join([test[0], *test[1:11]]) + "\n")
        (folder / "qrels" / "test.tsv").write_text("\n".join([test[0], *test[11:]]) + "\n")
        made[name] = folder
    return made


@pytest.fixture(scope="module")
def texts(folders: dict[str, Path]) -> dict[str, FitTexts]:
    return {
        name: FitTexts(load_dataset(folder), load_dataset(folder, "train"), labels=True)
        for name, folder in folders.items()
    }


@pytest.fixture(scope="module")
def resolved(tiny_folder: Callable[[str], Path]) -> ResolvedSpecs:
    return resolve_specs([f"{tiny_folder('bert')}@2:mean"], OPTIONS)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Record the data set and the side of every reading of states."""
    found: list[tuple[str, str]] = []
    original = chunk_states.open_shelf

    def spy(reader: Any, side: Any, *rest: Any, **named: Any) -> Any:
        found.append((side.dataset, side.name))
        return original(reader, side, *rest, **named)

    monkeypatch.setattr(chunk_states, "open_shelf", spy)
    return found


def gather(model: LoadedModel, texts: FitTexts | list[FitTexts], store: Store | None = None, layer: int = 2) -> FitData:
    point = Hookpoint(model.source.name, layer, "mean")
    readers = {model.source.name: LayerReader(model)}
    return gather_states(readers, [Fusion((point,))], texts, store=store)[0]


def test_states_are_stacked_set_by_set(model: LoadedModel, texts: dict[str, FitTexts]) -> None:
    first, second = gather(model, texts["first"]), gather(model, texts["second"])
    both = gather(model, [texts["first"], texts["second"]])
    assert torch.equal(both.documents, torch.cat([first.documents, second.documents]))
    assert torch.equal(both.queries, torch.cat([first.queries, second.queries]))
    expected = [first.targets[:40], second.targets[:25], first.targets[40:], second.targets[25:]]
    assert torch.equal(both.targets, torch.cat(expected))
    assert both.fitted_on == (*first.fitted_on, *second.fitted_on)
    assert [name for name, _ in both.fitted_on] == ["first", "second"]
    assert (first.corpus_rows, both.corpus_rows) == ((range(40),), (range(40), range(40, 65)))


def test_pairs_are_rows_of_the_stack(model: LoadedModel, texts: dict[str, FitTexts]) -> None:
    chosen = [texts["first"], texts["second"]]
    both = gather(model, chosen)
    documents = [text for one in chosen for _, text in one.corpus.documents]
    queries = [text for one in chosen if one.train for text in one.train.queries.texts]
    # A query is the beginning of the document that is relevant to it.
    assert len(both.pairs) == 10
    assert all(documents[document].startswith(queries[query]) for query, document, _ in both.pairs.tolist())
    assert {int(query) for query in both.pairs[:, 0]} == set(range(len(queries)))
    assert both.labels == "train"
    blind = [texts["first"], replace(texts["second"], labels=False)]
    assert torch.equal(gather(model, blind).pairs, gather(model, texts["first"]).pairs)


def test_a_corpus_that_two_sets_share_is_stacked_once(model: LoadedModel, texts: dict[str, FitTexts]) -> None:
    first = texts["first"]
    assert first.train is not None
    others = replace(first.corpus, name="other questions", split="dev")
    shared = gather(model, [first, replace(first, corpus=replace(first.corpus, name="again"), train=others)])
    assert len(shared.documents) == 40
    assert len(shared.queries) == len(first.train.queries) + len(others.queries)
    assert [name for name, _ in shared.fitted_on] == ["first", "again"]
    assert (shared.labels, shared.corpus_rows) == ("train+dev", (range(40),))
    again = gather(model, [first, first])
    alone = gather(model, first)
    assert torch.equal(again.texts, alone.texts)
    assert torch.equal(again.pairs, alone.pairs)


def test_every_set_is_read_from_its_own_place_in_the_store(
    model: LoadedModel, texts: dict[str, FitTexts], tmp_path: Path
) -> None:
    store, embedded = Store(tmp_path / "store"), []
    module: Any = model.module
    handle = module.get_input_embeddings().register_forward_hook(lambda *rest: embedded.append(len(rest[2])))
    for name in ("first", "second"):
        gather(model, texts[name], store)
    assert sum(embedded) == 40 + 25 + 5 + 5
    kept = sorted((tmp_path / "store").rglob("*"))
    both = gather(model, [texts["second"], texts["first"]], store)
    handle.remove()
    assert sum(embedded) == 40 + 25 + 5 + 5
    assert sorted((tmp_path / "store").rglob("*")) == kept
    assert len(both.texts) == 75


def ridge(states: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ridge map with the lowest GCV, by the textbook's formulas."""
    mean, wanted = states.mean(axis=0), targets.mean(axis=0)
    x, y, count = states - mean, targets - wanted, len(states)
    values = np.linalg.eigvalsh(x.T @ x).clip(min=0)
    found = []
    for penalty in np.maximum(np.logspace(-8, 2, 41) * values.mean(), 1e-7 * values.max()):
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
        free = count - (values / (values + penalty)).sum() - 1
        found.append((((y - x @ weight) ** 2).sum() / free**2, weight))
    weight = min(found, key=lambda pair: float(pair[0]))[1]
    return weight, wanted - mean @ weight


def test_a_joint_lens_is_the_ridge_map_of_the_stacked_states(model: LoadedModel, texts: dict[str, FitTexts]) -> None:
    chosen = [texts["first"], texts["second"]]
    parts = [gather(model, one) for one in chosen]
    states = np.concatenate([part.texts.double().numpy() for part in parts])
    weight, bias = ridge(states, np.concatenate([part.targets.double().numpy() for part in parts]))
    point = Hookpoint(model.source.name, 2, "mean")
    (lens,) = fit_lenses(LayerReader(model), [point], chosen, store=None, progress=silent)
    (alone,) = fit_lenses(LayerReader(model), [point], chosen[0], store=None, progress=silent)
    found: Any = lens.module
    assert found.weight.detach().numpy() == pytest.approx(weight, abs=1e-3)
    assert found.bias.detach().numpy() == pytest.approx(bias, abs=1e-3)
    assert not torch.allclose(found.weight, alone.module.weight, atol=1e-2)


def test_what_saw_a_set_is_marked_there_and_nowhere_else(
    resolved: ResolvedSpecs, texts: dict[str, FitTexts], read: list[tuple[str, str]]
) -> None:
    plan = FitPlan(("truncate", "pca"), (8,))
    fitted = fit_adaptors(resolved, plan, [texts["first"], texts["second"]], options=RunOptions())
    assert {name for name, _ in read} == {"first", "second"}
    read.clear()
    marks = {}
    for name in SIZES:
        board = rank_adaptors(resolved, fitted, texts[name].corpus, options=RunOptions())
        marks[name] = {row.adaptor: row.transductive for row in board.rows if row.adaptor}
        assert board.settings["adaptors"][0] == "fitted on the texts of first and second"
    seen, unseen = {"truncate": False, "pca": True}, {"truncate": False, "pca": False}
    assert marks == {"first": seen, "second": seen, "third": unseen}
    # The same adaptors for all: ranking reads each set once.
    assert read == [(name, side) for name in SIZES for side in ("queries", "documents")]


def test_fit_on_fits_to_other_texts_alone(
    resolved: ResolvedSpecs, texts: dict[str, FitTexts], read: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[str] = []
    from adaptors.fitting import compare

    original = compare.rank_candidates

    def spy(candidates: Any, dataset: Dataset, *rest: Any, **named: Any) -> Any:
        ranked.append(dataset.name)
        assert {name for name, _ in read} == {"first"}
        return original(candidates, dataset, *rest, **named)

    monkeypatch.setattr(compare, "rank_candidates", spy)
    plan = FitPlan(("linear",), (8,), TrainOptions(steps=1), only_labelled=True)
    board = compare_adaptors(resolved, plan, texts["third"].corpus, fit_on=texts["first"], options=RunOptions())
    assert ranked == ["third"]
    assert [row.transductive for row in board.rows] == [False] * len(board.rows)
    assert {row.labels for row in board.rows if row.adaptor == "linear"} == {"train"}
    assert board.settings["adaptors"][0] == "fitted on the texts of first, relevance labels of train"


def test_the_queries_of_a_fit_are_never_ranked(resolved: ResolvedSpecs, texts: dict[str, FitTexts]) -> None:
    train = texts["first"].train
    assert train is not None
    for labels in (True, False):
        plan, source = FitPlan(("pca",), (8,)), replace(texts["first"], labels=labels)
        with pytest.raises(CallError, match="'first' cannot be ranked on its train split"):
            compare_adaptors(resolved, plan, train, fit_on=[texts["second"], source], options=RunOptions())
        # Nobody has fitted anything to the queries of the test split.
        assert compare_adaptors(resolved, plan, source.corpus, fit_on=source, options=RunOptions()).rows


def test_several_sets_are_fitted_each_on_its_own_or_all_once(
    resolved: ResolvedSpecs, texts: dict[str, FitTexts], read: list[tuple[str, str]]
) -> None:
    plan = FitPlan(("pca",), (8,))
    own = compare_adaptors(resolved, plan, {"one": texts["first"], "two": texts["second"]}, options=RunOptions())
    assert isinstance(own, DatasetMatrix)
    assert own.datasets == ("one", "two")
    assert own.settings["adaptors"] == []
    for name, label in (("first", "one"), ("second", "two")):
        alone = compare_adaptors(resolved, plan, texts[name], options=RunOptions())
        expected = {(row.adaptor, row.dim): row.scores for row in alone.rows}
        assert {(row.adaptor, row.dim): (row.datasets or {})[label].scores for row in own.rows} == expected
    read.clear()
    several = [texts["second"].corpus, texts["third"].corpus]
    other = compare_adaptors(resolved, plan, several, fit_on=texts["first"], sort="third", options=RunOptions())
    assert read[:2] == [("first", "documents"), ("first", "queries")]
    assert {name for name, _ in read[2:]} == {"second", "third"}
    assert other.settings["adaptors"] == ["fitted on the texts of first"]
    assert other.settings["sorted_by"] == "third"


def test_the_own_texts_need_no_note(resolved: ResolvedSpecs, texts: dict[str, FitTexts]) -> None:
    plan, own = FitPlan(("pca",), (8,)), texts["first"]
    board = compare_adaptors(resolved, plan, own, options=RunOptions())
    same = compare_adaptors(resolved, plan, own.corpus, fit_on=own, options=RunOptions())
    assert board.settings["adaptors"] == same.settings["adaptors"] == []
    assert all(row.transductive for row in same.rows if row.adaptor)


def test_a_joint_fit_is_scored_on_each_set_and_saved_with_all_it_saw(
    tiny_folder: Callable[[str], Path], folders: dict[str, Path], texts: dict[str, FitTexts], tmp_path: Path
) -> None:
    chosen = [str(folders["first"]), folders["second"]]
    fitted = fit("pca", f"{tiny_folder('bert')}@2:mean", chosen, dims=8, options=RunOptions(load=OPTIONS))
    assert isinstance(fitted.board, DatasetMatrix)
    assert fitted.board.datasets == ("first", "second")
    assert fitted.board.settings["adaptors"] == ["fitted on the texts of first and second"]
    assert all(row.transductive for row in fitted.board.rows if row.adaptor)
    out = fitted.save(tmp_path / "joint", check=lambda folder, model: check_encoder_here(folder, model, False))
    facts = open_adapted(out).encoder.adaptor
    assert [facts.saw(texts[name].corpus) for name in SIZES] == [True, True, False]
    assert facts.saw(replace(texts["second"].corpus, name="under another name"))
    card = (out / "README.md").read_text()
    assert "fitted to the texts of first and second without labels" in card
    assert f"## Retrieval\n\n{fitted.board.to_markdown().rstrip()}" in card


def test_held_out_queries_search_their_own_corpus(texts: dict[str, FitTexts]) -> None:
    data = make_states(labelled=True)
    pairs = data.pairs[data.pairs[:, 0] < 6]
    moved = torch.stack([pairs[:, 0] + CENTRES, pairs[:, 1] + len(data.documents), pairs[:, 2]], dim=1)
    # The second corpus is the first once more: among all documents every relevant one would have a double.
    twice = replace(
        data,
        documents=data.documents.repeat(2, 1),
        queries=data.queries.repeat(2, 1),
        corpora=(len(data.documents),) * 2,
    )

    class Same(nn.Module):
        """The identity, with a parameter that says where it is."""

        def __init__(self) -> None:
            super().__init__()
            self.here = nn.Parameter(torch.zeros(1))

        def forward(self, features: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return features

    alone, half = (HeldOutQueries(data, found, [8])(Same()) for found in (pairs, pairs[pairs[:, 0] < 3]))
    both = HeldOutQueries(twice, torch.cat([pairs, moved]), [8])(Same())
    assert both == pytest.approx(alone)
    uneven = HeldOutQueries(twice, torch.cat([pairs, moved[moved[:, 0] < CENTRES + 3]]), [8])(Same())
    assert uneven["ndcg@10"] == pytest.approx((2 * alone["ndcg@10"] + half["ndcg@10"]) / 3)
    assert HeldOutQueries(replace(twice, corpora=()), torch.cat([pairs, moved]), [8])(Same()) != pytest.approx(alone)


def test_too_few_labels_are_said_of_the_set_they_are_missing_in(model: LoadedModel, texts: dict[str, FitTexts]) -> None:
    second = texts["second"]
    few = replace(second.corpus, documents=second.corpus.documents.read(0, 4), limited=True)
    both = gather(model, [texts["first"], replace(second, corpus=few)])
    found = "4 of 5 relevance labels of train are for documents in the corpus; the rest are excluded by --limit"
    assert both.shortage == f"second: labels train: {found}"
    none = replace(second.corpus, documents=second.corpus.documents.read(10, 15), limited=True)
    with pytest.raises(CallError, match="second: --labels train: 0 of 5"):
        gather(model, [texts["first"], replace(second, corpus=none)])


@pytest.mark.parametrize(("wrong", "words"), [([], "no texts"), (["first"], "found str"), (5, "found int")])
def test_wrong_texts_are_refused(model: LoadedModel, wrong: Any, words: str) -> None:
    with pytest.raises(CallError, match=words):
        gather(model, wrong)
