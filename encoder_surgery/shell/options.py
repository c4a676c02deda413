"""Options that several commands share, so that a flag means and reads the same everywhere; and their values opened."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from encoder_surgery.shell.output import check_choice, say
from probe.errors import CallError, DataError

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.io.remote_path import Location
    from probe.store.store import Store

__all__ = [
    "Baseline",
    "CardDataset",
    "CutPooling",
    "DatasetName",
    "Debug",
    "Device",
    "DocumentPrompt",
    "Dtype",
    "EngineAddress",
    "EngineName",
    "EngineWorkers",
    "Force",
    "Format",
    "FuseRuns",
    "GpusPerWorker",
    "Labels",
    "Layers",
    "Lens",
    "Limit",
    "MaxTokens",
    "MetricName",
    "Model",
    "NoStore",
    "Out",
    "Plot",
    "Poolings",
    "Prompt",
    "QueryPrompt",
    "RankedPoolings",
    "Recommend",
    "Save",
    "SaveJson",
    "Seed",
    "Split",
    "Steps",
    "StoreFolder",
    "TableOrJson",
    "TextLimit",
    "Trust",
    "load_ranked",
    "open_store",
    "parse_dims",
    "wants_bm25",
]

Model = Annotated[str, typer.Option("--model", "-m", help="Alias (see `probe models`), hub id or folder.")]
DatasetName = Annotated[
    str, typer.Option("--dataset", "-d", help="docstrings, a BEIR name, a BEIR folder, zip or URL.")
]
CardDataset = Annotated[str | None, typer.Option("--dataset", "-d", help="Score the result on it, for its model card.")]
CutPooling = Annotated[
    str | None, typer.Option("--pooling", help="cls, last, max or mean; the model's own when left out.")
]
Layers = Annotated[str, typer.Option("--layers", help="all, 0-6 or 1,3,5; 0 = the embeddings.")]
Lens = Annotated[
    bool, typer.Option("--lens", help="Map every layer to the final embedding by ridge regression, without labels.")
]
Recommend = Annotated[
    float | None, typer.Option(help="Name the cheapest layer that is not worse by this margin, judged on train or dev.")
]
Poolings = Annotated[str, typer.Option("--pooling", help="own, cls, last, max, mean; several with commas.")]
RankedPoolings = Annotated[
    str, typer.Option("--pooling", help="own, cls, last, max, mean, or tokens: late interaction; several with commas.")
]
MetricName = Annotated[str, typer.Option("--metric", help="ndcg, map, recall, precision or mrr @ a cut-off.")]
Split = Annotated[str | None, typer.Option(help="Whose judgements to use; test, or the only one, when left out.")]
Limit = Annotated[int | None, typer.Option(help="Keep about so many documents; every judged one stays.")]
Dtype = Annotated[str, typer.Option(help="Of the matrix products: auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Seed = Annotated[int, typer.Option(help="Of the intervals and the paired tests.", min=0)]
MaxTokens = Annotated[int | None, typer.Option(help="Longest input; the model's own when left out.")]
QueryPrompt = Annotated[str | None, typer.Option(help="Put before queries; the model's own when left out.")]
DocumentPrompt = Annotated[str | None, typer.Option(help="Put before documents; the model's own when left out.")]
Prompt = Annotated[
    str | None, typer.Option("--prompt", help="Put before every text; the model's document prompt when left out.")
]
TextLimit = Annotated[
    int | None, typer.Option("--limit", help="Keep about so many, spread evenly over the labels or scores.")
]
Trust = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that the model's folder brings.")]
Baseline = Annotated[str | None, typer.Option(help="bm25 adds a BM25 row (needs the extra bm25).")]
Format = Annotated[str, typer.Option("--format", "-f", help="table, json, csv or markdown.")]
TableOrJson = Annotated[str, typer.Option("--format", "-f", help="table or json.")]
Save = Annotated[Path | None, typer.Option(help="Write a file as well; .json, .csv, .md or .txt says how.")]
Plot = Annotated[Path | None, typer.Option(help="Draw a picture as well; .png, .svg or .pdf (needs the extra plot).")]
SaveJson = Annotated[Path | None, typer.Option("--save", help="Write the numbers as a .json file as well.")]
FuseRuns = Annotated[
    str | None,
    typer.Option("--fuse-runs", help="Beside every fusion, the rankings fused: rrf, combsum, or both."),
]
EngineName = Annotated[
    str, typer.Option("--engine", help="What reads the documents: local, or ray (needs the extra ray).")
]
EngineAddress = Annotated[
    str | None,
    typer.Option("--address", help="Of a Ray cluster: HOST:PORT or auto; one is started here when left out."),
]
EngineWorkers = Annotated[
    int | None, typer.Option("--workers", help="Of the Ray cluster; as many as it has room for when left out.")
]
GpusPerWorker = Annotated[
    float | None, typer.Option(help="Of the Ray cluster; 1 where the model runs on a GPU, when left out.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Folder to make; named after the model when left out.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a folder that this command made.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
StoreFolder = Annotated[
    str | None,
    typer.Option("--store", metavar="FOLDER", help="Folder or URL of the store; in the cache folder when left out."),
]
NoStore = Annotated[
    bool, typer.Option("--no-store", help="Keep no states, read none: for corpora larger than the disk.")
]
Labels = Annotated[str, typer.Option(help="Train networks on the judgements of train or dev; none, or a split.")]
Steps = Annotated[int, typer.Option(help="Batches a network is trained for, at most.", min=1)]


def open_store(folder: str | None, without: bool = False) -> "Store | None":
    """Return the store a command uses: the folder or URL asked for, the cache folder's, or none."""
    from probe.io.locations import locate
    from probe.store.store import Store

    if without and folder is not None:
        raise CallError("--store and --no-store exclude each other: give one of them")
    if without:
        return None
    if folder is not None:
        location = locate(folder)
        if _is_file(location):
            raise CallError(f"--store '{folder}' is a file: expected a folder, or a new name for one")
        return Store(location)
    from probe.data.beir_download import cache_folder

    try:
        return Store(cache_folder() / "store")
    except DataError as error:
        say(f"warning: {error}; nothing is stored (--no-store says so too)")
        return None


def _is_file(location: "Location") -> bool:
    try:
        return location.exists() and not location.is_dir()
    except OSError as error:
        raise DataError(f"--store '{location}' cannot be reached: {error}") from error


def parse_dims(text: str) -> tuple[int, ...]:
    """Return dimensions, the greatest first, from numbers with commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"--dims '{text}': expected whole numbers, as 512,256,128")
    return tuple(sorted({int(part) for part in parts}, reverse=True))


def load_ranked(name: str, split: str | None, limit: int | None, *, bm25: bool) -> "Dataset":
    """Return the data set that encoders, and perhaps BM25, are ranked on; says where it is greater than asked for."""
    from probe.data.dataset import refuse_images
    from probe.data.loading import load_dataset

    data = load_dataset(name, split, limit)
    if bm25:
        refuse_images(data, "BM25")
    if limit is not None and len(data.documents) > limit:
        say(f"--limit {limit} keeps {len(data.documents)} documents: every judged one stays")
    return data


def wants_bm25(baseline: str | None) -> bool:
    """Return whether a row of BM25 is asked for, which must be installed then."""
    if baseline is None:
        return False
    check_choice("--baseline", baseline, ("bm25",))
    from probe.experiments.bm25 import check_bm25

    check_bm25()
    return True
