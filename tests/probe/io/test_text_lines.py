"""Lines of files, never more than so much of them at once."""

import gzip
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import pytest

from probe.errors import DataError
from probe.io import text_lines
from probe.io.text_lines import LONGEST_LINE, read_lines

LIMIT = 1000


@pytest.fixture(params=["plain", "packed", "zip"])
def write(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what writes a file of bytes in some form and returns its path; lines are short."""
    monkeypatch.setattr(text_lines, "LONGEST_LINE", LIMIT)

    def make(content: bytes) -> Any:
        if request.param == "zip":
            with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("lines.tsv", content)
            return zipfile.Path(tmp_path / "a.zip") / "lines.tsv"
        path = tmp_path / ("lines.tsv.gz" if request.param == "packed" else "lines.tsv")
        path.write_bytes(gzip.compress(content) if request.param == "packed" else content)
        return path

    return make


def test_a_line_of_the_longest_length_is_read(write: Any) -> None:
    line = "x" * (LIMIT - 1)
    assert [text for _, text in read_lines(write(f"a\n{line}\nb".encode()))] == ["a", line, "b"]


@pytest.mark.parametrize("end", [b"", b"\nb\n"])
def test_a_longer_one_is_refused_by_its_number(write: Any, end: bytes) -> None:
    with pytest.raises(DataError, match=r"lines.tsv.*:2: line longer than 0 MiB: expected one record"):
        list(read_lines(write(b"a\n" + b"x" * (LIMIT + 1) + end)))


def test_no_more_than_the_longest_line_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    # 200 MiB in 200 KB.
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(DataError, match="line longer than 64 MiB"):
        list(read_lines(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * LONGEST_LINE
