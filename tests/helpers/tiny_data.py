"""Small data sets in BEIR's format, written to folders."""

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiny_models import WORDS

from probe.results.leaderboard import Leaderboard

__all__ = ["make_dataset", "without_times", "write_beir", "write_lines", "zip_folder"]


def write_lines(path: Path, lines: list[str]) -> Path:
    """Write lines and return the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_beir(
    folder: Path,
    documents: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    split: str = "test",
) -> Path:
    """Write a data set and return its folder."""
    corpus: list[dict[str, Any]] = [{"_id": i, "title": "", "text": text} for i, text in documents.items()]
    asked = [{"_id": i, "text": text} for i, text in queries.items()]
    rows = [f"{query}\t{doc}\t{grade}" for query, docs in qrels.items() for doc, grade in docs.items()]
    write_lines(folder / "corpus.jsonl", [json.dumps(record) for record in corpus])
    write_lines(folder / "queries.jsonl", [json.dumps(record) for record in asked])
    write_lines(folder / "qrels" / f"{split}.tsv", ["query-id\tcorpus-id\tscore", *rows])
    return folder


def make_dataset(folder: Path, documents: int = 40, queries: int = 8, seed: int = 3) -> Path:
    """Write a random data set of known words: query `qi` is a part of document `di`."""
    dice = random.Random(seed)
    texts = {f"d{i}": " ".join(dice.choices(WORDS[4:], k=dice.randint(3, 30))) for i in range(documents)}
    asked = {f"q{i}": " ".join(texts[f"d{i}"].split()[:3]) for i in range(queries)}
    return write_beir(folder, texts, asked, {f"q{i}": {f"d{i}": 1, f"d{i + queries}": 0} for i in range(queries)})


def zip_folder(folder: Path, archive: Path) -> Path:
    """Pack a folder under its own name and return the archive."""
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
    return archive


def without_times(board: Leaderboard) -> dict[str, Any]:
    """Return a leaderboard as plain values, without those that differ from run to run."""
    values = board.to_dict()
    del values["created"]
    for row in values["rows"]:
        for name in ("ms_per_text", "fit_seconds"):
            del row[name]
    return values
