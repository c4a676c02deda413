"""Options of the data sets that a command reads, and how much of each."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell.app import advanced, flag
from encoder_surgery.shell.completion import complete_datasets
from encoder_surgery.shell.output import ResultFlags, say
from encoder_surgery.shell.panels import MAIN_PANEL
from probe.errors import GREATEST_SEED, CallError, ProbeError

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.data.sampling import SampleSize
    from probe.evaluation.scan import Engine
    from probe.experiments.options import RunOptions
    from probe.results.leaderboard import Leaderboard, Row
    from probe.results.result import Result
    from probe.sources.several import LoadedDataset, LoadedDatasets

__all__ = [
    "DATASET",
    "DataFlags",
    "SampleFlags",
    "Splits",
    "are_several",
    "check_failed",
    "check_table",
    "load_all",
    "rank_each",
    "say_sample",
    "show_set_scores",
]

DATASET = "docstrings, a BEIR or NanoBEIR name, a folder, zip or URL, or an id after hf:, mteb: or ir_datasets:."
_DEFAULT = "docstrings"

Splits = Annotated[
    list[str] | None, flag("Split to score, or NAME=SPLIT for one of several; default: test, or the only one.")
]


@dataclass(frozen=True)
class SampleFlags:
    """How much of a data set is read."""

    _: KW_ONLY
    limit: Annotated[
        int | None,
        flag("Approximate number of documents; queries are left out only if their judged documents exceed it."),
    ] = None
    limit_queries: Annotated[int | None, flag("Maximum number of queries, drawn at random.")] = None
    limit_seed: Annotated[
        int, advanced("Seed of both; samples of one seed are nested.", metavar="INT", min=0, max=GREATEST_SEED)
    ] = 0

    @property
    def size(self) -> "SampleSize | None":
        """The sample to read; None for the whole data set."""
        from probe.data.sampling import SampleSize

        whole = self.limit is None and self.limit_queries is None
        return None if whole else SampleSize(self.limit, self.limit_queries, self.limit_seed)


@dataclass(frozen=True)
class DataFlags(SampleFlags):
    """The data sets that encoders are ranked on or measured with."""

    panel: ClassVar[str] = "Data"

    dataset: Annotated[
        list[str] | None,
        flag(
            f"{DATASET[:-1]}; repeatable; beir, nanobeir = all.",
            "--dataset",
            "-d",
            panel=MAIN_PANEL,
            autocompletion=complete_datasets,
            show_default=_DEFAULT,
        ),
    ] = None
    split: Splits = None
    keep_going: Annotated[bool, flag("Leave out data sets that fail; the exit code is 1.", "--keep-going")] = False

    @property
    def names(self) -> list[str]:
        """The data sets, as given."""
        return self.dataset or [_DEFAULT]

    @property
    def is_several(self) -> bool:
        """Whether there are several data sets."""
        return are_several(self.dataset)

    def load(self, *, bm25: bool = False) -> "LoadedDatasets":
        """Return the data sets, with a message on what a limit has left.

        Args:
            bm25: Whether BM25, which does not support images, reads them as well.
        """
        return load_all(self.names, self.split, self.size, reader="BM25" if bm25 else None, keep_going=self.keep_going)


def are_several(names: Sequence[str] | None) -> bool:
    """Return whether names mean more than one data set."""
    from probe.sources.several import COLLECTIONS

    return len(names or ()) > 1 or any(name in COLLECTIONS for name in names or ())


def load_all(
    names: Sequence[str],
    splits: Sequence[str] | None,
    size: "SampleSize | None",
    *,
    reader: str | None,
    keep_going: bool = False,
) -> "LoadedDatasets":
    """Load data sets, with a message on what a limit has left of each.

    Args:
        names: The data sets, as given.
        splits: Their splits, as given.
        size: The sample of each.
        reader: What reads them and does not support images, for a message.
        keep_going: Whether to leave out those that cannot be loaded, with a warning.

    Raises:
        CallError: One does not exist, is given twice, or has images, or `keep_going` has no effect.
    """
    from probe.data.dataset import refuse_images
    from probe.sources.several import load_datasets, request_datasets

    requests = request_datasets(names, splits or ())
    if keep_going and len(requests) == 1:
        raise CallError("--keep-going does nothing with a single data set: leave it out")
    loaded = load_datasets(requests, size, keep_going=keep_going)
    for name, reason in loaded.failed.items():
        say(f"warning: {name} is left out: {reason}")
    for one in loaded.found:
        if reader is not None:
            refuse_images(one.dataset, reader)
        say_sample(one.dataset, one.label if len(loaded.found) > 1 else "sample")
    return loaded


def show_set_scores(board: "Leaderboard", row: "Row") -> str:
    """Return the scores of a row on every data set, to follow their mean; empty for a single data set."""
    scores = [f"{name} {found.scores[board.metric]:.4f}" for name, found in (row.datasets or {}).items()]
    return f", the mean of {', '.join(scores)}" if scores else ""


def say_sample(data: "Dataset", label: str = "sample") -> None:
    """Print how much of a data set a limit has left."""
    if data.whole is None:
        return
    documents, queries = data.whole
    higher = "; the fewer documents, the higher the scores" if data.limited else ""
    say(
        f"{label}: {len(data.documents):,} of {documents:,} documents and {len(data.queries):,} of {queries:,} "
        f"queries, with all their judged documents{higher}"
    )


def rank_each(
    loaded: "LoadedDatasets",
    rank: "Callable[[LoadedDataset, RunOptions], Leaderboard]",
    options: "RunOptions",
    *,
    sort: str,
    engine: "Callable[[LoadedDataset], Engine] | None" = None,
) -> "Leaderboard":
    """Rank the same encoders on every data set.

    Args:
        loaded: The data sets.
        rank: Ranks on one of them, with options for it.
        options: Options for all.
        sort: `mean`, or the name of the data set that orders the rows.
        engine: Returns the engine for a data set; default: that of the options.
    """
    from probe.experiments.matrix import rank_datasets

    found = {one.label: one for one in loaded.found}

    def rank_one(name: str, dataset: "Dataset") -> "Leaderboard":
        """Rank on one data set."""
        here = options.named(name) if len(found) > 1 else options
        return rank(found[name], replace(here, engine=engine(found[name])) if engine else here)

    failed = loaded.failed if loaded.keep_going else None
    datasets = {name: one.dataset for name, one in found.items()}
    return rank_datasets(datasets, rank_one, sort=sort, seed=options.seed, failed=failed)


def check_table(loaded: "LoadedDatasets", output: ResultFlags, sort: str) -> None:
    """Refuse, before any text is encoded, an order or columns by something that is not in a leaderboard.

    Raises:
        CallError: They are neither those of every leaderboard nor the name of a data set.
    """
    from probe.experiments.matrix import check_sort

    labels = [one.label for one in loaded.found]
    check_sort(sort, labels)
    output.check_columns("leaderboard", labels)


def check_failed(result: "Result") -> None:
    """Raise, after the output of a result, if data sets failed and were left out.

    Raises:
        ProbeError: Some were.
    """
    failed = result.settings.get("failed")
    if failed:
        raise ProbeError(f"left out, because they failed: {', '.join(failed)}")
