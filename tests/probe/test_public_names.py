"""What `import probe` offers: the names, and every verb by strings and by objects; wrong specs before any work."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from own_documents import write_documents
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, without_times, write_lines
from tiny_models import DEPTH, WIDTH, WORDS

import adaptors
import encoder_surgery
import probe
import surgery
from probe import LoadOptions, RunOptions
from probe.encoding.encoders import TokenEncoder
from probe.metrics.retrieval import Metric

NAMES = """
    Capture Dataset DatasetMatrix Encoder GateGoal Hookpoint LayerReader Leaderboard LoadOptions Metric ProbeError
    RunOptions StoragePlan Store build_dataset classify_layers correlate_layers evaluate gate join_leaderboards
    load_dataset load_encoder load_labelled_texts load_model load_scored_pairs measure_geometry plot rank rank_layers
    read_result truncate write_report
"""
FLOAT32 = LoadOptions(dtype="float32", device="cpu")
RUN = RunOptions(load=FLOAT32)


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


def test_the_names_are_these() -> None:
    assert sorted(probe.__all__) == sorted(NAMES.split())
    for package in (probe, surgery, adaptors, encoder_surgery):
        assert set(dir(package)) == {*package.__all__, "__version__"}
        assert package.__version__ == version("encoder-surgery")


@pytest.mark.parametrize(
    ("package", "name", "words"),
    [
        (probe, "rnak", "module 'probe' has no attribute 'rnak': did you mean rank?"),
        (surgery, "cutt", "module 'surgery' has no attribute 'cutt': did you mean cut?"),
        (adaptors, "compare_adapters", "did you mean compare_adaptors"),
        (encoder_surgery, "load_encoders", "did you mean load_encoder"),
        (probe, "xyz", "module 'probe' has no attribute 'xyz'$"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_near_ones(package: ModuleType, name: str, words: str) -> None:
    with pytest.raises(AttributeError, match=words.replace("?", "\\?")):
        getattr(package, name)


def test_importing_a_package_imports_no_torch() -> None:
    asked = "import sys, encoder_surgery; print('torch' in sys.modules, 'load_encoder' in dir(encoder_surgery))"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["False", "True"]


def test_a_spec_opens_as_an_encoder(bert: str) -> None:
    encoder = probe.load_encoder(f"{bert}@2:cls", FLOAT32)
    assert str(encoder.hookpoint) == f"{bert}@2:cls"
    assert isinstance(encoder, probe.Encoder)
    assert encoder.encode_query(["ice"]).shape == (1, WIDTH)
    assert str(probe.load_encoder(bert, FLOAT32).hookpoint) == f"{bert}@{DEPTH}:mean"


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("@9", "layer 9 is out of range"),
        ("@1-2", "has 2 layers: expected one, such as"),
        (":tokens", "TokenEncoder"),
        (":middle", "unknown pooling 'middle'"),
        ("@x", "'x' in"),
        ("+{bert}@1", "use adaptors.load_encoder"),
    ],
)
def test_what_is_no_single_hookpoint_is_refused_with_the_way_out(bert: str, end: str, said: str) -> None:
    with pytest.raises(probe.ProbeError, match=said) as caught:
        probe.load_encoder(bert + end.format(bert=bert), FLOAT32)
    assert "\n" not in str(caught.value)


def model_forms(bert: str) -> dict[str, Any]:
    loaded = probe.load_model(bert, FLOAT32)
    return {"name": bert, "path": Path(bert), "loaded": loaded, "reader": probe.LayerReader(loaded)}


@pytest.mark.parametrize("form", ["path", "loaded", "reader"])
def test_the_layers_of_a_model_are_ranked_however_it_is_given(bert: str, data: str, form: str) -> None:
    by_name = probe.rank_layers(bert, data, layers="1-2", poolings=["cls", "own"], options=RUN)
    given = model_forms(bert)[form]
    other = probe.rank_layers(given, probe.load_dataset(data), layers="1-2", poolings=["cls", "own"], options=RUN)
    assert without_times(other) == without_times(by_name)
    assert {row.encoder for row in by_name.rows} == {
        f"{bert}@{place}" for place in ("1:cls", "2:cls", "1:mean", "2:mean", f"{DEPTH}:mean")
    }


def test_specs_are_ranked_and_the_first_is_the_baseline(bert: str, data: str) -> None:
    specs = [f"{bert}@1:mean", bert, f"{bert}@1:mean+{bert}@2:mean"]
    board = probe.rank(specs, data, options=RUN)
    assert board.settings["baseline"] == f"{bert}@1:mean"
    assert {row.encoder for row in board.rows} == {specs[0], f"{bert}@{DEPTH}:mean", specs[2]}
    other = probe.rank(specs, probe.load_dataset(data), baseline=bert, run_rules=["rrf"], options=RUN)
    assert other.settings["baseline"] == f"{bert}@{DEPTH}:mean"
    assert len(other.rows) == 4


def test_geometry_takes_one_model_or_several(bert: str, data: str, tiny_folder: Callable[[str], Path]) -> None:
    alone = probe.measure_geometry(bert, data, layers="1", options=RUN)
    assert [row.encoder for row in alone.rows] == [f"{bert}@1:mean"]
    both = probe.measure_geometry([probe.load_model(bert, FLOAT32), str(tiny_folder("mpnet"))], data, options=RUN)
    assert len(both.rows) == 2 * (DEPTH + 1)
    named = probe.measure_geometry({"a": bert, "b": probe.load_model(bert, FLOAT32)}, data, layers="1", options=RUN)
    assert [row.encoder for row in named.rows] == ["a@1:mean", "b@1:mean"]
    with pytest.raises(probe.ProbeError, match="duplicate model"):
        probe.measure_geometry([bert, probe.LayerReader(bert)], data, options=RUN)


def test_texts_with_labels_and_pairs_with_scores_are_given_by_file_or_as_values(bert: str, tmp_path: Path) -> None:
    labelled = [f"{word},{number % 2}" for number, word in enumerate(WORDS[4:24])]
    texts = str(write_lines(tmp_path / "texts.csv", ["text,label", *labelled]))
    by_name = probe.classify_layers(bert, texts, layers="1", folds=2, options=RUN)
    other = probe.classify_layers(probe.LayerReader(bert), probe.load_labelled_texts(texts), layers="1", folds=2)
    assert {row.encoder for row in by_name.rows} == {row.encoder for row in other.rows}
    scored = [
        f"{first},{second},{number}"
        for number, (first, second) in enumerate(zip(WORDS[4:14], WORDS[9:19], strict=True))
    ]
    pairs = str(write_lines(tmp_path / "pairs.csv", ["sentence1,sentence2,score", *scored]))
    given = probe.correlate_layers(bert, probe.load_scored_pairs(pairs), layers="1", options=RUN)
    assert probe.correlate_layers(bert, pairs, layers="1", options=RUN).rows == given.rows


def test_any_encoder_is_scored_by_its_vectors_or_by_its_tokens(bert: str, data: str) -> None:
    row, *_ = probe.rank([f"{bert}@2:cls"], data, options=RUN).rows
    found = probe.evaluate(probe.load_encoder(f"{bert}@2:cls", FLOAT32), data)
    assert (found.encoder, found.mean("ndcg@10")) == (row.encoder, pytest.approx(row.scores["ndcg@10"], abs=1e-9))
    assert found.mean(Metric("ndcg", 10)) == found.mean("NDCG@10")
    late = TokenEncoder(probe.LayerReader(probe.load_model(bert, FLOAT32)), 2)
    row = next(r for r in probe.rank([bert, f"{bert}@2:tokens"], data, options=RUN).rows if r.pooling == "tokens")
    scored = probe.evaluate(late, data, metrics=["ndcg@10", "recall@5"], name="tokens")
    assert scored.mean("ndcg@10") == pytest.approx(row.scores["ndcg@10"], abs=1e-9)
    assert (scored.encoder, len(scored.scores)) == ("tokens", 2)


def test_the_files_and_folders_of_results_and_states_may_be_strings(bert: str, data: str, tmp_path: Path) -> None:
    options = RunOptions("recall@5", store=probe.Store(str(tmp_path / "states")), load=FLOAT32)
    board = probe.rank_layers(bert, data, layers="1", options=options)
    assert board.metric == "recall@5"
    assert (tmp_path / "states").is_dir()
    (tmp_path / "board.json").write_text(board.to_json())
    read = probe.read_result(str(tmp_path / "board.json"))
    assert isinstance(read, probe.Leaderboard)
    # In a file, every row says what the footer says of it.
    assert [replace(row, note=None) for row in read.rows] == list(board.rows)


WRONG: dict[str, Callable[[str], object]] = {
    "a layer": lambda bert: probe.rank_layers(bert, "scifact", layers="9", options=RUN),
    "a pooling": lambda bert: probe.rank_layers(bert, "scifact", poolings=["middle"], options=RUN),
    "a spec": lambda bert: probe.rank([bert, f"{bert}@9"], "scifact", options=RUN),
    "a string of malformed specs": lambda bert: probe.rank([f"{bert}+"], "scifact", options=RUN),
    "one string": lambda bert: probe.rank(bert, "scifact", options=RUN),
    "one string beside a baseline": lambda bert: probe.rank(bert, "scifact", baseline=bert, options=RUN),
    "no spec among them": lambda bert: probe.rank([bert, 5], "scifact", options=RUN),  # type: ignore[list-item]
    "a name that is none": lambda bert: probe.rank({"my model": bert}, "scifact", options=RUN),
    "one name for two models": lambda bert: probe.rank([f"a={bert}", f"a={bert}@1+a=minilm"], "scifact", options=RUN),
    "layers": lambda bert: probe.rank_layers(bert, "scifact", [1, "2"], options=RUN),  # type: ignore[list-item]
    "no data set": lambda bert: probe.rank_layers(bert, 5, options=RUN),  # type: ignore[arg-type]
    "no options": lambda bert: probe.rank_layers(bert, "scifact", options=FLOAT32),  # type: ignore[arg-type]
    "no encoder": lambda bert: probe.evaluate(5, "scifact"),  # type: ignore[arg-type]
    "no metric": lambda bert: probe.evaluate(bert, "scifact", 5),  # type: ignore[arg-type]
    "no texts": lambda bert: probe.load_encoder(bert).encode(5),  # type: ignore[arg-type]
    "no text": lambda bert: probe.load_encoder(bert).encode(["a", 5]),  # type: ignore[list-item]
    "no model to cut": lambda bert: surgery.cut(5, 1),  # type: ignore[arg-type]
    "no block": lambda bert: surgery.cut(bert, "1"),  # type: ignore[arg-type]
    "no blocks": lambda bert: surgery.keep(bert, "1,2"),  # type: ignore[arg-type]
    "no parts": lambda bert: surgery.fuse([5, 6]),  # type: ignore[list-item]
    "nothing to save": lambda bert: surgery.save(5, "x"),  # type: ignore[arg-type]
    "no plan": lambda bert: adaptors.compare_adaptors(bert, 5, "scifact"),  # type: ignore[arg-type]
    "no kind": lambda bert: adaptors.fit(5, bert),  # type: ignore[arg-type]
    "no folder": lambda bert: adaptors.open_adapted(5),  # type: ignore[arg-type]
    "no file": lambda bert: probe.read_result(5),  # type: ignore[arg-type]
    "no store": lambda bert: RunOptions(store="states"),  # type: ignore[arg-type]
    "no spec": lambda bert: probe.rank([], "scifact", options=RUN),
    "no model": lambda bert: probe.rank_layers(5, "scifact", options=RUN),  # type: ignore[arg-type]
    "a metric": lambda bert: probe.evaluate(probe.load_encoder(bert), "scifact", metrics=["ndgc@10"]),
    "a metric to rank by": lambda bert: RunOptions(metric="ndgc@10"),
    "a layer to measure": lambda bert: probe.measure_geometry(bert, "scifact", layers="9", options=RUN),
    "folds": lambda bert: probe.classify_layers(bert, "docstrings", folds=1, options=RUN),
    "a layer to classify": lambda bert: probe.classify_layers(bert, "docstrings", layers="9", options=RUN),
    "a layer to correlate": lambda bert: probe.correlate_layers(bert, "docstrings", layers="9", options=RUN),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_a_wrong_call_is_refused_before_data_is_had_or_text_encoded(
    call: Callable[[str], object], bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for reads in ("beir_download.download_beir", "docstrings.read_docstrings", "loading.download_beir"):
        monkeypatch.setattr(f"probe.sources.{reads}", lambda *args, **named: pytest.fail("data was had"))
    monkeypatch.setattr(probe.LayerReader, "prepare", lambda *args, **named: pytest.fail("a text was read"))
    with pytest.raises(probe.ProbeError) as caught:
        call(bert)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_both_towers_of_a_model_are_ranked_where_there_are_images(tmp_path: Path) -> None:
    from tiny_images import draw_shapes
    from tiny_towers import write_towers

    clip, shapes = str(write_towers(tmp_path / "clip")), str(draw_shapes(tmp_path / "shapes", 12))
    both = probe.rank_layers(clip, shapes, layers="1", options=RUN)
    assert {row.encoder for row in both.rows} >= {f"{clip}@image.1:cls", f"{clip}@text.1:last"}
    from probe.encoding.opening import open_reader

    one = probe.rank_layers(open_reader(f"{clip}@image", FLOAT32), shapes, layers="1", options=RUN)
    assert {row.encoder.rpartition(".")[0] for row in one.rows} == {f"{clip}@image"}
    row = next(row for row in probe.rank([f"{clip}@image.1"], shapes, options=RUN).rows)
    assert row.scores == next(r.scores for r in both.rows if r.encoder == row.encoder)


def test_a_sentence_transformer_is_ranked_as_its_folder_is(bert: str, data: str) -> None:
    held = SentenceTransformer(bert, device="cpu")
    board = probe.rank_layers(held, data, options=RUN)
    by_name = probe.rank_layers(bert, data, options=RUN)
    assert [row.scores for row in board.rows] == [row.scores for row in by_name.rows]
    assert board.settings["baseline"] == f"{Path(bert).name}@{DEPTH}:mean"
    last = next(row for row in board.rows if row.layer == DEPTH)
    assert last.scores["ndcg@10"] == pytest.approx(probe.evaluate(held, data).mean("ndcg@10"), abs=1e-9)
    geometry = probe.measure_geometry([bert, held], data, layers="2", options=RUN)
    assert np.diag(np.array(geometry.cka)[:, ::-1]) == pytest.approx(1, abs=1e-4)


def test_models_in_memory_are_rows_of_a_paired_leaderboard(bert: str, data: str) -> None:
    held = SentenceTransformer(bert, device="cpu")
    board = probe.rank([f"{bert}@1:cls", held, {"mine": held}, {"short": f"{bert}@2"}], data, options=RUN)
    rows = {row.encoder: row for row in board.rows}
    own = f"{Path(bert).name}@{DEPTH}:mean"
    assert set(rows) == {f"{bert}@1:cls", own, f"mine@{DEPTH}:mean", "short@2:mean"}
    assert rows[own].scores == rows[f"mine@{DEPTH}:mean"].scores
    assert rows[own].p_value is not None
    paths = {model["name"]: model["path"] for model in board.settings["models"]}
    assert paths == {bert: bert, Path(bert).name: None, "mine": None, "short": bert}
    by_name = probe.rank([bert], data, options=RUN).rows[0]
    assert rows[own].scores == by_name.scores


def test_an_encoder_of_ones_own_is_a_row_by_its_name_or_its_class(bert: str, data: str) -> None:
    class Letters:
        def encode_query(self, texts: list[str]) -> np.ndarray[Any, Any]:
            return np.array([[len(text), text.count("a") + 1] for text in texts], dtype=np.float32)

        encode_document = encode_query

    board = probe.rank([{"letters": Letters()}, Letters(), bert], data, options=RUN)
    rows = {row.encoder: row for row in board.rows}
    assert board.settings["baseline"] == "letters"
    assert set(rows) == {"letters", "Letters", f"{bert}@{DEPTH}:mean"}
    assert rows["Letters"].scores["ndcg@10"] == pytest.approx(probe.evaluate(Letters(), data).mean("ndcg@10"))
    assert "Letters" in (rows["letters"].note or "")


@pytest.mark.parametrize("baseline", ["one", "one@1:cls", "one@1"])
def test_a_baseline_may_be_called_by_the_name_that_a_spec_gives(bert: str, data: str, baseline: str) -> None:
    board = probe.rank([f"{bert}@2", f"one={bert}@1:cls"], data, baseline=baseline, options=RUN)
    expected = {"one": "one@1:cls", "one@1:cls": "one@1:cls", "one@1": "one@1:mean"}[baseline]
    assert board.settings["baseline"] == expected
    assert {f"{bert}@2:mean", "one@1:cls"} <= {row.encoder for row in board.rows}


def test_encode_is_that_of_sentence_transformers_and_one_string_gives_one_vector(bert: str) -> None:
    held, encoder = SentenceTransformer(bert, device="cpu"), probe.load_encoder(bert, FLOAT32)
    assert encoder.encode(WORDS[4:9]) == pytest.approx(held.encode(WORDS[4:9]), abs=1e-6)
    held.default_prompt_name = "query"
    prompted = probe.load_encoder(held)
    assert prompted.encode(WORDS[4:9]) == pytest.approx(held.encode(WORDS[4:9]), abs=1e-6)
    for encode in (encoder.encode, encoder.encode_query, encoder.encode_document):
        assert encode("ice").shape == (WIDTH,)
        assert encode("ice") == pytest.approx(encode(["ice"])[0], abs=1e-6)
    assert TokenEncoder(encoder.reader, 1).encode("ice").shape == (3, WIDTH)


def test_values_show_themselves_in_a_line(bert: str, data: str, tmp_path: Path) -> None:
    loaded = probe.load_model(bert, FLOAT32)
    assert repr(loaded) == (
        f"LoadedModel({bert!r}, layers={DEPTH}, width={WIDTH}, pooling='mean', max_tokens={loaded.max_tokens}, "
        "dtype=float32, device=cpu)"
    )
    assert repr(probe.LayerReader(loaded)) == f"LayerReader({loaded!r})"
    assert repr(probe.load_encoder(f"{bert}@1:cls", FLOAT32)) == f"HookpointEncoder('{bert}@1:cls', width={WIDTH})"
    assert repr(surgery.cut(loaded, 1)).startswith(f"CutModel({bert!r}, layers=1,")
    fused = surgery.fuse([{"a": loaded}, f"b={bert}@1:cls"], options=FLOAT32)
    assert repr(fused) == f"FusedModel('a@{DEPTH}:mean+b@1:cls', method='concat', width={2 * WIDTH})"
    assert repr(probe.load_dataset(data)).startswith("Dataset('tiny', split='test', ")
    assert repr(probe.Store(tmp_path)) == f"Store({str(tmp_path)!r})"


@pytest.mark.parametrize("form", ["name", "path", "loaded", "reader", "object"])
def test_verbs_of_surgery_take_a_model_in_every_form(bert: str, form: str) -> None:
    forms = model_forms(bert) | {"object": SentenceTransformer(bert, device="cpu")}
    cut = surgery.cut(forms[form], 1)
    assert cut.depth == 1
    assert surgery.keep(forms[form], [1, 3]).depth == 2
    expected = probe.load_encoder(f"{bert}@1:mean", FLOAT32).encode_query(WORDS[4:8])
    assert probe.load_encoder(cut).encode_query(WORDS[4:8]) == pytest.approx(expected, abs=1e-5)


def test_data_sets_and_reports_are_made_from_strings(bert: str, data: str, tmp_path: Path) -> None:
    built = probe.build_dataset(str(write_documents(tmp_path / "in")), str(tmp_path / "notes"))
    assert built.files == 6
    assert built.queries == len(set(probe.load_dataset(built.folder).queries.texts))
    board = probe.rank_layers(bert, data, layers=[1, 2], poolings="cls", options=RUN)
    (tmp_path / "board.json").write_text(board.to_json())
    page = probe.write_report([board, str(tmp_path / "board.json")], tmp_path / "page.html")
    assert page.read_text(encoding="utf-8").count("<section") >= 2
    with pytest.raises(probe.ProbeError, match="exists"):
        probe.write_report(board, page)
    assert probe.write_report({"layers": board}, page, force=True) == page
