"""A model that was given a name has its folder beside it in the footer, in short and in full."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset

from probe import LoadOptions, RunOptions, rank
from probe.results.formats import brief_model_line, model_lines


def test_a_name_and_its_folder_stand_in_the_footer(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tiny_folder("bert")
    options = RunOptions(load=LoadOptions(dtype="float32", device="cpu"))
    board = rank([f"mine={folder}@1", folder], str(make_dataset(tmp_path / "tiny")), options=options)
    named, plain = board.settings["models"]
    assert (named["name"], named["path"], plain["path"]) == ("mine", str(folder), str(folder))
    assert f"mine ({folder})" in model_lines([named])[0]
    assert f"{folder} (folder)" in model_lines([plain])[0]
    assert brief_model_line([{**named, "path": "./x"}]).startswith("model: mine = ./x, own pooling mean")
    assert "=" not in brief_model_line([plain, {**named, "path": None}])


@pytest.mark.parametrize("names", [("a", "a"), ("a", "b")])
def test_two_models_of_one_name_are_refused(
    tiny_folder: Callable[[str], Path], tmp_path: Path, names: tuple[str, str]
) -> None:
    from probe.errors import CallError

    specs = [f"{name}={tiny_folder(family)}" for name, family in zip(names, ("bert", "mpnet"), strict=True)]
    options = RunOptions(load=LoadOptions(dtype="float32", device="cpu"))
    data = str(make_dataset(tmp_path / "tiny"))
    if len(set(names)) == 2:
        assert len(rank(specs, data, options=options).rows) == 2
        return
    with pytest.raises(CallError, match="two different models are called 'a': give one of them another name"):
        rank(specs, data, options=options)
