"""Rows of stored vectors: scored over the decoded documents, with their bytes, beside the float32 rows."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_data import make_dataset
from tiny_models import change_json
from typer.testing import CliRunner

from adaptors import compare_adaptors, fit, load_encoder, load_quantizer, rank
from adaptors.encoders.specs import resolve_sides
from adaptors.fitting.compare import FitPlan
from adaptors.fitting.data import FitTexts
from adaptors.quantizing.calibration import calibrate_quantizer
from adaptors.quantizing.ranking import compress_specs
from encoder_surgery.adaptors_commands.app import adaptors_app
from encoder_surgery.probe_commands.app import probe_app
from probe import LoadOptions, RunOptions
from probe import rank as rank_plainly
from probe.data.dataset import Dataset
from probe.errors import CallError, ModelError
from probe.evaluation.storage import StoragePlan
from probe.experiments.ranking import rank_candidates
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.vectors import unit
from probe.results.leaderboard import Leaderboard, Row

pytestmark = pytest.mark.usefixtures("quick_checks")

LOAD = LoadOptions(dtype="float32", device="cpu")
METRIC = "ndcg@2"


def options(*, metric: str = METRIC, more: tuple[str, ...] = (METRIC,), **plan: object) -> RunOptions:
    """Return options with sizes of stored vectors."""
    return RunOptions(metric=metric, more_metrics=more, load=LOAD, storage=StoragePlan(**plan))  # type: ignore[arg-type]


@pytest.fixture
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return f"{tiny_folder('bert')}@3:mean"


def pick(board: Leaderboard, **wanted: object) -> Row:
    """Return the only row with some values."""
    (row,) = [row for row in board.rows if all(getattr(row, key) == value for key, value in wanted.items())]
    return row


def score_by_hand(spec: str, dataset: Dataset, bits: int, *, both: bool = False, candidates: int = 0) -> float:
    """Return the score of a search over decoded documents, perhaps re-ranked by exact products."""
    encoder = load_encoder(spec, LOAD)
    documents = unit(np.asarray(encoder.encode_document(dataset.documents.texts)))
    queries = unit(np.asarray(encoder.encode_query(dataset.queries.texts)))
    quantizer = calibrate_quantizer(documents, bits, unit=bits == 1)
    scores = queries @ quantizer.approximate(documents).T
    if both:
        scores = -(quantizer.codes(queries)[:, None] != quantizer.codes(documents)[None]).sum(axis=2).astype(np.float32)
    exact = queries @ documents.T
    run = {}
    for row, query in enumerate(dataset.queries.ids):
        order = np.argsort(-scores[row], kind="stable")
        if candidates:
            order = sorted(order[:candidates], key=lambda column: -exact[row, column])
        final = exact if candidates else scores
        run[query] = {dataset.documents.ids[column]: float(final[row, column]) for column in order[:2]}
    metric = Metric.parse(METRIC)
    return float(score_run(run, dataset.qrels, [metric])[metric].mean())


@pytest.mark.parametrize("bits", [8, 4, 2, 1])
def test_documents_are_scored_as_they_are_decoded(bert: str, dataset: Dataset, bits: int) -> None:
    board = rank([bert], dataset, options=options(bits=(bits,)))
    assert pick(board, bits=bits, query_bits=32).scores[METRIC] == pytest.approx(score_by_hand(bert, dataset, bits))
    if bits == 1:
        both = pick(board, bits=1, query_bits=1)
        assert both.scores[METRIC] == pytest.approx(score_by_hand(bert, dataset, 1, both=True))


def test_rescoring_orders_the_candidates_of_the_stored_vectors_exactly(bert: str, dataset: Dataset) -> None:
    board = rank([bert], dataset, options=options(bits=(1,), rescore=3))
    row = pick(board, rescore=3)
    assert row.scores[METRIC] == pytest.approx(score_by_hand(bert, dataset, 1, candidates=6))
    everything = rank([bert], dataset, options=options(bits=(1,), rescore=len(dataset.documents)))
    frozen, rescored = pick(everything, bits=32), pick(everything, rescore=len(dataset.documents))
    assert rescored.scores == pytest.approx(frozen.scores)


def test_rows_say_their_bytes_and_the_front_of_them(bert: str, dataset: Dataset) -> None:
    board = rank([bert], dataset, options=options(bits=(32, 8, 4, 1), sizes=(6,)))
    found = {(row.bits, row.query_bits): (row.bytes, row.compression) for row in board.rows}
    assert found == {
        (32, 32): (128, 1.0),
        (8, 32): (32, 4.0),
        (4, 32): (16, 8.0),
        (1, 32): (4, 32.0),
        (1, 1): (4, 32.0),
        (1.5, 32): (6, pytest.approx(128 / 6)),
    }
    assert [row for row in board.rows if row.delta is None] == [pick(board, bits=32)]
    for row in board.rows:
        beaten = any(
            (o.bytes or 0) <= (row.bytes or 0)
            and o.scores[METRIC] >= row.scores[METRIC]
            and (o.bytes, o.scores[METRIC]) != (row.bytes, row.scores[METRIC])
            for o in board.rows
        )
        assert row.front == (not beaten)
    assert all(row.transductive == (row.bits != 32) for row in board.rows)


def test_the_verdict_names_the_smallest_vectors_that_are_not_worse(bert: str, dataset: Dataset) -> None:
    board = rank([bert], dataset, options=options(bits=(8, 1), rescore=3))
    small = min((row for row in board.rows if not row.rescore), key=lambda row: (row.bytes, row.rank))
    assert f"have {small.bytes} bytes (32 dimensions, 1 bit" in board.verdict()
    assert not any(row.front for row in board.rows if row.rescore)


def test_without_sizes_the_table_is_as_before(bert: str, dataset: Dataset) -> None:
    board = rank([bert], dataset, options=options())
    (row,) = board.rows
    assert (row.bits, row.bytes, row.compression, row.front) == (None, None, None, None)
    assert "bytes" not in board.to_markdown()
    assert json.loads(board.to_json())["rows"][0]["bytes"] is None


def test_every_adaptor_is_compared_in_every_size_with_pca_in_the_same(bert: str, dataset: Dataset) -> None:
    plan = FitPlan(("spectral", "pca"), (16, 8))
    board = compare_adaptors([bert], plan, FitTexts(dataset), options=options(bits=(4,), sizes=(3,)))
    found = {(row.adaptor, row.dim, row.bytes) for row in board.rows}
    assert found == {
        (None, 32, 128),
        *((None, 32, size) for size in (16, 3)),
        *((kind, dim, size) for kind in plan.kinds for dim in (16, 8) for size in (dim // 2, 3)),
    }
    for row in board.rows:
        assert (row.pca_delta is not None) == (row.adaptor == "spectral")
    assert pick(board, adaptor="pca", dim=16, bytes=3).compression == pytest.approx(128 / 3)


def test_a_saved_model_brings_its_quantizer(bert: str, tmp_path: Path) -> None:
    data = str(make_dataset(tmp_path / "data"))
    fitted = fit("pca", bert, data, dims=8, options=options(bits=(4,)))
    assert {row.bytes for row in fitted.board.rows} == {128, 32, 16, 4}
    folder = fitted.save(tmp_path / "model")
    quantizer = load_quantizer(folder)
    assert quantizer.bytes == 4
    texts = ["ice on the lake", "a red house"]
    vectors = load_encoder(folder, LOAD).encode_document(texts)
    packed = quantizer.encode_documents(vectors)
    assert packed.shape == (2, 4)
    assert quantizer.search(vectors, packed, 1).rows.tolist() == [[0], [1]]
    assert fitted.quantizer is not None
    assert np.array_equal(fitted.quantizer.encode_documents(vectors), packed)


def test_a_folder_without_or_with_a_damaged_quantizer_is_refused(bert: str, tmp_path: Path) -> None:
    data = str(make_dataset(tmp_path / "data"))
    plain = fit("pca", bert, data, dims=8, options=options()).save(tmp_path / "plain")
    with pytest.raises(CallError, match="has no quantizer: expected a folder saved by adaptors fit with --bits"):
        load_quantizer(plain)
    folder = fit("pca", bert, data, dims=8, options=options(sizes=(3,))).save(tmp_path / "model")
    text = (folder / "quantizer.json").read_text()
    (folder / "quantizer.json").write_text(text.replace('"dim": 8', '"dim": 9'))
    with pytest.raises(ModelError, match="does not match"):
        load_quantizer(folder)
    (folder / "quantizer.json").write_text(text.replace('"format": 1', '"format": 7'))
    with pytest.raises(ModelError, match="update encoder-surgery"):
        load_quantizer(folder)
    (folder / "quantizer.json").write_text(text)
    (folder / "quantizer.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="cannot read a quantizer"):
        load_quantizer(folder)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"bits": (9,)}, "invalid bits 9"),
        ({"bits": (32,), "rescore": 2}, "nothing to rescore"),
        ({"sizes": (0,)}, "bytes"),
    ],
)
def test_impossible_sizes_are_refused(plan: dict[str, object], message: str) -> None:
    with pytest.raises(CallError, match=message):
        StoragePlan(**plan)  # type: ignore[arg-type]


def test_what_cannot_be_stored_is_refused(bert: str, dataset: Dataset) -> None:
    four = options(bits=(4,))
    with pytest.raises(CallError, match="cannot be ranked here"):
        rank_plainly([bert], dataset, options=four)
    with pytest.raises(CallError, match="one vector per token"):
        rank([bert.replace(":mean", ":tokens"), bert], dataset, options=four)
    with pytest.raises(CallError, match="euclidean distance"):
        rank([bert], dataset, options=RunOptions(load=LOAD, similarity="euclidean", storage=StoragePlan((4,))))
    with pytest.raises(CallError, match="one size"):
        fit("pca", bert, dataset, options=options(bits=(8, 4)))


def test_the_commands_have_the_sizes(bert: str, tmp_path: Path) -> None:
    data, run = str(make_dataset(tmp_path / "data")), CliRunner().invoke
    ranked = run(probe_app, ["rank", bert, "-d", data, "--bits", "8,1", "--rescore", "2", "--format", "json"])
    assert ranked.exit_code == 0, ranked.output
    rows = json.loads(ranked.stdout)["rows"]
    assert {(row["bits"], row["query_bits"], row["rescore"]) for row in rows} == {
        (32, 32, None),
        (8, 32, None),
        (8, 32, 2),
        (1, 32, None),
        (1, 1, None),
        (1, 32, 2),
    }
    fitted = run(adaptors_app, ["rank", bert, "-d", data, "--kinds", "pca", "--dims", "8", "--bytes", "3"])
    assert fitted.exit_code == 0, fitted.output
    assert "bytes" in fitted.stdout
    out = tmp_path / "out"
    saved = run(adaptors_app, ["fit", "pca", bert, "-d", data, "--dims", "8", "--bits", "4", "--out", str(out)])
    assert saved.exit_code == 0, saved.output
    assert load_quantizer(out).bytes == 4
    for flags, words in (
        (["--bits", "many"], "expected positive integers, such as 8,4,1"),
        (["--bits", "32"], "--bits 32 compresses nothing"),
        (["--bytes", "33"], "no encoder fills 33 bytes"),
        (["--rescore", "4"], "nothing to rescore"),
    ):
        wrong = run(probe_app, ["rank", bert, "-d", data, *flags])
        assert wrong.exit_code == 2
        assert words in wrong.stderr


def test_over_several_data_sets_rows_of_different_sizes_stay_apart(bert: str, tmp_path: Path) -> None:
    names = {name: str(make_dataset(tmp_path / name)) for name in ("a", "b")}
    corpus = tmp_path / "b" / "corpus.jsonl"
    corpus.write_text("\n".join(line.replace("ice", "fire") for line in corpus.read_text().splitlines()) + "\n")
    board = rank([bert], names, options=options(bits=(8, 1), sizes=(6,), rescore=2))
    alone = rank([bert], names["a"], options=options(bits=(8, 1), sizes=(6,), rescore=2))
    assert {row.key for row in board.rows} == {row.key for row in alone.rows}
    for row in board.rows:
        single = next(one for one in alone.rows if one.key == row.key)
        assert row.datasets is not None
        assert row.datasets["a"].scores == single.scores
    assert "bytes" in board.to_markdown()
    assert any(row.front for row in board.rows)


def test_two_sides_and_fusions_are_stored_too(tiny_folder: Callable[[str], Path], dataset: Dataset) -> None:
    bert, mpnet = tiny_folder("bert"), tiny_folder("mpnet")
    resolved = resolve_sides(f"{bert}@2:mean", f"{bert}@3:mean", LOAD)
    small = compress_specs(resolved, dataset, options(bits=(8,)))
    (one,) = (one for one in small if str(one) == str(resolved.baseline))
    assert pickle.loads(pickle.dumps(one)).storage == one.storage
    board = rank_candidates(
        resolved.candidates,
        dataset,
        str(resolved.baseline),
        options=options(bits=(8,)),
        fusions=[*resolved.fusions, one],
    )
    frozen, stored = (pick(board, bits=bits, encoder=str(one)) for bits in (32, 8))
    assert stored.bytes == 32
    assert stored.scores[METRIC] == pytest.approx(frozen.scores[METRIC], abs=0.05)
    fused = rank([f"{bert}@3:mean+{mpnet}@3:mean"], dataset, options=options(bits=(4,)))
    assert {row.bytes for row in fused.rows} == {256, 32}


def test_frozen_vectors_that_are_compared_by_dot_product_are_left_out_with_a_word(
    tiny_folder: Callable[[str], Path], dataset: Dataset, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder("bert"), tmp_path / "dot"))
    change_json(folder / "config_sentence_transformers.json", similarity_fn_name="dot")
    board = compare_adaptors([str(folder)], FitPlan(("pca",), (8,)), FitTexts(dataset), options=options(bits=(4,)))
    assert {(row.adaptor, row.bits) for row in board.rows} == {(None, 32), ("pca", 4)}
    assert any("bits of its own vectors, which are not compared by cosine" in note for note in board.notes())
