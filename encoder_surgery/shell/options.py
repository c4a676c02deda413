"""Options shared by several commands, alone or in groups, so that a flag has one meaning and one help text.

A group is a frozen dataclass: its fields are options, its methods do the common work with their values.
"""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from encoder_surgery.shell.app import advanced, flag
from encoder_surgery.shell.completion import complete_datasets, complete_metrics, complete_models, complete_specs
from encoder_surgery.shell.datasets import DATASET, DataFlags
from encoder_surgery.shell.engine import ThreadsFlag
from encoder_surgery.shell.given import parse_numbers
from encoder_surgery.shell.output import command_line, say
from encoder_surgery.shell.panels import MAIN_PANEL, RUN_PANEL
from encoder_surgery.shell.positional import positional
from probe.errors import GREATEST_SEED, CallError, DataError

if TYPE_CHECKING:
    from probe.experiments.options import RunOptions
    from probe.io.remote_path import Location
    from probe.models.options import LoadOptions
    from probe.store.store import Store

__all__ = [
    "SPEC",
    "CutPooling",
    "DataFlags",
    "DatasetArgument",
    "DatasetNames",
    "Device",
    "DeviceFlags",
    "DropSameId",
    "EncodeFlags",
    "Force",
    "Labels",
    "Layers",
    "MaxTokens",
    "MetricName",
    "MetricNames",
    "Model",
    "Models",
    "OutFolder",
    "Poolings",
    "PromptFlags",
    "RankFlags",
    "Seed",
    "Similarity",
    "Sort",
    "Spec",
    "Specs",
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

_MODEL = "Alias (see `probe models`), hub id or folder."
# The backslash keeps rich from reading brackets as markup.
SPEC = "Encoder: model\\[@layer]\\[:pooling], several joined by + for a fusion, or a saved folder."

Model = Annotated[str, positional(_MODEL, "--model", "-m", complete=complete_models)]
Models = Annotated[list[str], positional(_MODEL, "--model", "-m", complete=complete_models)]
Spec = Annotated[str, positional(SPEC, "--model", "-m", complete=complete_specs)]
Specs = Annotated[list[str], positional(SPEC, "--model", "-m", complete=complete_specs)]
DatasetNames = Annotated[
    list[str] | None,
    flag(
        f"{DATASET[:-1]}; repeatable: one fit to the texts of all.",
        "--dataset",
        "-d",
        panel=MAIN_PANEL,
        autocompletion=complete_datasets,
        show_default="docstrings",
    ),
]
DatasetArgument = Annotated[str, positional(DATASET, "--dataset", "-d", complete=complete_datasets)]
Split = Annotated[str | None, flag("Split to score; default: test, or the only one.")]
TextLimit = Annotated[int | None, flag("Approximate number of texts, spread evenly over labels or scores.")]
Layers = Annotated[str, flag("all, 0-6 or 1,3,5; 0 = the embeddings.")]
Poolings = Annotated[str, flag("own, cls, last, max, mean; several with commas.")]
CutPooling = Annotated[
    Literal["cls", "last", "max", "mean", "head"] | None, flag("Pooling of the saved model; default: the model's own.")
]
DropSameId = Annotated[
    bool, advanced("Drop documents with the query's id, even if their text differs.", "--drop-same-id")
]
MetricName = Annotated[
    str, flag("ndcg, map, recall, precision, mrr or success, with @cut-off.", autocompletion=complete_metrics)
]
MetricNames = Annotated[
    list[str] | None,
    flag(
        "ndcg, map, recall, precision, mrr or success, with @cut-off; repeatable, the first ranks.",
        "--metric",
        autocompletion=complete_metrics,
        show_default="ndcg@10",
    ),
]
Sort = Annotated[str, flag("Order of the rows over several data sets: mean, or the name of one.")]
Similarity = Annotated[Literal["own", "cosine", "dot", "euclidean", "manhattan"], advanced("Similarity measure.")]
Seed = Annotated[int, advanced("Random seed.", metavar="INT", min=0, max=GREATEST_SEED)]
Device = Annotated[str, flag("auto, cpu, cuda, cuda:1, mps.")]
MaxTokens = Annotated[int | None, flag("Maximum length in tokens; default: the model's own.")]
OutFolder = Annotated[Path, flag("Output folder.", "--out", "-o")]
Force = Annotated[bool, flag("Overwrite existing output.", "--force")]
WeightsDtype = Annotated[
    Literal["float32", "float16", "bfloat16"] | None,
    flag("Dtype of the saved weights, which are loaded in float32 all the same; default: as they are."),
]
NoBias = Annotated[
    bool, flag("Fit the linear map without a bias, for servers that normalize only the result.", "--no-bias")
]
Labels = Annotated[Literal["none", "train", "dev"], flag("Split whose relevance labels networks may be trained on.")]
Steps = Annotated[int | None, flag("Maximum training steps. Default: 150 or 300, by kind.", min=1, max=1_000_000)]


@dataclass(frozen=True)
class TrustFlag(ThreadsFlag):
    """Which files of a model are loaded, and how; base of the larger groups."""

    panel: ClassVar[str] = "Model"

    _: KW_ONLY  # shown after the options of derived groups
    revision: Annotated[str | None, advanced("Commit, branch or tag on the hub.")] = None
    attn: Annotated[str | None, advanced("Attention: eager, sdpa, ...; default: the model's own.")] = None
    config: Annotated[
        list[str] | None,
        advanced("Override a setting of the model's config; repeatable.", metavar="KEY=VALUE"),
    ] = None
    trust_remote_code: Annotated[bool, advanced("Run code from the model's folder.", "--trust-remote-code")] = False

    def load_options(self, **fixed: Any) -> "LoadOptions":
        """Return how to load a model.

        Args:
            fixed: Values of `LoadOptions` without an option in the group.
        """
        from probe.models.options import LoadOptions

        given = {name: value for name, value in vars(self).items() if name != "threads"}
        return LoadOptions(**{**given, "config": _parse_settings(self.config or ())}, **fixed)


def _parse_settings(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return settings of a model's config from the values of `--config`."""
    pairs = [(key.strip(), value) for key, _, value in (text.partition("=") for text in texts)]
    for text, (key, _) in zip(texts, pairs, strict=True):
        if not key or "=" not in text:
            raise CallError(f"--config '{text}': expected KEY=VALUE, such as --config sliding_window=128")
    repeated = next((key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number])), None)
    if repeated is not None:
        raise CallError(f"--config {repeated} is given twice: give it once")
    return tuple(pairs)


@dataclass(frozen=True)
class DeviceFlags(TrustFlag):
    """Device and compute dtype of a model."""

    dtype: Annotated[Literal["auto", "float32", "bfloat16", "float16"], flag("Compute dtype.")] = "auto"
    device: Device = "auto"


@dataclass(frozen=True)
class PromptFlags(TrustFlag):
    """How a model reads queries and documents."""

    max_tokens: MaxTokens = None
    query_prompt: Annotated[str | None, flag("Prompt prefix of queries; default: the model's own.")] = None
    document_prompt: Annotated[str | None, flag("Prompt prefix of documents; default: the model's own.")] = None
    query_prompt_name: Annotated[str | None, advanced("Named prompt of the model, for queries.")] = None
    document_prompt_name: Annotated[str | None, advanced("Named prompt of the model, for documents.")] = None


@dataclass(frozen=True)
class EncodeFlags(PromptFlags, DeviceFlags):
    """How a model encodes queries and documents."""


@dataclass(frozen=True)
class TextFlags(DeviceFlags):
    """How a model encodes texts that are neither queries nor documents."""

    max_tokens: MaxTokens = None
    document_prompt: Annotated[str | None, flag("Prompt; default: the model's for documents.", "--prompt")] = None
    document_prompt_name: Annotated[str | None, advanced("Named prompt of the model.", "--prompt-name")] = None


@dataclass(frozen=True)
class StoreFolder:
    """Where the store is."""

    panel: ClassVar[str] = RUN_PANEL

    _: KW_ONLY
    store: Annotated[str | None, advanced("Folder or URL of the cached vectors.", metavar="FOLDER")] = None

    def open(self) -> "Store | None":
        """Return the store at the given folder or URL, or in the cache folder; None if there is no cache folder."""
        from probe.io.locations import locate
        from probe.store.store import Store

        if self.store is not None:
            location = locate(self.store)
            if _is_file(location):
                raise CallError(f"--store '{self.store}' is a file: expected a folder or a new name")
            return Store(location)
        from probe.sources.beir_download import cache_folder

        try:
            return Store(cache_folder() / "store")
        except DataError as error:
            say(f"warning: {error}; nothing is cached (--no-store avoids this warning)")
            return None


def _is_file(location: "Location") -> bool:
    try:
        return location.exists() and not location.is_dir()
    except OSError as error:
        raise DataError(f"--store '{location}' is unreachable: {error}") from error


@dataclass(frozen=True)
class StoreFlags(StoreFolder):
    """Where the store is, and whether it is used."""

    _: KW_ONLY
    no_store: Annotated[bool, flag("Keep no vectors; those of a fit in TMPDIR until the end.", "--no-store")] = False

    def open(self) -> "Store | None":
        """Return the store; with --no-store, or without a cache folder, one that ends with the command, if possible."""
        from probe.store.store import Store

        if self.no_store and self.store is not None:
            raise CallError("--store and --no-store exclude each other: give only one of them")
        return (None if self.no_store else super().open()) or Store.in_scratch()


@dataclass(frozen=True)
class RankFlags:
    """How encoders are ranked."""

    panel: ClassVar[str] = "Data"

    metric: MetricNames = None
    sort: Sort = "mean"
    seed: Seed = 0
    baseline: Annotated[Literal["bm25"] | None, flag("Add a row of BM25 (extra bm25).")] = None
    similarity: Similarity = "own"
    drop_same_id: DropSameId = False

    def options(self, loading: EncodeFlags, store: StoreFlags, *, examples: bool) -> "RunOptions":
        """Return how to rank, without a progress bar."""
        from probe.experiments.options import RunOptions

        metric, *more = self.metric or ["ndcg@10"]
        return RunOptions(
            metric=metric,
            more_metrics=tuple(more),
            seed=self.seed,
            bm25=self._wants_bm25(),
            command=command_line(),
            store=store.open(),
            examples=examples,
            load=loading.load_options(),
            similarity=self.similarity,
            drop_same_id=self.drop_same_id,
        )

    def _wants_bm25(self) -> bool:
        """Return whether a row of BM25 is requested; it must be installed."""
        if self.baseline is None:
            return False
        from probe.evaluation.bm25 import check_bm25

        check_bm25()
        return True


def check_rate(rate: float | None) -> float | None:
    """Check that a learning rate is positive; callback of an option."""
    if rate is not None and not rate > 0:
        raise typer.BadParameter(f"{rate:g}: expected more than 0")
    return rate


def parse_dims(text: str) -> tuple[int, ...]:
    """Return dimensions, largest first, from comma-separated numbers."""
    return tuple(sorted(parse_numbers("--dims", text, "512,256,128"), reverse=True))
