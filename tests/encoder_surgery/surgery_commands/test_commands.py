"""`surgery` as a user types it: whole folders or none, messages instead of tracebacks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from tiny_models import make_tiny, write_json, write_sentence_transformer, write_tokenizer
from typer.testing import CliRunner, Result

import cli
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.cutting.cut import cut
from surgery.saving import fresh_process as fresh_check
from surgery.saving.save import save


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.surgery_app, [str(arg) for arg in args], prog_name="surgery")


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)


def test_cut_saves_checks_in_a_fresh_process_and_prints_the_folder(model: str, tmp_path: Path) -> None:
    result = run("cut", "--model", model, "--after", 2, "--out", tmp_path / "short")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "short")
    assert "fresh process" in result.stderr
    assert json.loads((tmp_path / "short" / "config.json").read_text())["num_hidden_layers"] == 2


def test_other_vectors_in_the_fresh_process_leave_nothing_behind(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = fresh_check.embed_in_fresh_process
    monkeypatch.setattr(
        fresh_check,
        "embed_in_fresh_process",
        lambda *args, **options: original(*args, **options) + np.float32(1e-3),
    )
    result = run("cut", "--model", model, "--after", 2, "--out", tmp_path / "short")
    assert result.exit_code == 1
    assert "vectors differ" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_loaded_leaves_nothing_behind(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_check, "_CHILD", "raise SystemExit('broken')")
    result = run("cut", "--model", model, "--after", 2, "--out", tmp_path / "short")
    assert result.exit_code == 1
    assert "cannot load the saved model (broken)" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("unchecked")
def test_a_folder_is_replaced_only_by_force_and_only_where_it_is_ours(model: str, tmp_path: Path) -> None:
    out = tmp_path / "short"
    assert run("cut", "-m", model, "--after", 2, "-o", out).exit_code == 0
    again = run("cut", "-m", model, "--after", 1, "-o", out)
    assert (again.exit_code, "pass --force" in again.stderr) == (2, True)
    assert run("cut", "-m", model, "--after", 1, "-o", out, "--force").exit_code == 0
    assert json.loads((out / "surgery.json").read_text())["blocks"] == [1]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    refused = run("cut", "-m", model, "--after", 1, "-o", tmp_path / "mine", "--force")
    assert (refused.exit_code, "not saved by this command" in refused.stderr) == (2, True)
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.usefixtures("unchecked")
def test_keep_names_its_folder_after_the_blocks(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("keep", "-m", model, "--blocks", "1,3", "--pooling", "cls")
    assert result.stdout.strip() == "bert-1-3"
    assert json.loads((tmp_path / "bert-1-3" / "surgery.json").read_text())["pooling"] == "cls"
    assert "can lose most of its retrieval quality" in result.stderr


@pytest.mark.usefixtures("unchecked")
def test_nothing_is_said_of_a_loss_where_every_block_is_kept(model: str, tmp_path: Path) -> None:
    for number, words in enumerate((["cut", "--after", "3"], ["keep", "--blocks", "1-3"])):
        result = run(*words, "-m", model, "-o", tmp_path / str(number))
        assert (result.exit_code, "can lose" in result.stderr) == (0, False)


WRONG_CALLS = {
    "cut at the embeddings": ["cut", "--after", "0"],
    "lens on the embeddings": ["cut", "--after", "0", "--lens", "--dataset", "docstrings"],
    "cut beyond the depth": ["cut", "--after", "4"],
    "no number": ["cut", "--after", "five"],
    "no depth at all": ["cut"],
    "a block twice": ["keep", "--blocks", "1,1"],
    "blocks that fall": ["keep", "--blocks", "3,1"],
    "no blocks": ["keep", "--blocks", "x"],
    "unknown pooling": ["cut", "--after", "1", "--pooling", "median"],
    "unknown model": ["cut", "--after", "1", "--model", "minlm"],
}


@pytest.mark.parametrize("options", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_gets_a_message_exit_code_2_and_no_folder(model: str, tmp_path: Path, options: list[str]) -> None:
    model_options = [] if "--model" in options else ["--model", model]
    result = run(*options, *model_options, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "internal error" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_output_path_that_is_a_file_is_a_wrong_call(model: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = run("cut", "-m", model, "--after", 1, "-o", tmp_path / "file", "--force")
    assert (result.exit_code, "is a file" in result.stderr) == (2, True)


def test_a_model_without_a_layer_list_is_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    result = run("cut", "-m", tiny_folder("albert"), "--after", 1, "-o", tmp_path / "out")
    assert (result.exit_code, "module lists found" in result.stderr) == (1, True)


def test_inspect_tells_what_each_cut_would_be(model: str) -> None:
    found = json.loads(run("inspect", "--model", model, "--format", "json").stdout)
    assert (found["depth"], found["path"], found["pooling"]) == (3, "encoder.layer", "mean")
    sizes = [cost["parameters"] for cost in found["cuts"]]
    assert sizes == sorted(sizes)
    assert found["cuts"][-1]["time_share"] == 1
    assert found["embedding_share"] == sizes[0] / sizes[-1]
    table = run("inspect", "--model", model).stdout
    assert "3 blocks in encoder.layer" in table
    assert "no final norm" in table


def test_inspect_shares_the_cost_among_the_blocks(model: str) -> None:
    costs = json.loads(run("inspect", "--model", model, "--format", "json").stdout)["cuts"]
    assert sum(cost["block_time_share"] for cost in costs) == pytest.approx(1)
    assert sum(cost["block_parameters"] for cost in costs) == costs[-1]["parameters"]
    assert len({cost["block_parameters"] for cost in costs[1:]}) == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("names", [("dtype",), ("torch_dtype",), ()])
@pytest.mark.usefixtures("quick_checks")
def test_a_cut_of_weights_in_half_precision_computes_in_float32_wherever_it_is_loaded(
    dtype: torch.dtype, names: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    make_tiny("bert").to(dtype).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    told = {key: value for key, value in config.items() if key not in ("dtype", "torch_dtype")}
    write_json(folder / "config.json", {**told, **dict.fromkeys(names, str(dtype).removeprefix("torch."))})
    write_sentence_transformer(write_tokenizer(folder), "mean")
    model = cut(load_model(str(folder), LoadOptions(dtype="float32", device="cpu")), 2)
    out = save(model, tmp_path / "short")
    loaded = SentenceTransformer(str(out), device="cpu")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    expected = HookpointEncoder(LayerReader(model), 2, "mean").encode_query(["river stone", "sun"])
    assert loaded.encode_query(["river stone", "sun"]) == pytest.approx(expected, abs=1e-5)
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {dtype}
    saved = json.loads((out / "config.json").read_text())
    assert {saved[name] for name in names or ("dtype",)} == {"float32"}


def test_a_cut_of_weights_in_half_precision_stands_its_fresh_check(tmp_path: Path) -> None:
    folder = tmp_path / "half"
    make_tiny("bert").half().save_pretrained(folder)
    write_sentence_transformer(write_tokenizer(folder), "mean")
    result = run("cut", "--model", folder, "--after", 2, "--out", tmp_path / "short")
    assert result.exit_code == 0, result.stderr
