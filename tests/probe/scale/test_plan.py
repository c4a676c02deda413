"""A plan's operations, bytes and times against what really runs and what is really written."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import DEPTH, FAMILIES, POSITIONS, WIDTH, make_batch, make_texts, make_tiny
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner, Result

import cli
from probe.data.texts import Texts
from probe.encoding.chunk_states import PromptedTexts, RunContext, read_states
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.layers.capture import Capture
from probe.layers.layer_stack import find_layers
from probe.layers.operations import attention_width, count_flops
from probe.models.loaded import LoadedModel
from probe.models.tokenization import Role
from probe.scale import rate as rate_module
from probe.scale.plan import Plan, PlanRequest
from probe.scale.plan_table import brief, duration, plan_lines, size
from probe.scale.planner import plan_sweep
from probe.scale.rate import Rate, measure_rate
from probe.store.forecast import StoreForecast, forecast_store
from probe.store.inventory import list_shelves
from probe.store.keys import CHUNK
from probe.store.store import MANIFEST, Store
from surgery.cutting.cut import cut

FAST = {"tokens_per_text": 10, "teraflops": 1.0}
# DeBERTa attends to relative positions as well, which the formula leaves out and says so.
PLAIN = [name for name in FAMILIES if not name.startswith(("deberta", "albert"))]


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["plan", *(str(arg) for arg in args)], prog_name="probe")


def make_plan(model: LoadedModel, **request: Any) -> Plan:
    return plan_sweep(LayerReader(model), PlanRequest(**{"texts": 1000, **FAST, **request}), "probe plan")


@pytest.fixture(scope="module")
def folder(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


def run_flops(model: Any, layer: int, texts: int, tokens: int) -> int:
    """Return the operations of a forward up to a layer, as torch counts them."""
    batch = make_batch(model, [tokens] * texts)
    # The fused kernel of processors is not among those that the counter knows.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.inference_mode():
        with Capture(model, find_layers(model), {layer: ("cls",)}) as capture:
            before = counter.get_total_flops()
            capture.run(batch)
        return int(counter.get_total_flops() - before)


@pytest.mark.parametrize("tokens", [7, 60])
@pytest.mark.parametrize("family", PLAIN)
def test_the_formula_counts_what_torch_counts_at_every_layer(family: str, tokens: int) -> None:
    model = make_tiny(family)
    planned = count_flops(model, find_layers(model), tokens)
    counted = [run_flops(model, layer, 3, tokens) / (3 * tokens) for layer in range(DEPTH + 1)]
    assert planned == pytest.approx(counted, rel=0.01)


def test_heads_wider_than_the_states_count_with_their_own_width() -> None:
    model = make_tiny("qwen3", head_dim=24)
    assert attention_width(model) == 96
    assert count_flops(model, find_layers(model), 60)[-1] == pytest.approx(
        run_flops(model, DEPTH, 1, 60) / 60, rel=0.01
    )


def test_the_formula_by_hand() -> None:
    model = make_tiny("bert")
    for layer, flops in enumerate(count_flops(model, find_layers(model), 10)):
        expected = 0
        for _ in range(layer):
            expected += 2 * (4 * WIDTH * WIDTH + 2 * WIDTH * 48)
            for _other in range(10):
                expected += 2 * (2 * WIDTH)
        assert flops == expected


def test_a_row_is_what_a_model_cut_there_is(model: LoadedModel) -> None:
    whole = make_plan(model)
    for layer in range(1, DEPTH + 1):
        last = make_plan(cut(model, layer)).rows[-1]
        assert whole.rows[layer] == last
        assert whole.rows[layer].parameters == model.stack.count_parameters(model.module, layer)


def test_deeper_layers_cost_more_and_more_texts_cost_more(model: LoadedModel) -> None:
    rows = make_plan(model).rows
    assert [row.layer for row in rows] == list(range(DEPTH + 1))
    for lower, higher in pairwise(rows):
        for cost in ("parameters", "flops_per_token", "flops_per_text", "flops", "seconds"):
            assert getattr(lower, cost) < getattr(higher, cost)
    assert make_plan(model, texts=2000).sweep.flops == 2 * rows[-1].flops


def test_operations_become_seconds_by_the_rate(model: LoadedModel) -> None:
    plan = make_plan(model, teraflops=0.5, texts=3)
    assert plan.rate == Rate(0.5e12, "given")
    for row in plan.rows:
        assert row.flops == 3 * row.flops_per_text == 3 * 10 * row.flops_per_token
        assert row.seconds == pytest.approx(row.flops / 0.5e12)
    assert plan.work.tokens == 30


def test_one_pass_costs_its_deepest_layer_and_one_by_one_all_of_them(model: LoadedModel) -> None:
    plan = make_plan(model, layers="1,2", poolings=("cls", "mean"))
    first, second = plan.rows
    assert (plan.sweep.flops, plan.sweep.seconds) == (second.flops, second.seconds)
    assert plan.sweep.seconds_one_by_one == pytest.approx(first.seconds + second.seconds)
    assert plan.store.hookpoints == 4


def fill_store(folder: Path, model: LoadedModel, layers: str, poolings: tuple[str, ...], texts: int) -> Path:
    """Write a shelf by a real sweep and return its folder."""
    words = tuple(make_texts(texts, longest=4))
    side = PromptedTexts("documents", Texts(tuple(map(str, range(texts))), words), Role("document"), "tiny")
    places = [point.layer_pooling for point in select_hookpoints(model, layers, poolings)]
    store = Store(folder)
    list(read_states(LayerReader(model), side, places, context=RunContext(store)))
    return list_shelves(store)[0].folder


@pytest.mark.parametrize(
    ("layers", "poolings", "texts"),
    [("all", ("cls", "mean"), CHUNK + 100), ("2", ("max",), CHUNK), ("0,3", ("own",), 1)],
)
def test_the_bytes_and_files_are_those_of_a_written_store(
    model: LoadedModel, tmp_path: Path, layers: str, poolings: tuple[str, ...], texts: int
) -> None:
    shelf = fill_store(tmp_path, model, layers, poolings, texts)
    written = sum(path.stat().st_size for path in shelf.glob("*.safetensors"))
    planned = make_plan(model, layers=layers, poolings=poolings, texts=texts).store
    assert planned.bytes == pytest.approx(written, rel=0.02)
    assert planned.files == len([*shelf.glob("*.safetensors"), shelf / MANIFEST])


@pytest.mark.parametrize("texts", [2, 1500])
def test_a_hookpoint_alone_is_the_size_of_its_own_shelf(model: LoadedModel, tmp_path: Path, texts: int) -> None:
    shelf = fill_store(tmp_path, model, "3", ("mean",), texts)
    written = sum(path.stat().st_size for path in shelf.glob("*.safetensors"))
    among_others = forecast_store([(1, "cls"), (3, "mean")], texts, WIDTH)
    assert among_others.bytes_per_hookpoint == pytest.approx(written, rel=0.02)


def test_rows_are_nearly_all_of_a_store_of_usual_width() -> None:
    forecast = forecast_store([(layer, "mean") for layer in range(7)], 10 * CHUNK, 384)
    rows = 7 * 10 * CHUNK * 384 * 2
    assert rows < forecast.bytes < 1.01 * rows
    assert forecast == StoreForecast(7, rows + 10 * forecast.overhead_per_file, *_rest(forecast))


def _rest(forecast: StoreForecast) -> tuple[int, int, int, int]:
    return forecast.bytes_per_hookpoint, 11, CHUNK, forecast.overhead_per_file


def test_a_search_reads_a_hookpoint_of_the_store(model: LoadedModel) -> None:
    plan = make_plan(model, texts=5000, layers="3")
    assert plan.search.bytes_stored == plan.store.bytes
    assert plan.search.bytes_float32 == 5000 * WIDTH * 4
    assert plan.search.flops == 5000 * WIDTH * 2


class Clock:
    """A clock that goes on by three eighths of a second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        self.now += 0.375
        return self.now


def test_the_rate_is_operations_by_time_after_a_first_run_that_does_not_count(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = LayerReader(model, token_budget=35)
    sizes: list[tuple[int, ...]] = []

    def note(texts: Any, places: Any) -> None:
        sizes.append(tuple(texts.batches[0].input_ids.shape))

    monkeypatch.setattr(rate_module, "time", Clock())
    monkeypatch.setattr(reader, "run", note)
    measured = measure_rate(reader, 10, [(3, "mean")], flops_per_text=1000)
    assert sizes == [(3, 10)] * 4
    assert measured == Rate(3 * 3 * 1000 / 1.125, "measured", 9, 1.125, torch.get_num_threads())


def test_a_measured_plan_does_not_hang_on_the_layers_planned(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def measure(reader: LayerReader, tokens: int, places: Any, flops_per_text: int) -> Rate:
        asked.append((tokens, set(places), flops_per_text))
        return Rate(1e9, "measured", 1, 1.0)

    monkeypatch.setattr("probe.scale.planner.measure_rate", measure)
    whole = make_plan(model, teraflops=None)
    embeddings = make_plan(model, teraflops=None, layers="0")
    assert embeddings.rows == whole.rows[:1]
    assert [tokens for tokens, _, _ in asked] == [10, 10]
    assert asked[1][1] == {(0, "mean"), (DEPTH, "mean")}
    assert asked[0][2] == asked[1][2] == whole.rows[-1].flops_per_text


@pytest.mark.parametrize("family", ["roberta", "qwen3"])
def test_a_rate_is_really_measured(
    family: str, load_tiny: Callable[[str], LoadedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_module, "_SECONDS", 0.01)
    measured = make_plan(load_tiny(family), teraflops=None, tokens_per_text=POSITIONS).rate
    assert measured.source == "measured"
    assert 0 < measured.flops_per_second < math.inf
    assert measured.texts
    assert measured.seconds
    assert measured.seconds >= 0.01


def test_texts_are_cut_at_the_longest_input_and_the_plan_says_so(model: LoadedModel) -> None:
    long, whole = make_plan(model, tokens_per_text=900), make_plan(model, tokens_per_text=None)
    assert long.work.tokens_per_text == whole.work.tokens_per_text == POSITIONS
    assert long.rows == whole.rows
    assert f"truncates texts at {POSITIONS} tokens (900 requested)" in plan_lines(long)[0]
    assert "pass your mean length with --tokens-per-text" in plan_lines(whole)[0]
    assert "cuts" not in plan_lines(make_plan(model, tokens_per_text=POSITIONS))[0]


def test_json_holds_everything_under_the_head_of_every_board(folder: str) -> None:
    result = run("--model", folder, "--texts", 2000, "--tokens-per-text", 9, "--tflops", 0.001, "-f", "json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert list(told) == ["schema", "kind", "command", "created", "settings", "rows"]
    assert (told["schema"], told["kind"]) == (1, "plan")
    assert {name: list(part) for name, part in told["settings"].items()} == {
        "model": ["name", "hub_id", "layers", "width", "attention_width", "max_tokens", "dtype", "device"],
        "work": ["texts", "tokens_asked", "tokens_per_text", "tokens"],
        "rate": ["flops_per_second", "source", "texts", "seconds", "threads"],
        "sweep": ["flops", "seconds", "seconds_one_by_one"],
        "store": ["hookpoints", "bytes", "bytes_per_hookpoint", "files", "chunk_texts", "overhead_per_file"],
        "search": ["bytes_stored", "bytes_float32", "flops"],
    }
    row = {
        "layer": int,
        "parameters": int,
        "flops_per_token": int,
        "flops_per_text": int,
        "flops": int,
        "seconds": float,
    }
    assert [{name: type(value) for name, value in one.items()} for one in told["rows"]] == [row] * (DEPTH + 1)
    assert told["settings"]["work"] == {"texts": 2000, "tokens_asked": 9, "tokens_per_text": 9, "tokens": 18000}


def test_the_table_has_a_row_per_layer_and_says_what_the_rest_costs(folder: str) -> None:
    result = run("--model", folder, "--texts", 8_841_823, "--tokens-per-text", 20, "--tflops", 0.001, "--layers", "1-3")
    assert result.exit_code == 0, result.stderr
    shown = [line.split()[0] for line in result.stdout.splitlines() if line.strip()]
    assert [word for word in shown if word in {"emb", "1", "2", "3"}] == ["1", "2", "3"]
    for words in ("177M in total", "1 GFLOP/s, as given", "3 layers in one pass", "8,636 files", "one query reads"):
        assert words in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--texts", 0], "--texts 0: expected a number of 1 or more"),
        (["--texts", 5, "--tokens-per-text", 0], "--tokens-per-text 0: expected a number of 1 or more"),
        (["--texts", 5, "--tflops", 0], "--tflops 0: expected TFLOP/s above 0"),
        (["--texts", 5, "--tflops", "nan"], "--tflops nan is out of range"),
        (["--texts", 5, "--tflops", "inf"], "--tflops inf is out of range"),
        (["--texts", 5, "--layers", 9], "layer 9 is out of range: the model has layers 0 to 3"),
        (["--texts", 5, "--pooling", "sum"], "unknown pooling 'sum'"),
        (["--texts", 5, "--format", "csv"], "unknown --format 'csv'"),
        (["--texts", 5, "--model", "no-such-model"], "no-such-model"),
    ],
)
def test_wrong_input_gets_one_line_and_exit_code_2(folder: str, options: list[object], message: str) -> None:
    named = [] if "--model" in options else ["--model", folder]
    result = run(*named, *options)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert result.stderr.splitlines()[-1] == line


def test_a_wrong_number_is_refused_before_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        pytest.fail("the model was loaded first")

    monkeypatch.setattr("probe.encoding.opening.open_reader", refuse)
    assert "expected a number of 1 or more" in run("--texts", -3).stderr


def test_days_are_told_in_device_hours_too(model: LoadedModel) -> None:
    seconds = make_plan(model).sweep.seconds
    slow = plan_lines(make_plan(model, teraflops=seconds / 432_000))[2]
    assert slow.startswith("time: 5 days on one device (120 h) for 4 layers in one pass; one pass per layer: 10 days")
    assert plan_lines(make_plan(model, teraflops=seconds / 36_000, layers="3"))[2] == "time: 10 h on one device"


def test_a_request_is_checked_in_python_too() -> None:
    with pytest.raises(CallError, match="--texts -1"):
        PlanRequest(-1)


def test_numbers_are_readable() -> None:
    assert [brief(n) for n in (0, 7, 12.34, 999, 1000, 13_200_000, 6.3e9, 5e26)] == [
        "0", "7", "12.3", "999", "1k", "13.2M", "6.30G", "500,000Z",
    ]  # fmt: skip
    assert [brief(n) for n in (999.6, 999_960, 99.96, 176_836_460)] == ["1k", "1M", "100", "177M"]
    assert size(6_810_000_000) == "6.81 GB"
    assert size(12) == "12 B"
    spans = (0, 59, 90, 34_560, 5 * 86_400, 3 * 365 * 86_400)
    assert [duration(s) for s in spans] == ["0 s", "59 s", "1.50 min", "9.60 h", "5 days", "3 years"]
