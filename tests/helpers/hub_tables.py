"""Data sets as the hub has them, written through `datasets` and pyarrow: parquet below a README with configs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

__all__ = ["CORPUS", "LABELS", "QUERIES", "Rows", "cache_as_download", "write_hub_folder"]

Rows = Sequence[Mapping[str, Any]]

CORPUS: Rows = [
    {"_id": "d1", "title": "Rain", "text": "It rains in spring."},
    {"_id": "d2", "title": "", "text": "Snow falls in winter."},
    {"_id": "d3", "title": "Wind", "text": "Storms come in autumn."},
]
QUERIES: Rows = [{"_id": "q1", "text": "when does it rain"}, {"_id": "q2", "text": "when does it snow"}]
LABELS: Rows = [
    {"query-id": "q1", "corpus-id": "d1", "score": 2.0},
    {"query-id": "q1", "corpus-id": "d3", "score": 0.0},
    {"query-id": "q2", "corpus-id": "d2", "score": 1.0},
]


def write_hub_folder(folder: Path, tables: Mapping[str, Mapping[str, Rows]]) -> Path:
    """Write a repository of tables, each with rows by split, and return its folder."""
    configs = []
    for table, splits in tables.items():
        files = []
        for split, rows in splits.items():
            file = folder / table / f"{split}-00000-of-00001.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), file)
            files.append({"split": split, "path": str(file.relative_to(folder))})
        configs.append({"config_name": table, "data_files": files})
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n", encoding="utf-8")
    return folder


def cache_as_download(folder: Path, hub_id: str, commit: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a folder's tables into the cache of `datasets`, as if they had been downloaded from the hub at a commit."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    for table in datasets.get_dataset_config_names(str(folder)):
        loaded = datasets.load_dataset(str(folder), table, cache_dir=str(cache / "local"))
        own = Path(next(iter(loaded.values())).cache_files[0]["filename"]).parent
        owner, name = hub_id.split("/")
        target = cache / f"{owner}___{datasets.naming.camelcase_to_snakecase(name)}" / table / "0.0.0" / commit
        target.parent.mkdir(parents=True, exist_ok=True)
        own.rename(target)
        for file in target.glob("*.arrow"):
            split = file.name.removesuffix(".arrow").rpartition("-")[2]
            file.rename(target / f"{datasets.naming.camelcase_to_snakecase(name)}-{split}.arrow")
