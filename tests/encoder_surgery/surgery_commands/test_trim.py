"""`surgery trim` as a user types it."""

import json
from pathlib import Path

import pytest
from tiny_data import make_dataset
from tiny_families import write_family
from tiny_models import WORDS, change_json, write_sentence_transformer
from typer.testing import CliRunner, Result

import cli
from surgery.vocabulary import save as saving

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.surgery_app, [str(arg) for arg in args], prog_name="surgery")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sentence_transformer(write_family(tmp_path_factory.mktemp("model") / "bert", "bert"))
    change_json(folder / "1_Pooling" / "config.json", embedding_dimension=16)
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "texts.txt"
    file.write_text(" ".join(WORDS[:12]))
    return file


@pytest.fixture
def unforked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check in this process instead of a fresh one, which takes seconds."""
    here = saving.check_trimmed
    monkeypatch.setattr(saving, "check_trimmed", lambda folder, model, fresh: here(folder, model))


def test_the_folder_is_printed_and_the_sizes_are_told(model: Path, texts: Path, tmp_path: Path) -> None:
    result = run("trim", model, "--texts", texts, "--out", tmp_path / "small")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "small")
    assert "vocabulary 160 -> " in result.stderr
    assert "parameters " in result.stderr
    assert " MB" in result.stderr
    assert "fresh process" in result.stderr
    assert "probe rank" in result.stderr
    assert json.loads((tmp_path / "small" / "config.json").read_text())["vocab_size"] < 160


def test_the_default_folder_is_named_after_the_model(
    model: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unforked: None
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("trim", "--model", model, "--texts", texts)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == "bert-trimmed"
    assert (tmp_path / "bert-trimmed" / "model.safetensors").is_file()
    again = run("trim", model, "--texts", texts)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    assert run("trim", model, "--texts", texts, "--force").exit_code == 0


def test_scores_before_and_after_are_on_the_card(model: Path, texts: Path, tmp_path: Path, unforked: None) -> None:
    data = make_dataset(tmp_path / "data")
    result = run("trim", model, "--texts", data, "-d", data, "--out", tmp_path / "small", "--no-store")
    assert result.exit_code == 0, result.stderr
    assert "0.00% of the tokens of data are split differently" in result.stderr
    card = (tmp_path / "small" / "README.md").read_text()
    rows = [line for line in card.splitlines() if line.startswith("|") and "@" in line and "bert" in line]
    assert len(rows) == 2
    assert any(" tokens" in row for row in rows)
    assert "/trimmed)" not in card


@pytest.mark.parametrize(
    ("rest", "code", "words"),
    [
        (["--texts", "none.txt"], 2, "none.txt"),
        (["--texts", "TEXTS", "--keep-tokens", "900"], 2, "900"),
        (["--texts", "TEXTS", "--keep-tokens", "0"], 2, "keep-tokens"),
        ([], 2, "--texts"),
        (["--texts", "TEXTS", "--limit", "5"], 2, "without --dataset"),
    ],
)
def test_faults_leave_nothing_behind(
    model: Path, texts: Path, tmp_path: Path, rest: list[str], code: int, words: str
) -> None:
    given = [str(texts) if one == "TEXTS" else one for one in rest]
    result = run("trim", model, *given, "--out", tmp_path / "small")
    assert result.exit_code == code, result.stderr
    assert words in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(
    model: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("surgery.vocabulary.trim.compare_tokens", interrupt)
    result = run("trim", model, "--texts", texts, "--out", tmp_path / "small")
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []
