"""The commands as a user types them: results on stdout, words on stderr, messages instead of tracebacks."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_documents import write_documents
from tiny_data import make_dataset, write_beir, write_lines
from typer.testing import CliRunner, Result

import cli
from probe.encoding import chunk_states
from probe.encoding.reader import LayerReader
from probe.errors import ProbeError

REST = "It then runs through the wide forest and hides under an old fallen tree until night."


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, [str(arg) for arg in args], prog_name="probe")


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


def test_layers_prints_json_alone_on_stdout(model: str, data: str) -> None:
    result = run("layers", "--model", model, "--dataset", data, "--format", "json", "--pooling", "own,max")
    assert result.exit_code == 0
    board = json.loads(result.stdout)
    assert len(board["rows"]) == 8
    assert board["rows"][0]["encoder"].startswith(f"{model}@")


def test_layers_prints_a_table_with_every_encoder_whole(model: str, data: str, tmp_path: Path) -> None:
    result = run("layers", "--model", model, "--dataset", data, "--dtype", "float32", "--store", tmp_path / "new")
    assert all(f"{model}@{layer}:mean" in result.stdout for layer in range(4))
    assert "documents" in result.stderr
    assert "float32 on cpu" in result.stdout.replace("\n", " ")


def test_layers_prints_csv_and_markdown(model: str, data: str) -> None:
    rows = list(csv.DictReader(io.StringIO(run("layers", "-m", model, "-d", data, "-f", "csv").stdout)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert run("layers", "-m", model, "-d", data, "-f", "markdown").stdout.startswith("| # | encoder |")


@pytest.mark.parametrize("suffix", ["json", "csv", "md", "txt"])
def test_save_writes_the_form_its_suffix_names(model: str, data: str, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"board.{suffix}"
    assert run("layers", "-m", model, "-d", data, "--save", file).exit_code == 0
    beginnings = {"json": "{", "csv": "rank,encoder", "md": "| #", "txt": "tiny (test)"}
    assert file.read_text().startswith(beginnings[suffix])
    assert list(tmp_path.iterdir()) == [file]


def test_options_reach_the_footer(model: str, data: str) -> None:
    options = ["--max-tokens", 9, "--query-prompt", "Q ", "--document-prompt", "", "--seed", 5, "--metric", "MRR@3"]
    board = json.loads(run("layers", "-m", model, "-d", data, "-f", "json", "--dtype", "float32", *options).stdout)
    settings = board["settings"]["models"][0]
    assert (settings["max_tokens"], settings["query_prompt"], settings["document_prompt"]) == (9, "Q ", "")
    assert settings["dtype"] == "float32"
    assert board["settings"]["statistics"]["seed"] == 5
    assert board["settings"]["metric"] == "mrr@3"


def test_a_terminal_without_unicode_gets_its_table_and_json(model: str, data: str) -> None:
    ascii_runner = CliRunner(charset="ascii")
    for form in ("table", "markdown", "json"):
        result = ascii_runner.invoke(cli.probe_app, ["layers", "-m", model, "-d", data, "-f", form])
        assert result.exit_code == 0
        assert f"{model}@3:mean" in result.stdout


def test_rank_tests_against_the_first_spec(model: str, data: str) -> None:
    result = run("rank", f"{model}@1:cls", f"{model}@2,3", f"{model}", "--dataset", data, "--format", "json")
    board = json.loads(result.stdout)
    assert board["settings"]["baseline"] == f"{model}@1:cls"
    assert {row["encoder"] for row in board["rows"]} == {f"{model}@1:cls", f"{model}@2:mean", f"{model}@3:mean"}


def test_rank_takes_models_of_different_families(model: str, data: str, tiny_folder: Callable[[str], Path]) -> None:
    result = run("rank", model, tiny_folder("qwen3"), "-d", data, "-f", "json", "--baseline", "bm25")
    assert {row["pooling"] for row in json.loads(result.stdout)["rows"]} == {"mean", "last", None}


def test_models_says_what_is_usable_offline() -> None:
    known = {entry["alias"]: entry for entry in json.loads(run("models", "--format", "json").stdout)}
    assert {"arctic-m", "arctic-s", "arctic-xs", "bge-small", "bge-base", "e5-small", "gte-small"} <= set(known)
    assert {"minilm", "minilm-l12", "mpnet"} <= set(known)
    assert known["minilm"]["offline"]
    assert known["e5-small"]["query_prompt"] == "query: "
    assert "sentence-transformers/all-mpnet-base-v2" in run("models").stdout


@pytest.mark.parametrize("columns", [20, 40, 60, 80])
def test_names_are_whole_in_a_narrow_terminal(
    model: str, data: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert "sentence-transformers/all-MiniLM-L12-v2" in run("models").stdout
    assert f"{model}@3:mean" in run("layers", "-m", model, "-d", data).stdout


def test_help_shows_the_whole_grammar() -> None:
    assert "model[@layers][:pooling]" in " ".join(run("rank", "--help").stdout.replace("│", " ").split())


def test_what_a_limit_has_left_is_said(model: str, data: str) -> None:
    said = run("layers", "-m", model, "-d", data, "--limit", 5, "--limit-queries", 6)
    assert "sample: 4 of 40 documents and 2 of 8 queries" in said.stderr
    assert "limited to 4 of 40 documents and 2 of 8 queries" in said.stdout


def test_data_show_counts_and_shows(data: str) -> None:
    assert "40" in run("data", "show", data).stdout
    summary = json.loads(run("data", "show", data, "--format", "json").stdout)
    assert (summary["documents"], summary["queries"], summary["judgements"]) == (40, 8, 16)
    assert summary["example_document"].startswith(summary["example_query"])


def test_built_data_is_probed_and_marked_synthetic(model: str, tmp_path: Path) -> None:
    built = run("data", "build", write_documents(tmp_path / "in"), "--out", tmp_path / "out")
    assert built.stdout.strip() == str(tmp_path / "out")
    for form in ("table", "markdown", "json", "csv"):
        assert "headings" in run("layers", "-m", model, "-d", tmp_path / "out", "-f", form).stdout
    assert json.loads(run("layers", "-m", model, "-d", tmp_path / "out", "-f", "json").stdout)["rows"]


def test_a_single_query_an_empty_and_a_long_document_just_work(model: str, tmp_path: Path) -> None:
    documents = {"1": "", "02": "fire water " * 200, "3": "ice"}
    folder = write_beir(tmp_path / "odd", documents, {"1": "fire"}, {"1": {"02": 1}})
    result = run("layers", "-m", model, "-d", folder, "-f", "json")
    board = json.loads(result.stdout)
    assert board["rows"][0]["ci95"] is None
    assert board["settings"]["models"][0]["truncated_documents"] == 1
    assert "empty documents" in board["settings"]["dataset"]["defects"][0]
    assert run("layers", "-m", model, "-d", folder).exit_code == 0


def test_the_table_is_the_same_cold_warm_and_without_a_store(model: str, data: str, tmp_path: Path) -> None:
    results = [
        run("layers", "-m", model, "-d", data, "-f", "json", "--pooling", "cls,mean", *options)
        for options in (["--store", tmp_path / "s"], ["--store", tmp_path / "s"], ["--no-store"])
    ]
    cold, warm, without = (json.loads(result.stdout) for result in results)
    assert f"Cache: 0/8 hookpoints of {model}; encoding 8 queries and 40 documents\n" in results[0].stderr
    assert f"Cache: 8/8 hookpoints of {model}; nothing to encode\n" in results[1].stderr
    assert "Cache" not in results[2].stderr
    # What comes from the store was timed in another hour.
    assert all(row["ms_per_text"] is None for row in warm["rows"])
    for row in (*cold["rows"], *warm["rows"], *without["rows"]):
        row.pop("ms_per_text")
    assert cold["rows"] == warm["rows"] == without["rows"]
    assert cold["settings"] == warm["settings"] == without["settings"]


def test_rank_reads_what_layers_stored(model: str, data: str, tmp_path: Path) -> None:
    run("layers", "-m", model, "-d", data, "--store", tmp_path / "s")
    result = run("rank", f"{model}@1", f"{model}@3", "-d", data, "--store", tmp_path / "s", "-f", "json")
    assert f"Cache: 2/2 layers of {model}; nothing to encode" in result.stderr
    assert len(json.loads(result.stdout)["rows"]) == 2


def test_an_interrupted_command_says_what_is_cached_and_continues(
    model: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["layers", "-m", model, "-d", data, "--store", tmp_path / "s"]
    with monkeypatch.context() as patch:
        patch.setattr(chunk_states, "CHUNK", 7)
        ran, run_batches = iter(range(9)), LayerReader.run

        def stop_at_the_fifth(*arguments: Any) -> Any:
            """Stand in for a user who presses Ctrl-C in the third of six chunks of documents, after two of queries."""
            if next(ran) == 4:
                raise KeyboardInterrupt
            return run_batches(*arguments)

        patch.setattr(LayerReader, "run", stop_at_the_fifth)
        stopped = run(*command)
        patch.setattr(LayerReader, "run", run_batches)
        resumed = run(*command)
    assert (stopped.exit_code, stopped.stdout) == (130, "")
    assert stopped.stderr.endswith("\nerror: interrupted: 4 of 8 chunks are cached; the same command continues\n")
    assert f"Cache: 4/4 layers of {model} for queries, 0/4 for documents; encoding 26 of 40 documents" in resumed.stderr


def test_a_cache_folder_that_cannot_be_made_costs_the_store_only(
    model: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCODER_SURGERY_CACHE", str(write_lines(tmp_path / "file", ["x"]) / "cache"))
    result = run("layers", "-m", model, "-d", data, "-f", "json")
    assert result.exit_code == 0
    assert "nothing is cached" in result.stderr
    assert json.loads(result.stdout)["rows"]


@pytest.fixture
def filled(model: str, data: str, tmp_path: Path) -> Path:
    """A store that holds one model's states."""
    run("layers", "-m", model, "-d", data, "--store", tmp_path / "filled")
    return tmp_path / "filled"


def test_store_list_shows_and_prints_json(model: str, filled: Path) -> None:
    assert model in run("store", "list", "--store", filled).stdout
    listed = json.loads(run("store", "list", "--store", filled, "--format", "json").stdout)
    assert [(shelf["side"], shelf["texts"], shelf["hookpoints"]) for shelf in listed] == [
        ("documents", 40, 4),
        ("queries", 8, 4),
    ]


def test_store_verify_finds_a_flipped_byte_and_the_next_run_mends_it(model: str, data: str, filled: Path) -> None:
    assert "none damaged" in run("store", "verify", "--store", filled).stdout
    path = sorted(filled.rglob("*.safetensors"))[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    damaged = run("store", "verify", "--store", filled)
    assert damaged.exit_code == 1
    assert str(path) in damaged.stdout
    assert "1 of 5 files are damaged" in damaged.stderr
    mended = run("layers", "-m", model, "-d", data, "--store", filled)
    assert "warning: " in mended.stderr
    assert "encoding its texts again" in mended.stderr
    assert run("store", "verify", "--store", filled).exit_code == 0


def test_store_prune_deletes_what_is_named_after_a_rehearsal(model: str, filled: Path) -> None:
    assert "deleted 0 files" in run("store", "prune", "--store", filled).stdout
    rehearsal = run("store", "prune", "--store", filled, "--model", model, "--dry-run")
    assert len(rehearsal.stdout.splitlines()) == 2
    assert len(list(filled.rglob("*.safetensors"))) == 2
    unknown = run("store", "prune", "--store", filled, "--model", "minlm", "--yes")
    assert (unknown.exit_code, f"no cached vectors of 'minlm': expected one of {model}" in unknown.stderr) == (2, True)
    refused = run("store", "prune", "--store", filled, "--model", model)
    assert (refused.exit_code, "add --yes" in refused.stderr) == (2, True)
    assert "deleted 4 files" in run("store", "prune", "--store", filled, "--model", model, "--yes").stdout
    assert not list(filled.rglob("*.safetensors"))


@pytest.mark.parametrize("command", ["list", "verify", "prune"])
def test_a_store_that_is_not_there_yet_is_empty(tmp_path: Path, command: str) -> None:
    result = run("store", command, "--store", tmp_path / "nowhere")
    assert result.exit_code == 0
    assert not (tmp_path / "nowhere").exists()


WRONG_CALLS = {
    "unknown alias": ["--model", "arctic"],
    "unknown alias, nearest named": ["--model", "minlm"],
    "missing model folder": ["--model", "./nowhere"],
    "layer out of range": ["--layers", "9"],
    "layers backwards": ["--layers", "3-1"],
    "layers of no number": ["--layers", "five"],
    "unknown pooling": ["--pooling", "median"],
    "empty pooling": ["--pooling", "mean,,cls"],
    "unknown metric": ["--metric", "ndgc@10"],
    "metric without a cut-off": ["--metric", "ndcg"],
    "metric at zero": ["--metric", "recall@0"],
    "unknown format": ["--format", "yaml"],
    "save without a known suffix": ["--save", "board.xlsx"],
    "save into a missing folder": ["--save", "nowhere/board.json"],
    "save over a folder": ["--save", "."],
    "unknown data set": ["--dataset", "scifcat"],
    "missing data set file": ["--dataset", "./nowhere.zip"],
    "unknown split": ["--split", "dev"],
    "limit of nothing": ["--limit", "0"],
    "unknown dtype": ["--dtype", "int8"],
    "float16 on a processor": ["--dtype", "float16", "--device", "cpu"],
    "unknown device": ["--device", "gpu"],
    "absent device": ["--device", "xpu:7"],
    "too many tokens": ["--max-tokens", "100000"],
    "no tokens": ["--max-tokens", "0"],
    "unknown baseline": ["--baseline", "tfidf"],
    "negative seed": ["--seed", "-1"],
    "unknown option": ["--colour", "red"],
    "a store and none": ["--store", "somewhere", "--no-store"],
    "a file as a store": ["--store", __file__],
}


@pytest.mark.parametrize("options", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_gets_a_message_and_exit_code_2(model: str, data: str, options: list[str]) -> None:
    result = run("layers", "--model", model, "--dataset", data, *options)
    assert result.exit_code == 2
    assert_friendly(result)


def assert_friendly(result: Result) -> None:
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 or "Usage:" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_a_near_miss_names_what_was_meant(data: str) -> None:
    assert "minilm" in run("layers", "-m", "minlm", "-d", data).stderr
    assert "scifact" in run("layers", "-d", "scifcat").stderr
    assert "ndcg" in run("layers", "-d", data, "--metric", "ndgc@10").stderr


@pytest.mark.parametrize("spec", ["{m}@9", "{m}@x", "{m}:median", "{m}@2:mean+{m}@2:mean", ":mean", "{m}@1-9:cls"])
def test_rank_refuses_wrong_specs(model: str, data: str, spec: str) -> None:
    result = run("rank", spec.format(m=model), "--dataset", data)
    assert result.exit_code == 2
    assert_friendly(result)


def broken_data(folder: Path, file: str, line: str) -> Path:
    write_lines(make_dataset(folder) / file, [line])
    return folder


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("corpus.jsonl", "{", "broken/corpus.jsonl:1: not JSON"),
        ("queries.jsonl", '{"text": "x"}', "broken/queries.jsonl:1: expected an object"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore", "no queries with relevance labels"),
    ],
)
def test_malformed_data_gets_file_line_and_exit_code_1(
    model: str, tmp_path: Path, file: str, line: str, message: str
) -> None:
    result = run("layers", "-m", model, "-d", broken_data(tmp_path / "broken", file, line))
    assert result.exit_code == 1
    assert message in result.stderr
    assert_friendly(result)


def test_a_model_without_a_layer_list_says_what_was_found(data: str, tiny_folder: Callable[[str], Path]) -> None:
    result = run("layers", "-m", tiny_folder("albert"), "-d", data)
    assert result.exit_code == 1
    assert "module lists found" in result.stderr
    assert_friendly(result)


def test_a_pickle_checkpoint_is_refused_with_the_way_out(data: str, tmp_path: Path) -> None:
    write_lines(tmp_path / "old" / "config.json", ["{}"])
    write_lines(tmp_path / "old" / "pytorch_model.bin", ["x"])
    result = run("layers", "-m", tmp_path / "old", "-d", data)
    assert result.exit_code == 1
    assert "save_pretrained" in result.stderr
    assert_friendly(result)


def test_a_model_that_is_not_here_says_how_to_get_it(data: str) -> None:
    result = run("layers", "-m", "bge-small", "-d", data)
    assert result.exit_code == 1
    assert "hf download BAAI/bge-small-en-v1.5" in result.stderr
    assert_friendly(result)


def test_an_alias_works_from_the_hubs_cache(
    data: str, tmp_path: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "models--Snowflake--snowflake-arctic-embed-m-v1.5" / "snapshots" / ("ab" * 20)
    shutil.copytree(tiny_folder("bert"), snapshot)
    (snapshot.parent.parent / "refs").mkdir()
    (snapshot.parent.parent / "refs" / "main").write_text(snapshot.name)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    board = json.loads(run("layers", "-m", "arctic-m", "-d", data, "-f", "json").stdout)
    settings = board["settings"]["models"][0]
    assert board["settings"]["baseline"] == "arctic-m@3:mean"
    assert settings["query_prompt"] == "Represent this sentence for searching relevant passages: "
    assert (settings["hub_id"], settings["revision"]) == ("Snowflake/snowflake-arctic-embed-m-v1.5", "ab" * 20)


def test_an_unwritable_cache_is_named(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_way = write_lines(tmp_path / "file", ["x"])
    monkeypatch.setenv("ENCODER_SURGERY_CACHE", str(in_the_way / "cache"))
    result = run("layers", "-m", model, "-d", "scifact")
    assert result.exit_code == 1
    assert "ENCODER_SURGERY_CACHE" in result.stderr
    assert_friendly(result)


def test_data_build_refuses_an_existing_folder(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "a.txt", [f"The first sentence is this. {REST}"])
    result = run("data", "build", file, "--out", tmp_path)
    assert result.exit_code == 2
    assert_friendly(result)


def test_an_interrupt_ends_with_130_and_no_file(
    model: str, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("probe.experiments.ranking.sweep_fusions", interrupt)
    result = run("layers", "-m", model, "-d", data, "--save", tmp_path / "board.json")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_internal_error_is_one_line_and_debug_shows_it(
    model: str, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("probe.experiments.ranking.sweep_fusions", fail)
    result = run("layers", "-m", model, "-d", data)
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "internal error, please report (--debug for the traceback): ZeroDivisionError: oops\n"
    )
    assert isinstance(run("layers", "-m", model, "-d", data, "--debug").exception, ZeroDivisionError)


def test_debug_shows_the_traceback_of_a_users_error(data: str) -> None:
    assert isinstance(run("layers", "-m", "minlm", "-d", data, "--debug").exception, ProbeError)
