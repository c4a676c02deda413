"""Files are whole or not there, and sealed JSON notices any change."""

from pathlib import Path

import pytest

from probe.io.files import read_sealed, replace_file, seal, unseal, write_sealed


def test_a_file_replaces_the_one_before_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    for text in ("one", "two"):
        replace_file(file, lambda scratch, text=text: scratch.write_text(text))  # type: ignore[misc]
    assert file.read_text() == "two"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    file = tmp_path / "a"
    file.write_text("old")

    def fail(scratch: Path) -> None:
        scratch.write_text("half")
        raise error

    with pytest.raises(type(error)):
        replace_file(file, fail)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_sealed_json_comes_back(tmp_path: Path) -> None:
    value = {"b": [1, 2.5, None], "a": "é"}
    write_sealed(tmp_path / "a.json", value)
    assert read_sealed(tmp_path / "a.json") == value


def test_many_numbered_keys_come_back(tmp_path: Path) -> None:
    value = {layer: layer / 2 for layer in range(25)}
    write_sealed(tmp_path / "a.json", value)
    assert read_sealed(tmp_path / "a.json") == {str(layer): half for layer, half in value.items()}


def test_any_changed_digit_breaks_the_seal() -> None:
    sealed = seal({"depth": 6, "notes": ["a"]})
    for i, letter in enumerate(sealed):
        if letter.isdigit():
            with pytest.raises(ValueError, match="checksum"):
                unseal(sealed[:i] + str((int(letter) + 1) % 10) + sealed[i + 1 :])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"value": 1}'])
def test_what_was_never_sealed_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        unseal(text)
