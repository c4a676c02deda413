"""--no-store: every text is encoded once, no vector is left behind, and the numbers are those of a store."""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset, write_lines
from typer.testing import CliRunner, Result

import cli
from probe.encoding import chunk_states
from probe.encoding.reader import LayerReader, PreparedTexts
from probe.models.tokenization import Role
from probe.store.store import Store

FIT_AND_RANK = {
    "lens": ("layers", "--lens"),
    "recommend": ("layers", "--recommend", 0.2),
    "both": ("layers", "--lens", "--recommend", 0.2),
    "static": ("layers", "--static"),
    "adaptors": ("rank", "--kinds", "pca,lens", "--dims", 8, "--bits", 4),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny", documents=40, queries=20)
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()
    first = [line for line in lines[1:] if int(line.split("\t")[0][1:]) < 10]
    write_lines(folder / "qrels" / "train.tsv", [lines[0], *first])
    write_lines(folder / "qrels" / "test.tsv", [line for line in lines if line not in first])
    return folder


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each text is given to a model, by role; texts of a single token are not counted."""
    seen: Counter[str] = Counter()
    prepare = LayerReader.prepare

    def count(reader: LayerReader, texts: Sequence[str], role: Role | str) -> PreparedTexts:
        seen.update(f"{role} {text}" for text in texts if "single token" not in text)
        return prepare(reader, texts, role)

    monkeypatch.setattr(LayerReader, "prepare", count)
    monkeypatch.setattr(chunk_states, "CHUNK", 7)
    return seen


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note the files of states that are written anywhere."""
    names: list[str] = []
    put = chunk_states.Shelf.put

    def note(shelf: Any, number: int, *rest: Any) -> None:
        if shelf._store._writable:
            names.append(str(shelf.folder))
        put(shelf, number, *rest)

    monkeypatch.setattr(chunk_states.Shelf, "put", note)
    return names


def run(*args: object) -> Result:
    app = cli.adaptors_app if "--kinds" in args else cli.probe_app
    return CliRunner().invoke(app, [*map(str, args)])


def scores(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    board = json.loads(result.stdout)
    rows = [{**row, "ms_per_text": None, "fit_seconds": None} for row in board["rows"]]
    return rows, board["settings"].get("recommendation")


@pytest.mark.parametrize("kind", FIT_AND_RANK)
def test_a_fit_and_its_ranking_encode_every_text_once(
    kind: str,
    data: Path,
    tiny_folder: Callable[[str], Path],
    encoded: Counter[str],
    scratch: Path,
    tmp_path: Path,
) -> None:
    command, *options = FIT_AND_RANK[kind]
    call = (command, tiny_folder("bert"), *options, "-d", data, "-f", "json")
    without = run(*call, "--no-store")
    documents = {text: times for text, times in encoded.items() if "task='document'" in text}
    assert len(documents) == 40
    assert set(documents.values()) == {1}
    assert max(encoded.values()) == 1
    assert list(scratch.iterdir()) == []
    assert scores(without) == scores(run(*call, "--store", tmp_path / "store"))


def test_a_calibration_is_shared_with_the_ranking(
    data: Path, tiny_folder: Callable[[str], Path], encoded: Counter[str], scratch: Path
) -> None:
    result = run("rank", tiny_folder("bert"), "-d", data, "--bits", 8, "--no-store")
    assert result.exit_code == 0, result.output
    assert set(encoded.values()) == {1}


def test_times_of_a_shared_pass_are_those_of_this_run(
    data: Path, tiny_folder: Callable[[str], Path], scratch: Path
) -> None:
    result = run("layers", tiny_folder("bert"), "--lens", "-d", data, "-f", "json", "--no-store")
    assert all(row["ms_per_text"] > 0 for row in json.loads(result.stdout)["rows"])


def test_a_ranking_alone_writes_no_vector(
    data: Path, tiny_folder: Callable[[str], Path], written: list[str], scratch: Path
) -> None:
    for command in ("layers", "rank", "geometry"):
        assert run(command, tiny_folder("bert"), "-d", data, "--no-store").exit_code == 0
    assert written == []
    assert run("layers", tiny_folder("bert"), "-d", data, "--lens", "--no-store").exit_code == 0
    assert written
    assert all(name.startswith(str(scratch)) for name in written)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("disk")])
def test_nothing_is_left_of_a_stopped_command(
    error: BaseException,
    data: Path,
    tiny_folder: Callable[[str], Path],
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    def fail(*args: Any, **options: Any) -> None:
        seen.append(any(scratch.rglob("*.safetensors")))
        raise error

    monkeypatch.setattr("adaptors.fitting.lens.fit_kind", fail)
    result = run("layers", tiny_folder("bert"), "-d", data, "--lens", "--no-store")
    assert result.exit_code != 0
    assert seen == [True]
    assert list(scratch.iterdir()) == []
    assert "cached" not in result.output


def test_without_a_folder_for_it_texts_are_encoded_again(
    data: Path, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: (_ for _ in ()).throw(FileNotFoundError("none")))
    assert Store.in_scratch() is None
