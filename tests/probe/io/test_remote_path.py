"""Paths by URL: what is put is found, every fault is an OSError, and a wrong URL is said in one line."""

import io
import time
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pytest
from fake_bucket import Bucket, use_bucket
from fsspec.spec import AbstractFileSystem

from probe.errors import CallError, DataError
from probe.io.locations import list_names, list_sizes, locate, remove, touch, walk_files
from probe.io.remote_path import RemotePath, modified_time

__all__ = ["use_bucket"]


@pytest.fixture(params=["fake", "memory"])
def root(request: pytest.FixtureRequest, use_bucket: type[Bucket], tmp_path: Path) -> RemotePath:
    """An empty folder by its URL."""
    path = locate(f"{request.param}://{tmp_path.name}/root")
    assert isinstance(path, RemotePath)
    return path


def test_what_is_put_is_found(root: RemotePath) -> None:
    (root / "a" / "b.json").write_bytes(b"12345")
    assert (root / "a" / "b.json").read_bytes() == b"12345"
    assert (root / "a" / "b.json").read_bytes(1, 3) == b"23"
    assert (root / "a" / "b.json").size() == 5
    assert ((root / "a").is_dir(), (root / "a" / "b.json").is_dir()) == (True, False)
    assert [str(path) for path in (root / "a").iterdir()] == [f"{root}/a/b.json"]
    assert root.folders() == [root / "a"]


def test_names_come_apart(root: RemotePath) -> None:
    path = root / "shelf" / "000000-a.safetensors"
    assert (path.name, path.suffix, path.parent) == ("000000-a.safetensors", ".safetensors", root / "shelf")
    assert (root / "bare").suffix == ""
    assert (root / ".hidden").suffix == ""


def test_a_file_is_read_as_a_stream(root: RemotePath) -> None:
    (root / "lines").write_bytes(b"one\ntwo\nthree")
    with (root / "lines").open("rb") as file:
        assert list(file) == [b"one\n", b"two\n", b"three"]
        assert file.seek(-5, io.SEEK_END) == 8
        assert (file.read(), file.tell(), file.read()) == (b"three", 13, b"")
        file.seek(2)
        assert file.seek(2, io.SEEK_CUR) == 4
        assert file.readline() == b"two\n"
    with pytest.raises(ValueError, match="'w'"):
        (root / "lines").open("w")


def test_a_large_file_is_fetched_in_few_parts(use_bucket: type[Bucket]) -> None:
    RemotePath("fake://a/large").write_bytes(b"line\n" * 2_000_000)
    with RemotePath("fake://a/large").open() as file:
        assert sum(1 for _ in file) == 2_000_000
    assert use_bucket.requests["get"] <= 4


def test_every_file_is_listed_with_size_and_time(root: RemotePath) -> None:
    for name in ("b", "a/c"):
        (root / name).write_bytes(b"123")
    found = walk_files(root)
    assert [(str(file.path), file.size) for file in found] == [(f"{root}/a/c", 3), (f"{root}/b", 3)]
    assert all(abs(file.modified - time.time()) < 60 for file in found)
    assert sorted(list_names(root)) == ["a", "b"]
    assert list_sizes(root) == [3, 3]
    assert list_sizes(root / "b") == [3]


def test_nothing_is_in_a_folder_that_is_not_there(root: RemotePath) -> None:
    assert not root.exists()
    assert (walk_files(root), list_names(root), root.folders()) == ([], [], [])


def test_touching_makes_a_file_new_and_keeps_what_is_in_it(use_bucket: type[Bucket]) -> None:
    use_bucket.objects["a/b"] = (b"1", 5.0)
    assert walk_files(RemotePath("fake://a"))[0].modified == 5.0
    touch(RemotePath("fake://a/b"))
    assert use_bucket.objects["a/b"][0] == b"1"
    assert walk_files(RemotePath("fake://a"))[0].modified > 5.0


def test_files_and_folders_are_removed(root: RemotePath) -> None:
    for name in ("a/b", "a/c", "d"):
        (root / name).write_bytes(b"1")
    remove(root / "a")
    assert list_names(root) == ["d"]
    remove(root / "d")
    remove(root / "d")
    assert not (root / "d").exists()
    with pytest.raises(FileNotFoundError):
        (root / "d").unlink()


def test_what_another_process_wrote_since_the_last_listing_is_seen(use_bucket: type[Bucket]) -> None:
    folder = RemotePath("fake://a")
    (folder / "b").write_bytes(b"1")
    assert list_names(folder) == ["b"]
    use_bucket.objects["a/c"] = (b"2", 0.0)
    assert sorted(list_names(folder)) == ["b", "c"]
    assert (folder / "c").exists()


class Tree(AbstractFileSystem):
    """A file system whose folders have to be made, as SFTP's."""

    protocol = "tree"
    root_marker = "/"

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        Path(path).mkdir(parents=True, exist_ok=exist_ok)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: object) -> None:
        Path(path).write_bytes(value)


def test_folders_are_made_where_there_are_folders(tmp_path: Path) -> None:
    fsspec.register_implementation("tree", Tree, clobber=True)
    for content in (b"1", b"2"):
        RemotePath(f"tree://{tmp_path}/a/b/c").write_bytes(content)
        assert (tmp_path / "a" / "b" / "c").read_bytes() == content


def test_every_fault_of_a_file_system_is_an_os_error(use_bucket: type[Bucket]) -> None:
    use_bucket.broken.update(dict.fromkeys(("get", "put", "list", "delete"), RuntimeError("no credentials\nat all")))
    path = RemotePath("fake://a/b")
    for ask in (path.exists, path.is_dir, path.read_bytes, path.size, path.find, path.folders, path.unlink, path.open):
        with pytest.raises(OSError, match=r"fake://a/b: RuntimeError: no credentials$"):
            ask()
    with pytest.raises(OSError, match="no credentials"):
        path.write_bytes(b"1")


@pytest.mark.parametrize(
    "said",
    [
        {"mtime": 5.0},
        {"LastModified": datetime.fromtimestamp(5, UTC)},
        {"updated": "1970-01-01T00:00:05+00:00"},
        {"mtime": None, "created": datetime(1970, 1, 1, 0, 0, 5)},
    ],
)
def test_every_way_of_telling_the_time_is_understood(said: dict[str, object]) -> None:
    assert modified_time(said) == 5.0


def test_a_file_of_unknown_age_is_new() -> None:
    assert abs(modified_time({}) - time.time()) < 60


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    assert locate(f"file://{tmp_path}/a") == tmp_path / "a"
    assert locate(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "nowhere://bucket/x",
            "'nowhere://bucket/x' cannot be opened .*Protocol not known.*: expected a folder, or a URL",
        ),
        ("s3://", "'s3://' is not a folder or URL: expected"),
        ("gs://bucket/x", "'gs://bucket/x' needs a package that is not installed: .*gcsfs"),
    ],
)
def test_a_wrong_url_is_said_in_one_line(url: str, message: str) -> None:
    with pytest.raises(CallError, match=message) as caught:
        locate(url)
    assert "\n" not in str(caught.value)


def test_a_file_system_that_cannot_be_opened_is_said_in_one_line() -> None:
    with pytest.raises(DataError, match="'github://a/b' is unreachable"):
        locate("github://a/b")
