"""Weight files that are whole, and those that are not: pointers, files cut short, shards that are missing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import write_json

from probe.errors import ModelError
from probe.io.safetensors_files import check_weights, list_tensors, list_weights

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 90868376\n"


def write_shards(folder: Path) -> list[Path]:
    paths = [folder / f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for path in paths:
        save_file({path.stem: torch.ones(3)}, path)
    write_json(folder / "model.safetensors.index.json", {"weight_map": {path.stem: path.name for path in paths}})
    return paths


def test_a_whole_file_is_whole(tmp_path: Path) -> None:
    save_file({"a": torch.ones(3), "b": torch.ones(2, 2).half()}, tmp_path / "model.safetensors", {"format": "pt"})
    save_file({}, tmp_path / "other.safetensors")
    files = list_weights(tmp_path)
    assert [path.name for path in files] == ["model.safetensors"]
    check_weights(files)
    assert sorted(list_tensors(files)) == ["a", "b"]


def test_shards_are_found_by_their_index(tmp_path: Path) -> None:
    paths = write_shards(tmp_path)
    save_file({}, tmp_path / "consolidated.safetensors")
    assert list_weights(tmp_path) == paths
    check_weights(paths)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path)[1].unlink()
    with pytest.raises(ModelError, match=r"has 1 of 2 weight files: model-00002-of-00002\.safetensors is"):
        check_weights(list_weights(tmp_path))


def test_shards_without_their_index_are_refused(tmp_path: Path) -> None:
    write_shards(tmp_path)
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(ModelError, match="sharded weights without their index"):
        list_weights(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_a_malformed_index_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ModelError, match="malformed: expected a file for each tensor"):
        list_weights(tmp_path)


@pytest.mark.parametrize("kept", [0, 5, 8, 40, -1])
def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError, match="is damaged or truncated"):
        check_weights([path])


@pytest.mark.parametrize("content", [b"x" * 900, b"\x02\0\0\0\0\0\0\0[]", b"\x0a\0\0\0\0\0\0\0" + b'{"a": {} }'])
def test_what_is_no_file_of_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="is damaged or truncated"):
        check_weights(list_weights(tmp_path))


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(POINTER)
    with pytest.raises(ModelError, match=r"is a Git LFS pointer, not the file itself: run `git lfs pull`"):
        check_weights([tmp_path / name])
