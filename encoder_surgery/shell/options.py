"""Options that several commands share, alone or in groups, so that a flag means and reads the same everywhere.

A group is a frozen dataclass: its fields are options, its methods do what every command does with their values.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.output import check_choice, command_line, say
from probe.errors import GREATEST_SEED, CallError, DataError

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.evaluation.scan import Engine
    from probe.experiments.options import RunOptions
    from probe.io.remote_path import Location
    from probe.models.options import LoadOptions
    from probe.store.store import Store

__all__ = [
    "CutPooling",
    "DataFlags",
    "DatasetName",
    "Device",
    "DeviceFlags",
    "DropSameId",
    "EncodeFlags",
    "Force",
    "Labels",
    "Layers",
    "MaxTokens",
    "MetricName",
    "Model",
    "OutFolder",
    "Poolings",
    "PromptFlags",
    "RankFlags",
    "Seed",
    "Similarity",
    "Split",
    "Steps",
    "StoreFlags",
    "StoreFolder",
    "TextFlags",
    "TextLimit",
    "TrustFlag",
    "check_rate",
    "parse_dims",
]

Model = Annotated[str, flag("Alias (see `probe models`), hub id or folder.", "--model", "-m")]
DatasetName = Annotated[str, flag("docstrings, a BEIR name, a BEIR folder, zip or URL.", "--dataset", "-d")]
Split = Annotated[str | None, flag("Split whose judgements count; test, or the only one, when left out.")]
TextLimit = Annotated[int | None, flag("Keep about this many texts, spread evenly over labels or scores.")]
Layers = Annotated[str, flag("all, 0-6 or 1,3,5; 0 = the embeddings.")]
Poolings = Annotated[str, flag("own, cls, last, max, mean; several with commas.")]
CutPooling = Annotated[str | None, flag("cls, last, max or mean; the model's own when left out.")]
DropSameId = Annotated[
    bool, flag("Drop documents with the query's own id whatever their text, as BEIR does.", "--drop-same-id")
]
MetricName = Annotated[str, flag("ndcg, map, recall, precision or mrr @ a cut-off.")]
Similarity = Annotated[str, flag("What vectors are compared by: own, cosine, dot, euclidean or manhattan.")]
Seed = Annotated[int, flag("Random seed of intervals and paired tests.", min=0, max=GREATEST_SEED)]
Device = Annotated[str, flag("auto, cpu, cuda, cuda:1, mps.")]
MaxTokens = Annotated[int | None, flag("Longest input; the model's own when left out.")]
OutFolder = Annotated[Path, flag("Folder to make.", "--out", "-o")]
Force = Annotated[bool, flag("Replace a folder that this command made.", "--force")]
Labels = Annotated[str, flag("Train networks on the judgements of train or dev; none, or a split.")]
Steps = Annotated[int, flag("Batches a network is trained for, at most.", min=1, max=1_000_000)]


@dataclass(frozen=True)
class TrustFlag:
    """Which files of a model are loaded, and how; the base of the groups that say more of it."""

    panel: ClassVar[str] = "Model"

    _: KW_ONLY  # shown after the options of derived groups
    revision: Annotated[
        str | None, flag("Commit, branch or tag of a model on the hub; owner/name@revision says it of one.")
    ] = None
    attn: Annotated[
        str | None,
        flag("Implementation of the attention: eager, sdpa, ...; the model's own when left out."),
    ] = None
    config: Annotated[
        list[str] | None,
        flag("Change a setting of the model's config; may be repeated.", metavar="KEY=VALUE"),
    ] = None
    trust_remote_code: Annotated[bool, flag("Run code shipped in the model's folder.", "--trust-remote-code")] = False

    def load_options(self, **fixed: Any) -> "LoadOptions":
        """Return how to load a model.

        Args:
            fixed: Values of `LoadOptions` that the group has no option for.
        """
        from probe.models.options import LoadOptions

        return LoadOptions(**{**vars(self), "config": _parse_settings(self.config or ())}, **fixed)


def _parse_settings(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return settings of a model's config from what `--config` was given."""
    pairs = [(key.strip(), value) for key, _, value in (text.partition("=") for text in texts)]
    for text, (key, _) in zip(texts, pairs, strict=True):
        if not key or "=" not in text:
            raise CallError(f"--config '{text}': expected KEY=VALUE, as --config sliding_window=128")
    repeated = next((key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number])), None)
    if repeated is not None:
        raise CallError(f"--config {repeated} is given twice: give it once")
    return tuple(pairs)


@dataclass(frozen=True)
class DeviceFlags(TrustFlag):
    """Where and in what precision a model computes."""

    dtype: Annotated[str, flag("Precision of matrix products: auto, float32, bfloat16 or float16.")] = "auto"
    device: Device = "auto"


@dataclass(frozen=True)
class PromptFlags(TrustFlag):
    """How a model reads queries and documents."""

    max_tokens: MaxTokens = None
    query_prompt: Annotated[str | None, flag("Prefix of queries; the model's own when left out.")] = None
    document_prompt: Annotated[str | None, flag("Prefix of documents; the model's own when left out.")] = None
    query_prompt_name: Annotated[str | None, flag("One of the model's own prompts by its name, for queries.")] = None
    document_prompt_name: Annotated[str | None, flag("The same for documents.")] = None


@dataclass(frozen=True)
class EncodeFlags(PromptFlags, DeviceFlags):
    """How a model encodes queries and documents."""


@dataclass(frozen=True)
class TextFlags(DeviceFlags):
    """How a model encodes texts that are neither queries nor documents."""

    max_tokens: MaxTokens = None
    document_prompt: Annotated[
        str | None, flag("Prefix of every text; the model's document prompt when left out.", "--prompt")
    ] = None
    document_prompt_name: Annotated[
        str | None, flag("One of the model's own prompts by its name, for every text.", "--prompt-name")
    ] = None


@dataclass(frozen=True)
class DataFlags:
    """The data set that encoders are ranked on or measured with."""

    panel: ClassVar[str] = "Data"

    dataset: DatasetName = "docstrings"
    split: Split = None
    limit: Annotated[int | None, flag("Keep about this many documents; judged ones always stay.")] = None

    def load(self, *, bm25: bool = False) -> "Dataset":
        """Return the data set, and say so if it is larger than asked for.

        Args:
            bm25: Whether BM25, which takes no images, reads it as well.
        """
        from probe.data.dataset import refuse_images
        from probe.data.loading import load_dataset

        data = load_dataset(self.dataset, self.split, self.limit)
        if bm25:
            refuse_images(data, "BM25")
        if self.limit is not None and len(data.documents) > self.limit:
            say(f"--limit {self.limit} keeps {len(data.documents)} documents: every judged one stays")
        return data


@dataclass(frozen=True)
class StoreFolder:
    """Where the store is."""

    panel: ClassVar[str] = "Store"

    _: KW_ONLY
    store: Annotated[
        str | None, flag("Folder or URL of the store; in the cache folder when left out.", metavar="FOLDER")
    ] = None

    def open(self) -> "Store | None":
        """Return the store at the folder or URL asked for, or in the cache folder; None if there is no cache folder."""
        from probe.io.locations import locate
        from probe.store.store import Store

        if self.store is not None:
            location = locate(self.store)
            if _is_file(location):
                raise CallError(f"--store '{self.store}' is a file: expected a folder, or a new name for one")
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
        raise DataError(f"--store '{location}' is unreachable: {error}") from error


@dataclass(frozen=True)
class StoreFlags(StoreFolder):
    """Where the store is, and whether it is used at all."""

    _: KW_ONLY
    no_store: Annotated[bool, flag("Keep no states, read none: for corpora larger than the disk.", "--no-store")] = (
        False
    )

    def open(self) -> "Store | None":
        """Return the store that the command uses, if any."""
        if self.no_store and self.store is not None:
            raise CallError("--store and --no-store exclude each other: give one of them")
        return None if self.no_store else super().open()


@dataclass(frozen=True)
class RankFlags:
    """How encoders are ranked."""

    panel: ClassVar[str] = "Ranking"

    metric: MetricName = "ndcg@10"
    seed: Seed = 0
    baseline: Annotated[str | None, flag("bm25 adds a BM25 row (needs the extra bm25).")] = None
    similarity: Similarity = "own"
    drop_same_id: DropSameId = False

    def options(self, loading: EncodeFlags, store: StoreFlags, engine: "Engine", *, examples: bool) -> "RunOptions":
        """Return how to rank, without a progress bar."""
        from probe.experiments.options import RunOptions

        return RunOptions(
            metric=self.metric,
            seed=self.seed,
            bm25=self._wants_bm25(),
            command=command_line(),
            store=store.open(),
            examples=examples,
            engine=engine,
            load=loading.load_options(),
            similarity=self.similarity,
            drop_same_id=self.drop_same_id,
        )

    def _wants_bm25(self) -> bool:
        """Return whether a row of BM25 is asked for, which must be installed then."""
        if self.baseline is None:
            return False
        check_choice("--baseline", self.baseline, ("bm25",))
        from probe.experiments.bm25 import check_bm25

        check_bm25()
        return True


def check_rate(rate: float | None) -> float | None:
    """Refuse a learning rate that teaches nothing; an option's callback."""
    if rate is not None and not rate > 0:
        raise typer.BadParameter(f"{rate:g}: expected more than 0")
    return rate


def parse_dims(text: str) -> tuple[int, ...]:
    """Return dimensions, the greatest first, from numbers with commas."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"--dims '{text}': expected whole numbers, as 512,256,128")
    return tuple(sorted({int(part) for part in parts}, reverse=True))
