"""`adaptors tune` with labels as a user types it: a folder that ranks, or a line or two on what was wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, write_lines
from tiny_tuning import SAMPLE, pairs_file, run_command, tuner
from typer.testing import Result

from adaptors.finetuning.options import TuneOptions
from adaptors.training.trainer import EncoderTrainer
from probe.encoding.chunk_states import silent


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Queries 0 to 7 are the test's, 8 to 15 those of the training split."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny", queries=16)
    for split, first in (("test", 0), ("train", 8)):
        lines = [f"q{i}\td{i}\t1" for i in range(first, first + 8)]
        write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *lines])
    return folder


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)


@pytest.fixture
def tune(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Result]:
    """Tune the tiny BERT."""
    return tuner(tiny_folder("bert"), tmp_path / "out")


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.usefixtures("quick_checks")
def test_it_prints_a_folder_that_loads_anywhere_and_ranks(
    tune: Callable[..., Result], data: Path, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    bert, out = tiny_folder("bert"), tmp_path / "out"
    result = tune("--lora", 2, "--hold-out", 0, "--log", tmp_path / "log.jsonl", source=data)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{out}\n"
    assert f"compare: probe rank {bert} {out} -d DATASET" in result.stderr
    assert "fresh process" in result.stderr
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4
    tuned, base = (SentenceTransformer(str(folder), device="cpu").encode_query(SAMPLE) for folder in (out, bert))
    assert not np.allclose(tuned, base, atol=1e-4)
    ranked = run_command("rank", bert, out, "-d", data, "--no-store", "-f", "json", app="probe")
    assert ranked.exit_code == 0, ranked.stderr
    found = {row["encoder"]: row for row in json.loads(ranked.stdout)["rows"]}
    assert {name: (row["adaptor"], row["labels"], row["transductive"]) for name, row in found.items()} == {
        f"{bert}@3:mean": (None, "none", False),
        str(out): ("tuned", "train", True),
    }
    card = (out / "README.md").read_text()
    assert "LoRA matrices of rank 2 in the linear maps of every block were trained on tiny (8 labelled rows)" in card
    assert "learning rate 0.001" in card
    assert (
        "No rows were held out: the last epoch was saved. No relevance labels were read except those of the split "
        "train." in card
    )


@pytest.mark.usefixtures("unchecked")
def test_the_rows_of_a_file_are_named_and_the_corpus_was_not_seen(
    tune: Callable[..., Result], data: Path, tmp_path: Path
) -> None:
    result = tune("--last-blocks", 1, "--layer-decay", 0.5, "--wrap", "matryoshka", "--dims", "32,8", "--hold-out", 0.2)
    assert result.exit_code == 0, result.stderr
    ranked = run_command("rank", tmp_path / "out", "-d", data, "--no-store", "-f", "json", app="probe")
    (row,) = json.loads(ranked.stdout)["rows"]
    assert (row["adaptor"], row["labels"], row["transductive"]) == ("tuned", pairs_file().name, False)
    card = (tmp_path / "out" / "README.md").read_text()
    for words in (
        "The weights of the last block and of the modules after them, with layer-wise learning-rate decay 0.5,",
        "trained on pairs.jsonl (24 labelled rows)",
        "inside `matryoshka`",
        "dims (32, 8)",
        "The highest nDCG@10 of held-out queries (20% of all queries, not trained on) chose the epoch: ",
        "No relevance labels were read except those of the file.",
        "| 0 | – |",
    ):
        assert words in card


def test_what_is_left_out_has_the_values_that_python_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def stop(*args: Any, options: TuneOptions) -> None:
        given.extend((*args, options))
        raise KeyboardInterrupt

    monkeypatch.setattr("adaptors.finetuning.tune.tune", stop)
    monkeypatch.chdir(tmp_path)
    assert run_command("tune", "-d", "rows.jsonl").exit_code == 130
    model, rows, options = given
    assert (model, rows) == ("minilm", "rows.jsonl")
    schedule = replace(options.schedule, bfloat16=False)
    assert replace(options, schedule=schedule, progress=silent) == TuneOptions()


@pytest.mark.usefixtures("unchecked")
def test_the_folder_is_named_after_the_model(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bert = tiny_folder("bert")
    result = run_command("tune", "-m", bert, "-d", pairs_file(), "--epochs", 1, "--batch-size", 12)
    assert (result.exit_code, result.stdout) == (0, f"{bert.name}-tuned\n"), result.stderr
    assert (tmp_path / f"{bert.name}-tuned" / "modules.json").is_file()


@pytest.mark.usefixtures("unchecked")
def test_prefixes_have_the_usual_lengths_unless_others_are_given(tune: Callable[..., Result], tmp_path: Path) -> None:
    result = tune("--wrap", "MatryoshkaLoss", "--loss", "MultipleNegativesSymmetricRankingLoss", "--epochs", 1)
    assert result.exit_code == 0, result.stderr
    card = (tmp_path / "out" / "README.md").read_text()
    assert "Loss: `infonce`" in card
    assert "dims (32, 16, 8)" in card
    assert "symmetric True" in card


@pytest.mark.usefixtures("unchecked")
def test_a_data_set_is_read_once(tune: Callable[..., Result], data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from probe.sources import loading as dataset_loading

    read, splits = dataset_loading.read_beir, []

    def count(path: str, split: str | None, **named: Any) -> Any:
        splits.append(split)
        return read(path, split, **named)

    monkeypatch.setattr(dataset_loading, "read_beir", count)
    assert tune("--epochs", 1, source=data).exit_code == 0
    assert splits == ["train"]


@pytest.mark.usefixtures("unchecked")
def test_mined_rounds_are_told_in_the_words_and_the_card(tune: Callable[..., Result], tmp_path: Path) -> None:
    mining = ("--rounds", 2, "--num-negatives", 2, "--range-min", 2, "--range-max", 12, "--relative-margin", "-5")
    result = tune(*mining, "--plot", tmp_path / "map.png", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    assert "round 1: 22 rows" in result.stderr
    assert "round 2: 22 rows" in result.stderr
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "2 hard negatives per pair, mined again in each of 2 rounds (22, 22 rows) at ranks 3 to 12" in card
    assert "seed 3" in card
    assert card.count("## Training") == 2


@pytest.mark.usefixtures("unchecked")
def test_the_same_command_gives_the_same_bytes_and_another_seed_others(
    tune: Callable[..., Result], tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in "abc"]
    for out, seed in zip(outs, (0, 0, 1), strict=True):
        assert tune("--lora", 1, "--hold-out", 0, "--seed", seed, "--epochs", 1, out=out).exit_code == 0
    first, second, third = map(weights, outs)
    assert first == second != third
    kept = [{p.name: p.read_bytes() for p in out.rglob("*") if p.is_file()} for out in outs[:2]]
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("unchecked")
def test_force_replaces_our_folder_alone(tune: Callable[..., Result], tmp_path: Path) -> None:
    assert tune("--hold-out", 0, "--epochs", 1).exit_code == 0
    before = weights(tmp_path / "out")
    again = tune("--hold-out", 0, "--seed", 1)
    assert (again.exit_code, weights(tmp_path / "out")) == (2, before)
    assert tune("--hold-out", 0, "--seed", 1, "--force", "--epochs", 1).exit_code == 0
    assert weights(tmp_path / "out") != before
    write_lines(tmp_path / "mine" / "a.txt", ["mine"])
    refused = tune("--force", out=tmp_path / "mine")
    assert refused.exit_code == 2
    assert "was not saved by this command" in refused.stderr


def test_ctrl_c_leaves_the_checkpoints_and_the_same_command_goes_on(
    tune: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *_, **__: None)
    assert tune(out=tmp_path / "whole").exit_code == 0
    steps: list[None] = []
    step, kept = EncoderTrainer.training_step, ("--checkpoint-dir", tmp_path / "kept")

    def stop(trainer: EncoderTrainer, *args: Any) -> Any:
        steps.append(None)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return step(trainer, *args)

    monkeypatch.setattr(EncoderTrainer, "training_step", stop)
    stopped = tune(*kept)
    words = f"error: interrupted: the last checkpoint is in {tmp_path / 'kept'}; the same command continues"
    assert (stopped.exit_code, stopped.stderr.splitlines()[-1]) == (130, words)
    assert not (tmp_path / "out").exists()
    assert tune(*kept).exit_code == 0
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")
    assert len(steps) == 8 + 6
    refused = tune(*kept, "--seed", 1, out=tmp_path / "other")
    assert refused.exit_code == 2
    assert "checkpoints of another training" in refused.stderr
