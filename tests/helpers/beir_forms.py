"""A data set's JSON lines turned into the other forms that it can have."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["FORMS", "pack", "read_jsonl", "to_parquet"]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def to_parquet(folder: Path, kind: str, files: int = 0, rows_per_group: int = 7) -> None:
    """Turn a JSONL file into one Parquet file, or into a folder of several."""
    records = read_jsonl(folder / f"{kind}.jsonl")
    (folder / f"{kind}.jsonl").unlink()
    if not files:
        pq.write_table(pa.Table.from_pylist(records), folder / f"{kind}.parquet", row_group_size=rows_per_group)
        return
    (folder / kind).mkdir()
    size = -(-len(records) // files)
    for number in range(files):
        table = pa.Table.from_pylist(records[number * size : (number + 1) * size])
        pq.write_table(table, folder / kind / f"part-{number}.parquet", row_group_size=rows_per_group)


def pack(folder: Path, kind: str) -> None:
    content = (folder / f"{kind}.jsonl").read_bytes()
    (folder / f"{kind}.jsonl").unlink()
    (folder / f"{kind}.jsonl.gz").write_bytes(gzip.compress(content))


FORMS: dict[str, Callable[[Path], None]] = {
    "jsonl": lambda folder: None,
    "packed": lambda folder: pack(folder, "corpus"),
    "parquet": lambda folder: to_parquet(folder, "corpus"),
    "parquet folder": lambda folder: to_parquet(folder, "corpus", files=3),
    "all parquet": lambda folder: (to_parquet(folder, "corpus"), to_parquet(folder, "queries"))[0],
}
