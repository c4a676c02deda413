"""A map between two models: fitted on texts alone, saved as plain sentence-transformers, tied to the other model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, write_lines
from tiny_models import WIDTH, make_texts, write_model
from typer.testing import CliRunner, Result

import cli
from adaptors import MapOptions, fit, fit_map, load_encoder, open_adapted
from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.folder import About, save_adapted
from adaptors.encoders.specs import gate, resolve_gate, resolve_sides, resolve_specs
from adaptors.fitting.data import as_several_texts
from adaptors.maps.data import gather_map_data
from adaptors.maps.fit import FittedMap
from adaptors.maps.models import resolve_target
from adaptors.modules.linear import Projection
from probe import LoadOptions, RunOptions
from probe.encoding.opening import open_reader
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.layers.hookpoint import Hookpoint

pytestmark = pytest.mark.usefixtures("quick_checks")

TEXTS = make_texts(6)
OPTIONS = RunOptions(load=LoadOptions(dtype="float32", device="cpu"))


def run(app: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def mpnet(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("mpnet"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries 0 to 7 are the test's, 8 to 15 those of the training split."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny", documents=120, queries=16)
    for split, first in (("test", 0), ("train", 8)):
        write_judgements(folder, split, {f"q{i}": f"d{i}" for i in range(first, first + 8)})
    return folder


def write_judgements(folder: Path, split: str, relevant: dict[str, str]) -> None:
    rows = [f"{query}\t{document}\t1" for query, document in relevant.items()]
    write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])


@pytest.fixture(scope="module")
def fitted(bert: str, mpnet: str, data: Path) -> FittedMap:
    return fit_map(f"{bert}@2:mean", f"{mpnet}@3:mean", str(data), options=OPTIONS)


@pytest.fixture(scope="module")
def saved(fitted: FittedMap, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fitted.save(tmp_path_factory.mktemp("map") / "map")


@pytest.fixture(scope="module")
def turned(bert: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an encoder whose vectors are those of another one, turned."""
    reader = open_reader(bert, OPTIONS.load)
    turn = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(1)))[0]
    fusion = Fusion((Hookpoint(bert, 2, "mean"),))
    encoder = AdaptedEncoder(fusion, Projection.of(turn), WIDTH, AdaptorFacts("pca", "none", (), None, WIDTH * WIDTH))
    folder = tmp_path_factory.mktemp("turned") / "turned"
    return str(save_adapted(encoder, [reader], folder, about=About("tiny")))


def test_the_board_has_both_models_and_the_search_with_both(fitted: FittedMap, bert: str, mpnet: str) -> None:
    pair = f"{bert}@2:mean > {mpnet}@3:mean"
    rows = {row.encoder: row for row in fitted.board.rows}
    assert set(rows) == {f"{bert}@2:mean", f"{mpnet}@3:mean", pair}
    row = rows[pair]
    assert (row.adaptor, row.labels, row.transductive, row.dim) == ("map", "none", True, WIDTH)
    assert row.retention is not None
    assert [one.encoder for one in row.retention] == [f"{bert}@2:mean", f"{mpnet}@3:mean"]
    for one in row.retention:
        assert one.share == pytest.approx(row.scores["ndcg@10"] / rows[one.encoder].scores["ndcg@10"])
    assert all(row.retention is None for name, row in rows.items() if name != pair)
    assert fitted.board.verdict().startswith(f"The map {pair} keeps ")
    values = fitted.board.to_dict()["rows"]
    assert sum(value["retention"] is None for value in values) == 2


def test_a_turned_model_is_recovered(bert: str, turned: str, data: Path) -> None:
    """With queries of the one and documents of the other, nothing is lost."""
    made = fit_map(f"{bert}@2:mean", turned, str(data), options=OPTIONS)
    expected = load_encoder(turned, OPTIONS.load).encode_query(TEXTS)
    assert made.encode_query(TEXTS) == pytest.approx(expected, abs=1e-3)
    assert len({round(row.scores["ndcg@10"], 6) for row in made.board.rows}) == 1


def test_plain_sentence_transformers_gives_the_same_vectors(fitted: FittedMap, saved: Path) -> None:
    plain = SentenceTransformer(str(saved), device="cpu")
    assert [type(module).__name__ for module in plain][-2:] == ["Dense", "Normalize"]
    assert plain.encode_query(TEXTS) == pytest.approx(fitted.encode_query(TEXTS), abs=1e-5)
    opened = load_encoder(saved, OPTIONS.load)
    assert opened.encode_query(TEXTS) == pytest.approx(fitted.encode_query(TEXTS), abs=1e-5)


def test_the_folder_searches_the_other_models_index(fitted: FittedMap, saved: Path, mpnet: str, data: Path) -> None:
    ranked = run(
        *("probe", "rank", "--queries", saved, "--documents", f"{mpnet}@3:mean", "-d", data, "--no-store"),
        *("--dtype", "float32", "--format", "json"),
    )
    assert ranked.exit_code == 0, ranked.stderr
    rows = {row["encoder"]: row for row in json.loads(ranked.stdout)["rows"]}
    row = rows[f"{saved} > {mpnet}@3:mean"]
    expected = next(row for row in fitted.board.rows if row.adaptor)
    assert row["scores"]["ndcg@10"] == pytest.approx(expected.scores["ndcg@10"], abs=1e-6)
    assert (row["adaptor"], row["transductive"]) == ("map", True)


def test_the_description_and_the_card_name_the_other_model(saved: Path, mpnet: str) -> None:
    told = json.loads((saved / "adaptor.json").read_text())["maps_to"]
    weights = open_reader(mpnet, OPTIONS.load).model.weights_hash
    assert (told["side"], told["encoder"]) == ("queries", f"{mpnet}@3:mean")
    assert [(one["weights_sha256"], one["layer"], one["pooling"]) for one in told["members"]] == [(weights, 3, "mean")]
    card = (saved / "README.md").read_text()
    assert f"in the space of `{mpnet}@3:mean` (weights {weights[:12]})" in card
    assert "% of" in card


@pytest.mark.parametrize(
    ("queries", "documents", "words"),
    [
        ("{map}", "{bert}@3:mean", "is not that encoder as it was"),
        ("{map}", "{mpnet}@2:mean", "is not that encoder as it was"),
        ("{mpnet}@3:mean", "{map}", "maps queries: give it as --queries"),
    ],
)
def test_a_map_is_refused_beside_another_encoder(
    saved: Path, bert: str, mpnet: str, queries: str, documents: str, words: str
) -> None:
    names = {"map": saved, "bert": bert, "mpnet": mpnet}
    with pytest.raises(CallError, match=words):
        resolve_sides(queries.format(**names), documents.format(**names), OPTIONS.load)


def test_a_gate_refuses_a_map_beside_another_encoder(saved: Path, bert: str, mpnet: str, data: Path) -> None:
    resolve_gate(str(saved), f"{mpnet}@3:mean", f"{mpnet}@3:mean", options=OPTIONS)
    with pytest.raises(CallError, match="is not that encoder as it was"):
        resolve_gate(str(saved), f"{bert}@3:mean", f"{bert}@3:mean", options=OPTIONS)
    with pytest.raises(CallError, match="is not that encoder as it was"):
        gate(str(saved), str(data), baseline=f"{bert}@3:mean", documents=f"{bert}@3:mean", options=OPTIONS)


def test_a_map_is_refused_when_the_other_model_was_trained_again(saved: Path, mpnet: str, tmp_path: Path) -> None:
    again = Path(shutil.copytree(mpnet, tmp_path / "again"))
    resolve_sides(str(saved), f"{again}@3:mean", OPTIONS.load)
    write_model(again, "mpnet", hidden_act="relu")
    with pytest.raises(CallError, match="is not that encoder as it was"):
        resolve_sides(str(saved), f"{again}@3:mean", OPTIONS.load)


def test_documents_are_mapped_for_the_other_models_queries(bert: str, mpnet: str, data: Path, tmp_path: Path) -> None:
    made = fit_map(
        f"{bert}@2:mean", f"{mpnet}@3:mean", str(data), mapping=MapOptions(side="documents"), options=OPTIONS
    )
    row = next(row for row in made.board.rows if row.adaptor)
    assert row.encoder == f"{mpnet}@3:mean > {bert}@2:mean"
    assert row.retention is not None
    folder = made.save(tmp_path / "map")
    assert open_adapted(folder, OPTIONS.load).encoder.maps_to == made.encoder.maps_to
    resolve_sides(f"{mpnet}@3:mean", str(folder), OPTIONS.load)
    with pytest.raises(CallError, match="maps documents: give it as --documents"):
        resolve_sides(str(folder), f"{mpnet}@3:mean", OPTIONS.load)


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_no_judgement_is_read(bert: str, mpnet: str, data: Path, tmp_path: Path, side: str) -> None:
    """Other judgements of both splits change neither the choice nor the map."""
    other = Path(shutil.copytree(data, tmp_path / data.name))
    write_judgements(other, "test", {f"q{i}": f"d{50 - i}" for i in range(8)})
    write_judgements(other, "train", {f"q{i}": f"d{60 - i}" for i in range(8, 16)})
    first, second = (
        fit_map(
            *(f"{bert}@2:mean", f"{mpnet}@3:mean", str(one)),
            mapping=MapOptions(side=side),  # type: ignore[arg-type]
            options=OPTIONS,
        )
        for one in (data, other)
    )
    assert first.choice.trials == second.choice.trials
    assert torch.equal(first.choice.map.weight, second.choice.map.weight)
    assert first.board.rows[0].scores != second.board.rows[0].scores


def test_the_queries_that_are_scored_are_not_read(bert: str, mpnet: str, data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / data.name))
    lines = (other / "queries.jsonl").read_text().splitlines()
    texts = [json.loads(line) for line in lines]
    test = {f"q{i}" for i in range(8)}
    changed = [one | {"text": "moon"} if one["_id"] in test else one for one in texts]
    write_lines(other / "queries.jsonl", [json.dumps(one) for one in changed])
    first, second = (fit_map(f"{bert}@2:mean", f"{mpnet}@3:mean", str(one), options=OPTIONS) for one in (data, other))
    assert torch.equal(first.choice.map.weight, second.choice.map.weight)


def test_few_spans_are_not_all_of_held_out_documents(
    bert: str, mpnet: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adaptors.maps.data._SPAN_CHARACTERS", 600)
    models = resolve_target(resolve_specs([f"{bert}@2:mean"], OPTIONS.load), f"{mpnet}@3:mean", OPTIONS)
    (vectors,) = gather_map_data(models, as_several_texts(str(data)), seed=0, options=OPTIONS)
    fit, _ = vectors.hold_out(0, documents=False)
    assert 0 < len(vectors.spans) < 60
    assert len(fit.spans) > len(vectors.spans) / 2


def test_enough_training_queries_leave_spans_out(
    bert: str, mpnet: str, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = resolve_target(resolve_specs([f"{bert}@2:mean"], OPTIONS.load), f"{mpnet}@3:mean", OPTIONS)
    for enough, has_spans in ((9, True), (8, False)):
        monkeypatch.setattr("adaptors.maps.data._ENOUGH_QUERIES", enough)
        (vectors,) = gather_map_data(models, as_several_texts(str(data)), seed=0, options=OPTIONS)
        assert (len(vectors.queries), bool(len(vectors.spans))) == (8, has_spans)


def test_one_map_for_several_data_sets(bert: str, mpnet: str, data: Path, tmp_path: Path) -> None:
    more = make_dataset(tmp_path / "more", documents=60, seed=9)
    made = fit_map(bert, mpnet, [str(data), str(more)], options=OPTIONS)
    row = next(row for row in made.board.rows if row.adaptor)
    assert row.retention is not None
    assert row.datasets is not None
    assert set(row.datasets) == {"tiny", "more"}
    assert {name for name, _ in made.encoder.adaptor.seen} == {"tiny", "more"}


def test_a_low_rank_is_saved(bert: str, mpnet: str, data: Path, tmp_path: Path) -> None:
    made = fit_map(bert, mpnet, str(data), mapping=MapOptions(rank=3), options=OPTIONS)
    folder = made.save(tmp_path / "map")
    weight = open_adapted(folder, OPTIONS.load).encoder.module.weight
    assert torch.linalg.matrix_rank(torch.as_tensor(weight).double(), rtol=1e-5) == 3


WRONG = {
    "itself": ("{bert}@2:mean", "{bert}@2:mean", {}, "nothing to map"),
    "several": ("{bert}@1-2:mean", "{mpnet}", {}, "means 2 encoders"),
    "to several": ("{bert}", "{mpnet}@1-2:mean", {}, "is not a single encoder to map to"),
    "rank": ("{bert}", "{mpnet}", {"rank": WIDTH + 1}, "expected at most 32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_map_is_refused(bert: str, mpnet: str, data: Path, name: str) -> None:
    source, target, mapping, words = WRONG[name]
    with pytest.raises(CallError, match=words):
        fit_map(
            *(source.format(bert=bert, mpnet=mpnet), target.format(bert=bert, mpnet=mpnet), str(data)),
            mapping=MapOptions(**mapping),  # type: ignore[arg-type]
            options=OPTIONS,
        )


def test_other_measures_than_cosine_and_dot_product_are_refused(bert: str, mpnet: str, data: Path) -> None:
    with pytest.raises(CallError, match="compares by euclidean"):
        fit_map(bert, mpnet, str(data), options=replace(OPTIONS, similarity="euclidean"))


def test_a_kind_without_the_other_model_says_what_is_missing(bert: str, data: Path) -> None:
    with pytest.raises(CallError, match="fit_map"):
        fit("map", bert, str(data), options=OPTIONS)
