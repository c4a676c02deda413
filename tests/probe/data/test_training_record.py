"""What weights have learned stays known: whatever is cut, kept, fused or fitted of a tuned encoder says it, too."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset, write_lines
from tiny_tuning import pairs_file, run_command, tuner

from probe.data.training_record import Learned, join_learned, read_learned, write_learned
from probe.encoding.opening import open_reader
from probe.errors import ModelError
from probe.sources.loading import load_dataset
from probe.store.store import Store


def run(app: str, *args: object) -> str:
    result = run_command(*args, app=app)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny", queries=16)
    lines = [f"q{i}\td{i}\t1" for i in range(8, 16)]
    write_lines(folder / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", *lines])
    return folder


@pytest.fixture(scope="module")
def made(tiny_folder: Callable[[str], Path], data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tuned encoder, and what surgery makes of it."""
    root, bert, mpnet = tmp_path_factory.mktemp("made"), tiny_folder("bert"), tiny_folder("mpnet")
    with pytest.MonkeyPatch.context() as patch:
        for check in ("check_encoder", "check_saved"):  # has tests of its own
            patch.setattr(f"surgery.saving.fresh_process.{check}", lambda *_, **__: None)
        tune = tuner(bert, root / "tuned")
        assert tune("--hold-out", 0, "--epochs", 1, source=data).exit_code == 0
        run("surgery", "cut", "-m", root / "tuned", "--after", 2, "-o", root / "cut")
        run("surgery", "keep", "-m", root / "tuned", "--blocks", "1,3", "-o", root / "kept")
        run("surgery", "fuse", f"{root / 'tuned'}@2:mean", f"{mpnet}@1:cls", "-o", root / "fused")
        on = ["-d", data, "--no-store", "-o"]
        run("adaptors", "fit", "pca", "-m", f"{root / 'cut'}@1:mean", "--dims", 8, *on, root / "fitted")
        assert tune("--hold-out", 0, "--epochs", 1, model=root / "cut", out=root / "again").exit_code == 0
        run("surgery", "cut", "-m", bert, "--after", 2, "-o", root / "plain")
    return {name: root / name for name in ("tuned", "cut", "kept", "fused", "fitted", "again", "plain")}


def rank(data: Path, *specs: object) -> dict[str, tuple[str, bool]]:
    told = json.loads(run("probe", "rank", *specs, "-d", data, "--no-store", "-f", "json"))
    return {row["encoder"]: (row["labels"], row["transductive"]) for row in told["rows"]}


def test_tables_say_of_every_part_what_they_say_of_the_whole(
    made: dict[str, Path], data: Path, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = ("train", True)
    names = ("tuned", "fused", "fitted")
    specs = [f"{made['cut']}@1:cls", f"{made['kept']}@last:mean", tiny_folder("bert"), f"{made['plain']}@2:mean"]
    found = rank(data, *(made[name] for name in names), *specs)
    plain = {f"{tiny_folder('bert')}@3:mean": ("none", False), f"{made['plain']}@2:mean": ("none", False)}
    parts = {f"{made['cut']}@1:cls": whole, f"{made['kept']}@2:mean": whole}
    assert found == {**{str(made[name]): whole for name in names}, **parts, **plain}
    assert rank(data, made["again"]) == {str(made["again"]): (f"train+{pairs_file().name}", True)}
    other = make_dataset(tmp_path / "other", seed=9)
    assert rank(other, made["cut"]) == {f"{made['cut']}@2:mean": ("train", False)}


def test_layers_and_fusions_of_a_tuned_encoder_say_it(
    made: dict[str, Path], data: Path, tiny_folder: Callable[[str], Path]
) -> None:
    told = json.loads(run("probe", "layers", "-m", made["tuned"], "-d", data, "--no-store", "-f", "json"))
    assert [(row["labels"], row["transductive"]) for row in told["rows"]] == [("train", True)] * 4
    both = f"{tiny_folder('mpnet')}@1:mean+{made['cut']}@2:mean"
    assert rank(data, both) == {both: ("train", True)}
    table = run("probe", "rank", made["cut"], "-d", data, "--no-store", "-f", "markdown").splitlines()
    header, cells = ([cell.strip() for cell in table[line].split("|")[1:-1]] for line in (0, 2))
    assert dict(zip(header, cells, strict=True))["labels"] == "train"


def test_the_card_says_it(made: dict[str, Path]) -> None:
    for name in ("cut", "kept"):
        card = (made[name] / "README.md").read_text()
        assert "Nothing was trained. Its weights were trained earlier on tiny with the labels of train." in card
    assert "had been trained" not in (made["plain"] / "README.md").read_text()
    assert not (made["plain"] / "learned.json").exists()


def test_a_model_that_the_store_knows_says_it_without_being_loaded(made: dict[str, Path], tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        reader = open_reader(str(made["cut"]), None, store)
        assert reader.model.learned.labels == ("train",)
    assert open_reader(str(made["plain"]), None, store).model.learned == Learned()


def test_a_folder_loads_with_what_it_says(made: dict[str, Path]) -> None:
    assert SentenceTransformer(str(made["cut"]), device="cpu").encode(["sun"]).shape == (1, 32)


def test_what_several_have_learned_is_told_once(tmp_path: Path, data: Path) -> None:
    one, other = Learned(("train",), (("a", "1"), ("b", "2"))), Learned(("rows.csv", "train"), (("b", "2"), ("a", "3")))
    both = join_learned([one, other])
    assert both == Learned(("train", "rows.csv"), (("a", "1"), ("b", "2"), ("a", "3")))
    write_learned(both, tmp_path)
    assert read_learned(tmp_path) == both
    dataset: Any = load_dataset(str(data))
    for learned in (Learned((), (("tiny", "0"),)), Learned((), (("other", dataset.documents.text_hash),))):
        assert learned.saw(dataset)
        assert not learned.saw(replace(dataset, name="third", documents=load_dataset("docstrings").documents))


@pytest.mark.parametrize("text", ["{", '{"format": 1, "labels": "train", "seen": []}', '{"format": 9}', "[]"])
def test_a_file_that_says_something_else_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "learned.json").write_text(text)
    with pytest.raises(ModelError, match=r"learned\.json"):
        read_learned(tmp_path)
